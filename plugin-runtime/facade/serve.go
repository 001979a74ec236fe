// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// route is one of MRE's calls. Its pattern is a path with {names}; a last {name...} takes the rest.
type route struct {
	method, pattern string
	// idle: answered without a run, too.
	idle bool
	// freeBody: the body's members are a plugin's own, and say nothing of Program and Event.
	freeBody bool
	// reports: what is refused of it is missing from the plugin's results, whether or not the plugin says so.
	reports bool
	handle  func(*call) (any, error)
}

// text is an answer that goes out as it is. All others are written as JSON.
type text string

// call is a request to one of MRE's routes.
type call struct {
	*Facade
	ctx   context.Context
	run   *invocation.Run
	path  map[string]string
	query url.Values
	body  map[string]any
	// size of the request, in bytes.
	size int
}

// serveMRE answers MRE's API: any path that has a host of AWS's API Gateway in front, as the endpoints do that SSM
// hands out.
func (f *Facade) serveMRE(run *invocation.Run, w http.ResponseWriter, r *http.Request) {
	answer, err := f.callMRE(run, r)
	if err != nil {
		answerError(w, err)
		return
	}
	if t, ok := answer.(text); ok {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(t)) // the plugin may have gone
		return
	}
	answerJSON(w, http.StatusOK, answer)
}

func (f *Facade) callMRE(run *invocation.Run, r *http.Request) (any, error) {
	parts, ok := f.split(r.URL.EscapedPath())
	if !ok {
		return nil, notFound("there is nothing at this path; MRE's API is below the endpoints that SSM " +
			"names, our own below /mre/v1/")
	}
	for _, rt := range f.routes {
		path, ok := match(rt.pattern, parts)
		if !ok || rt.method != r.Method {
			continue
		}
		if run == nil && !rt.idle {
			return nil, errNoRun
		}
		c := &call{Facade: f, ctx: r.Context(), run: run, path: path, query: r.URL.Query(), body: map[string]any{}}
		if r.Method != http.MethodGet {
			if err := c.readBody(r); err != nil {
				return nil, err
			}
		}
		if strings.HasSuffix(rt.pattern, "...}") {
			if c.path, ok = verbatim(rt.pattern, path, r.URL.EscapedPath()); !ok {
				return nil, notFound("the end of the path cannot be decoded")
			}
		}
		if err := c.checkScope(!rt.freeBody); err != nil {
			return nil, err
		}
		answer, err := rt.handle(c)
		if err != nil && rt.reports {
			if r := refused(err); r.status != http.StatusServiceUnavailable { // which is repeated
				run.Note("the call %s %s was refused: %s", rt.method, rt.pattern, r.message)
			}
		}
		return answer, err
	}
	return nil, elsewhere(r.Method, parts)
}

// split takes a path apart: what follows the endpoint, without empty parts, decoded.
func (f *Facade) split(escaped string) ([]string, bool) {
	host, rest, ok := strings.Cut(strings.TrimLeft(escaped, "/"), "/")
	if !ok || !strings.Contains(host, ".execute-api.") {
		return nil, false
	}
	var parts []string
	for p := range strings.SplitSeq(rest, "/") {
		if p == "" {
			continue
		}
		decoded, err := url.PathUnescape(p)
		if err != nil {
			return nil, false
		}
		parts = append(parts, decoded)
	}
	if len(parts) == 0 || parts[0] != "api" {
		return nil, false
	}
	parts = joinName(parts[1:], f.Plan.Event.Program)
	for i := range f.Plan.Plugins {
		parts = joinName(parts, f.Plan.Plugins[i].NameInMRE())
	}
	return parts, true
}

// joinName makes one part again of a name with slashes: names are written into paths as they are.
func joinName(parts []string, name string) []string {
	want := slices.DeleteFunc(strings.Split(name, "/"), func(s string) bool { return s == "" })
	if len(want) < 2 {
		return parts
	}
	for i := 0; i+len(want) <= len(parts); i++ {
		if slices.Equal(parts[i:i+len(want)], want) {
			parts = slices.Replace(parts, i, i+len(want), name)
		}
	}
	return parts
}

// verbatim gives the last member of a pattern as it was written: slashes side by side are part of a value.
func verbatim(pattern string, path map[string]string, escaped string) (map[string]string, bool) {
	words := strings.Split(pattern, "/")
	member := strings.TrimSuffix(words[len(words)-1], "...}")[1:]
	fixed := words[len(words)-2]
	if strings.HasPrefix(fixed, "{") { // what stands before is a name, such as a bucket's
		return path, true
	}
	_, rest, _ := strings.Cut(escaped, "/"+fixed+"/")
	value, err := url.PathUnescape(rest)
	path[member] = value
	return path, err == nil
}

func match(pattern string, parts []string) (map[string]string, bool) {
	found := map[string]string{}
	want := strings.Split(pattern, "/")
	for i, w := range want {
		if rest, ok := strings.CutSuffix(w, "...}"); ok && len(parts) >= i {
			found[rest[1:]] = strings.Join(parts[i:], "/")
			return found, true
		}
		switch {
		case len(parts) <= i:
			return nil, false
		case strings.HasPrefix(w, "{"):
			found[w[1:len(w)-1]] = parts[i]
		case w != parts[i]:
			return nil, false
		}
	}
	return found, len(parts) == len(want)
}

func (c *call) readBody(r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	c.size = len(body) + len(r.URL.Path)
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, &c.body); err != nil {
		return badRequest(fmt.Sprintf("the body is not a JSON object: %v; NaN and Infinity are not JSON", err))
	}
	if c.body == nil {
		c.body = map[string]any{}
	}
	return nil
}

// reserve makes room for what this call writes.
func (c *call) reserve() error {
	if err := c.run.Reserve(c.size); err != nil {
		return tooMuch(err.Error())
	}
	return nil
}

// checkScope refuses what names another Event than the run's own, in the path or in the body.
func (c *call) checkScope(body bool) error {
	event := c.Plan.Event
	for _, s := range []struct{ member, want string }{{"program", event.Program},
		{"event", event.Name}, {"profile", event.Profile}} {
		if got, ok := c.path[s.member]; ok && got != s.want {
			return c.foreign(s.member, got, s.want)
		}
	}
	segmenter, ok := c.path["classifier"]
	if !body {
		return c.checkSegmenter(segmenter, ok)
	}
	for _, s := range []struct{ member, want string }{{"Program", event.Program}, {"Event", event.Name},
		{"Profile", event.Profile}, {"ProfileName", event.Profile}} {
		if got, ok := c.body[s.member]; ok && got != s.want {
			return c.foreign(s.member, got, s.want)
		}
	}
	if !ok {
		segmenter, ok = c.body["Classifier"].(string)
	}
	return c.checkSegmenter(segmenter, ok)
}

func (c *call) checkSegmenter(segmenter string, named bool) error {
	if named && c.Plan.NameHere(segmenter) != c.Plan.Segmenter {
		return notFound(fmt.Sprintf("the Event's Classifier is %q, not %q", c.Plan.NameInMRE(c.Plan.Segmenter), segmenter))
	}
	return nil
}

func (c *call) foreign(member string, got any, want string) error {
	return forbidden(fmt.Sprintf("%s is %q; a plugin reads and writes its own Event only, whose %s is %q", member,
		fmt.Sprint(got), strings.ToLower(member), want))
}

// require refuses a body that lacks members.
func (c *call) require(members ...string) error {
	for _, m := range members {
		if _, ok := c.body[m]; !ok {
			return badRequest(fmt.Sprintf("ValidationError: data must contain [%q] properties", m))
		}
	}
	return nil
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the plugin may have gone
}

func answerError(w http.ResponseWriter, err error) {
	r := refused(err)
	answerJSON(w, r.status, map[string]string{"Code": r.code, "Message": r.code + ": " + r.message})
}
