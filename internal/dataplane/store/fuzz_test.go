// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// fuzzKinds are the kinds of tasks whose output comes from plugins.
var fuzzKinds = []api.TaskKind{api.TaskKindFeaturer, api.TaskKindSegmenter, api.TaskKindOptimizer, api.TaskKindLabeler, api.TaskKindFinal}

// FuzzResults completes a task with whatever a plugin may send. It is refused,
// with a message, or published; and what is published can be lived with.
func FuzzResults(f *testing.F) {
	for kind, bodies := range map[api.TaskKind][]string{
		api.TaskKindFeaturer: {
			`{"results":[{"startMicros":1000000,"endMicros":2000000,"attributes":{"Label":"x","deep":{"a":[1,null,true]}}}]}`,
			`{"results":[{"startMicros":-1,"endMicros":0,"attributes":null},{"startMicros":9223372036854775807,"endMicros":-9223372036854775808}]}`,
			`{"variables":{"a":"b","n":1e3,"t":true,"":null},"segmentAttributes":[{"segmentID":"000001-0","attributes":{"x":1}}]}`,
		},
		api.TaskKindSegmenter: {
			`{"segments":[{"startMicros":1000000,"endMicros":2000000,"attributes":{}},{"startMicros":3000000,"attributes":{}}]}`,
			`{"segments":[{"id":"000001-0","startMicros":3000000,"endMicros":7000000,"closeReason":"Detected","attributes":{}}]}`,
			`{"segments":[{"startMicros":0,"endMicros":600000000},{"startMicros":2,"endMicros":1}],"segmentAttributes":[{"segmentID":"000001-1","attributes":{}}]}`,
		},
		api.TaskKindFinal: {`{"segments":[{"id":"000002-0","startMicros":9000000,"endMicros":17000000,"attributes":{}}]}`, `{}`},
		api.TaskKindOptimizer: {
			`{"optimized":[{"segmentID":"000001-0","startMicros":500000,"endMicros":3500000,"startCode":"ok","endCode":"ok"}]}`,
			`{"optimized":[{"segmentID":"000001-0","startMicros":2000000,"endMicros":2000000},{"segmentID":"000001-0"}]}`,
		},
		api.TaskKindLabeler: {`{"labels":[{"segmentID":"000001-0","code":"OK","label":"a\u0000\ud800","attributes":{"Named":true}}]}`},
	} {
		for _, body := range bodies {
			for i, k := range fuzzKinds {
				if k == kind {
					f.Add(uint8(i), []byte(body))
				}
			}
		}
	}
	store := newHarness(f)
	var events atomic.Int64
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		var out api.TaskOutput
		if json.Unmarshal(body, &out) != nil {
			t.Skip("the server refuses what is not an output")
		}
		h := *store
		h.t, h.uid = t, fmt.Sprintf("fuzz-%d", events.Add(1))
		h.start(contained("", "scene", "segment", "snap", "name"))
		h.ingest(9)
		m := match{moments: []int64{1, 9}}
		wanted := fuzzKinds[int(kind)%len(fuzzKinds)]
		done := false
		for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
			if l.Kind != wanted || done {
				err := h.complete(l, m)
				if errors.Is(err, ErrInvalid) { // the plugins' script does not know what the fuzzer reported before it
					err = h.fail(l, err.Error())
				}
				h.must(err)
				continue
			}
			done = true
			out.Token, out.Next = l.Token, nil
			if err := h.completeTask(l.TaskID, out); err != nil {
				if !errors.Is(err, ErrInvalid) || strings.TrimSpace(err.Error()) == "" {
					t.Fatalf("%s with %s: %v", l.Kind, body, err)
				}
				h.must(h.fail(l, err.Error()))
			}
		}
		h.checkPublished()
	})
}

// checkPublished says what holds of an Event of 18 s, whatever its plugins do.
func (h *harness) checkPublished() {
	h.t.Helper()
	const end = 9 * unitFrames
	results, _, err := h.s.Results(h.ctx, h.uid, ResultFilter{}, 1000, "")
	h.must(err)
	for _, r := range results {
		if s, e := r.Result.Start.Frame, r.Result.End.Frame; s < 0 || s >= end || e < s || e > end {
			h.t.Errorf("a result of %s from frame %d to %d of %d", r.Plugin, s, e, end)
		}
	}
	last := map[int32]int64{}
	at, open := int64(0), 0
	for _, s := range h.segments() {
		if s.State == api.SegmentStateOpen {
			open++
			continue
		}
		if s.In.Frame < at || s.Out.Frame <= s.In.Frame || s.Out.Micros-s.In.Micros > 60*second+40_000 {
			h.t.Errorf("segment %s from frame %d to %d, after %d", s.ID, s.In.Frame, s.Out.Frame, at)
		}
		at = s.Out.Frame
		for _, o := range s.Optimized {
			if o.In == s.In && o.Out == *s.Out {
				continue // only a code that says why it stays where it is
			}
			if o.In.Frame < last[o.Track] || o.Out.Frame <= o.In.Frame {
				h.t.Errorf("segment %s is optimized from frame %d to %d, after %d", s.ID, o.In.Frame, o.Out.Frame, last[o.Track])
			}
			last[o.Track] = o.Out.Frame
		}
	}
	if open > 0 {
		h.t.Errorf("%d segments are open after the final pass", open)
	}
	if e := h.event(); e.Backlog.Work != (api.PoolBacklog{}) {
		h.t.Errorf("%s with work left: %+v", e.State, e.Backlog.Work)
	}
	variables, err := h.s.Variables(h.ctx, h.uid)
	h.must(err)
	if _, err := json.Marshal(variables); err != nil || len(variables) > maxVariables {
		h.t.Errorf("%d variables: %v", len(variables), err)
	}
	if _, err := h.s.ExportData(h.ctx, h.uid); err != nil {
		h.t.Errorf("export: %v", err)
	}
}
