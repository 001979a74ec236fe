// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Any plugin's run may put attributes on any segment; they are published with
// the run, and exports and selection see them.
func TestAttributesOfEarlierSegments(t *testing.T) {
	h := newHarness(t)
	h.start()
	rules := replayRules(1, 300)
	rules.Features = []api.FeatureRule{{Plugin: "segment", Attribute: "Star", Weight: 1}}
	_, err := h.s.PutReplay(h.ctx, testReplay, rules)
	h.must(err)
	h.ingest(9)
	h.drainBut(match{}, func(l *api.Lease, out *api.TaskOutput) bool {
		in := l.Input.Segmenter
		switch {
		case in == nil:
		case in.Chunk.Number == 1:
			out.Segments = []api.SegmentUpdate{seg("", 1*second, 3*second), seg("", 4*second)}
			out.Segments[0].Attributes = map[string]any{"Kept": "yes", "Score": 1.0}
			out.Segments[1].Attributes = map[string]any{"Open": true}
		case in.Chunk.Number == 2:
			if in.Open == nil || in.Previous == nil {
				t.Fatalf("open %v, previous %v", in.Open, in.Previous)
			}
			out.SegmentAttributes = []api.SegmentAttributes{
				{SegmentID: in.Previous.ID, Attributes: map[string]any{"Score": 2.0, "Star": true}},
				{SegmentID: in.Open.ID, Attributes: map[string]any{"Note": "early"}},
			}
			out.Segments = []api.SegmentUpdate{seg(in.Open.ID, 4*second, 10*second)}
			out.Segments[0].Attributes = map[string]any{"Closed": true}
		}
		return false
	})
	var got []map[string]any
	for _, s := range h.segments() {
		got = append(got, s.Attributes)
	}
	// The labeler names both.
	want := []map[string]any{{"Kept": "yes", "Score": 2.0, "Star": true, "Named": true},
		{"Open": true, "Note": "early", "Closed": true, "Named": true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	data, err := h.s.ExportData(h.ctx, h.uid)
	h.must(err)
	if data.Segments[0].Attributes["Star"] != true {
		t.Errorf("exported %v", data.Segments[0].Attributes)
	}
	r, err := h.s.Replay(h.ctx, testReplay)
	h.must(err)
	if len(r.Decisions) != 2 || !r.Decisions[0].Taken || r.Decisions[1].Taken {
		t.Errorf("decisions: %+v", r.Decisions)
	}
}

func TestAttributesThatAreRefused(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	h.must(h.complete(h.lease(api.PoolWork), match{}))
	l := h.lease(api.PoolWork)
	for words, list := range map[string][]api.SegmentAttributes{
		`segmentAttributes[0] names segment "000009-0"`: {{SegmentID: "000009-0", Attributes: map[string]any{"a": 1}}},
		"segmentAttributes has 1001 entries":            make([]api.SegmentAttributes, 1001),
	} {
		out := match{}.work(l)
		out.SegmentAttributes = list
		h.wantErr(h.completeTask(l.TaskID, out), ErrInvalid, words)
	}
	// Attributes of a segment are bounded as a whole, not by run.
	h.drainBut(match{}, func(l *api.Lease, out *api.TaskOutput) bool {
		if l.Kind != api.TaskKindSegmenter {
			return false
		}
		out.Segments = []api.SegmentUpdate{seg("", 1*second, 3*second)}
		out.Segments[0].Attributes = map[string]any{"a": strings.Repeat("x", api.MaxAttributesBytes/2)}
		return false
	})
	e := h.segments()[0]
	h.must(h.s.write(h.ctx, func(t *txn) error {
		tx, err := t.lockEvent(h.uid)
		if err != nil {
			return err
		}
		h.wantErr(tx.annotate([]api.SegmentAttributes{{SegmentID: e.ID,
			Attributes: map[string]any{"b": strings.Repeat("x", api.MaxAttributesBytes/2)}}}),
			ErrInvalid, "segmentAttributes[0].attributes take")
		return errUnchanged
	}))
}
