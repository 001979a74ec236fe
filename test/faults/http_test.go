// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// faultyTransport is the network between a process and a server.
type faultyTransport struct {
	next   http.RoundTripper
	layer  string
	inject *injector
	proc   *proc
	// answered sees what the server answered, also when the answer is lost.
	answered func(*http.Request, *http.Response)
}

func (t *faultyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return call(t.inject, t.layer, t.proc, r.Method+" "+plain(r.URL.Path), func() (*http.Response, error) {
		out := r.Clone(r.Context())
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			out.Body = body
		}
		if r.Context().Err() != nil { // it is late, and who sent it has gone
			out = out.WithContext(context.WithoutCancel(r.Context()))
		}
		resp, err := t.next.RoundTrip(out)
		if err == nil && t.answered != nil {
			t.answered(r, resp)
		}
		return resp, err
	}, func(resp *http.Response) {
		if resp != nil {
			resp.Body.Close()
		}
	})
}

var uids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// plain takes out of a path what differs from run to run.
func plain(path string) string { return uids.ReplaceAllString(path, "UID") }

// s3Gate stands before the object store. It answers as a store does that is overloaded, or that breaks in the middle:
// a connection that ends would be opened again, out of sight, by net/http.
type s3Gate struct {
	run    *run
	target *url.URL
}

func (g *s3Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := g.run.caller(r)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	resp, err := call(g.run.inject, layerS3, who, who.name+" "+r.Method+" "+plain(r.URL.Path),
		func() (*http.Response, error) {
			out := r.Clone(r.Context())
			out.URL.Scheme, out.URL.Host, out.RequestURI = g.target.Scheme, g.target.Host, ""
			out.Body = io.NopCloser(bytes.NewReader(body))
			return storeTransport.RoundTrip(out)
		}, func(resp *http.Response) {
			if resp != nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	if err != nil {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate</Message></Error>")
		return
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

var storeTransport = &http.Transport{MaxIdleConnsPerHost: 64}

// caller is whose call it is: pods have signed URLs, the data plane has keys.
func (r *run) caller(req *http.Request) *proc {
	if req.URL.Query().Has("X-Amz-Signature") && r.moving != nil {
		return r.moving
	}
	return r.plane.proc
}

// ServeHTTP is the data plane's address: whichever process is alive answers there.
func (r *run) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p := r.plane
	if p.proc.dead.Load() {
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	p.handler.ServeHTTP(answer, req)
	if p.proc.dead.Load() {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// written is a status that was stored.
type written struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Status struct {
		Conditions []metav1.Condition `json:"conditions"`
	} `json:"status"`
}

// sawAPI notes what the manager's calls did to the cluster.
func (r *run) sawAPI(req *http.Request, resp *http.Response) {
	if req.Method == http.MethodGet || resp.StatusCode >= 300 {
		return
	}
	r.applied++
	if strings.Contains(req.URL.Path, "/jobs") {
		r.jobsMoved = true
	}
	if !strings.HasSuffix(req.URL.Path, "/status") {
		return
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return
	}
	var w written
	if json.Unmarshal(body, &w) != nil || w.Kind == "" {
		return
	}
	r.writes = append(r.writes, w)
	r.woke(w.Kind)
}
