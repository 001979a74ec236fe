// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// plane answers what the façade asks of the data plane, from what the test has seen: an Event that nobody else works
// on.
type plane struct {
	mu        sync.Mutex
	variables map[string]any
	chunks    []api.Chunk
	segments  []api.Segment
	results   []api.StoredResult
}

func (p *plane) handler() http.Handler {
	mux := http.NewServeMux()
	list := func(path string, items func() any) {
		mux.HandleFunc("GET /v1/events/{uid}/"+path, func(w http.ResponseWriter, _ *http.Request) {
			p.mu.Lock()
			defer p.mu.Unlock()
			reply(w, http.StatusOK, items())
		})
	}
	list("variables", func() any { return api.Variables{Variables: p.variables} })
	list("chunks", func() any { return api.ChunkList{Items: p.chunks} })
	list("segments", func() any { return api.SegmentList{Items: p.segments} })
	list("results", func() any { return api.ResultList{Items: p.results} })
	list("clips", func() any { return api.ClipList{Items: []api.Clip{}} })
	list("feedback", func() any { return api.FeedbackList{Items: []api.Feedback{}} })
	mux.HandleFunc("POST /v1/events/{uid}/tasks/{task}/variables", p.swap)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, api.ProblemCodeNotFound, "a test without a cluster has no "+r.URL.Path)
	})
	return mux
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code api.ProblemCode, detail string) {
	reply(w, status, api.Problem{Status: int32(status), Code: code, Title: http.StatusText(status), Detail: &detail})
}

func (p *plane) swap(w http.ResponseWriter, r *http.Request) {
	var in api.VariableSwap
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, api.ProblemCodeInvalid, err.Error())
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var out api.VariableSwapResult
	now, exists := p.variables[in.Name]
	same := !exists && in.Expected == nil
	if exists && in.Expected != nil {
		same = bytes.Equal(jsonOf(now), compact(*in.Expected))
	}
	if same {
		var value any
		_ = json.Unmarshal(in.Value, &value)
		p.variables[in.Name] = value
		out.Swapped = true
	}
	if now, ok := p.variables[in.Name]; ok {
		current := json.RawMessage(jsonOf(now))
		out.Current = &current
	}
	reply(w, http.StatusOK, out)
}

// jsonOf is for values that came from JSON.
func jsonOf(v any) []byte {
	body, _ := json.Marshal(v)
	return body
}

func compact(raw json.RawMessage) []byte {
	var v any
	_ = json.Unmarshal(raw, &v)
	return jsonOf(v)
}

// publish keeps what a run put out.
func (p *plane) publish(plugin string, track int32, chunk api.ChunkExtent, out api.TaskOutput,
	segments []api.Segment, snap func(int64) api.Mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.variables, out.Variables)
	p.segments = slices.Clone(segments)
	for _, r := range out.Results {
		p.results = append(p.results, api.StoredResult{Plugin: plugin, Track: track, Chunk: chunk.Number,
			Result: api.Result{Start: snap(r.StartMicros), End: snap(r.EndMicros), Attributes: r.Attributes}})
	}
}
