// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// Frames decodes the chunk of a run once for each request's parameters.
type Frames func(ctx context.Context, run *invocation.Run, p FrameParams) (FrameFile, error)

// FrameParams are what a plugin asks for.
type FrameParams struct {
	// Width of the frames; their height follows.
	Width int
	// Format of their pixels: gray or rgb24.
	Format string
	Rate   timeline.Rational
}

// FrameFile are decoded frames, one after the other.
type FrameFile struct {
	Path          string
	Width, Height int
	Frames        int64
	Rate          timeline.Rational
	// FirstMicros is the Event's time of the first frame.
	FirstMicros int64
}

// maxWidth of frames: 8K.
const maxWidth = 7680

// serveOwn answers our own API. path is what follows /mre/v1/, as it came.
func (f *Facade) serveOwn(run *invocation.Run, w http.ResponseWriter, r *http.Request, path string) {
	parts := strings.Split(path, "/")
	for i := range parts {
		decoded, err := url.PathUnescape(parts[i])
		if err != nil {
			answerError(w, badRequest("the path is not encoded as paths are"))
			return
		}
		parts[i] = decoded
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	var answer any
	var err error
	switch {
	case read && len(parts) == 2 && parts[0] == "media":
		f.serveMedia(run, w, r, parts[1])
		return
	case read && len(parts) == 1 && parts[0] == "frames":
		f.serveFrames(run, w, r)
		return
	case read && len(parts) == 1 && parts[0] == "variables":
		var all map[string]any
		all, err = f.contextVariables(r.Context(), run)
		answer = api.Variables{Variables: all}
	case r.Method == http.MethodPost && len(parts) == 3 && parts[0] == "variables" && parts[2] == "swap":
		answer, err = f.swap(run, r, parts[1])
	case read && len(parts) == 2 && parts[0] == "prompts":
		answer, err = f.ownPrompt(parts[1], r.URL.Query().Get("version"))
	default:
		err = notFound("there is GET media/NAME, GET frames, GET variables, POST variables/NAME/swap and " +
			"GET prompts/NAME below /mre/v1/")
	}
	if err != nil {
		answerError(w, err)
		return
	}
	answerJSON(w, http.StatusOK, answer)
}

// serveMedia sends the chunk's file. Only its own name opens it.
func (f *Facade) serveMedia(run *invocation.Run, w http.ResponseWriter, r *http.Request, name string) {
	switch {
	case run == nil:
		answerError(w, errNoRun)
		return
	case run.Media == nil || run.Media.Name != name:
		answerError(w, notFound(fmt.Sprintf("this run has no file %q; the input names the chunk's file", name)))
		return
	}
	file, err := os.Open(run.Media.Path)
	if err != nil {
		answerError(w, fmt.Errorf("open the chunk's file: %w", err))
		return
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		answerError(w, fmt.Errorf("look at the chunk's file: %w", err))
		return
	}
	w.Header().Set("Content-Type", "video/mp2t")
	http.ServeContent(w, r, "", info.ModTime(), file)
}

// serveFrames sends decoded frames.
func (f *Facade) serveFrames(run *invocation.Run, w http.ResponseWriter, r *http.Request) {
	switch {
	case run == nil:
		answerError(w, errNoRun)
		return
	case run.Media == nil:
		answerError(w, notFound(fmt.Sprintf("no media came for chunk %d", run.Chunk().Number)))
		return
	case f.Frames == nil:
		answerError(w, notOffered("frames are not decoded here; decode the chunk's file"))
		return
	}
	p, err := frameParams(r.URL.Query(), invocation.ProcessingRate(f.Plan))
	if err != nil {
		answerError(w, err)
		return
	}
	got, err := f.Frames(r.Context(), run, p)
	if err != nil {
		answerError(w, err)
		return
	}
	file, err := os.Open(got.Path)
	if err != nil {
		answerError(w, fmt.Errorf("open the decoded frames: %w", err))
		return
	}
	defer func() { _ = file.Close() }()
	h := w.Header()
	for name, n := range map[string]int64{
		"Width": int64(got.Width), "Height": int64(got.Height), "Frames": got.Frames, "Rate-Num": got.Rate.Num,
		"Rate-Den": got.Rate.Den, "First-Micros": got.FirstMicros,
	} {
		h.Set("X-Mre-"+name, strconv.FormatInt(n, 10))
	}
	h.Set("Content-Type", "application/octet-stream")
	if info, err := file.Stat(); err == nil {
		h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	}
	if r.Method == http.MethodGet {
		_, _ = io.Copy(w, file) // the plugin may have gone
	}
}

func frameParams(q url.Values, usual timeline.Rational) (FrameParams, error) {
	p := FrameParams{Format: q.Get("format"), Rate: usual}
	if p.Format != "gray" && p.Format != "rgb24" {
		return p, badRequest(fmt.Sprintf("format is %q; it is gray or rgb24", p.Format))
	}
	var err error
	if p.Width, err = strconv.Atoi(q.Get("width")); err != nil || p.Width < 2 || p.Width > maxWidth {
		return p, badRequest(fmt.Sprintf("width is %q; it is a number of pixels from 2 to %d", q.Get("width"), maxWidth))
	}
	if rate := q.Get("rate"); rate != "" {
		if p.Rate, err = timeline.ParseRational(rate); err != nil {
			return p, badRequest("rate: " + err.Error())
		}
	}
	return p, nil
}

// swap sets a context variable at once, if it has the expected value.
func (f *Facade) swap(run *invocation.Run, r *http.Request, name string) (any, error) {
	if run == nil {
		return nil, errNoRun
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	var in struct {
		Expected *json.RawMessage `json:"expected"`
		Value    any              `json:"value"`
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, badRequest("the body must be {\"expected\": …, \"value\": …}: " + err.Error())
	}
	if err := invocation.CheckVariable(name, in.Value); err != nil {
		return nil, badRequest(err.Error())
	}
	value, err := json.Marshal(in.Value)
	if err != nil {
		return nil, err
	}
	got, err := f.Client.SwapVariable(r.Context(), f.EventUID, run.Lease.TaskID,
		api.VariableSwap{Token: run.Lease.Token, Name: name, Expected: in.Expected, Value: value})
	if err == nil && got.Swapped {
		run.ForgetVariable(name)
	}
	return got, err
}

// ownPrompt is a prompt without MRE's columns.
func (f *Facade) ownPrompt(name, version string) (any, error) {
	r, err := f.prompt(name, version)
	if err != nil {
		return nil, err
	}
	return map[string]any{"name": r["Name"], "version": r["Version"], "template": r["Template"]}, nil
}
