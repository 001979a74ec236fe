// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestHappyPath(t *testing.T) {
	h := newHarness(t)
	h.start()
	if got := h.event().State; got != api.EventStateStatePending {
		t.Fatalf("before the first unit: %s", got)
	}
	h.register(0, 1, 2)
	if got := h.event(); got.State != api.EventStateStateActive || got.Progress.ChunksIngested != 0 {
		t.Fatalf("after chunk 1's units: %+v", got)
	}
	for i := int64(3); i < 15; i++ {
		h.register(i)
	}
	if got := h.event().Progress.ChunksIngested; got != 4 {
		t.Fatalf("%d chunks before the end, want 4", got)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 750}))
	m := match{moments: []int64{4, 13, 29}}
	h.drain(m)
	e := h.event()
	want := api.Progress{ChunksIngested: 5, ChunksProcessed: 5, SegmentsComplete: 3, SegmentsOptimized: 3, ClipsWanted: 6,
		ClipsRendered: 6, TimelineMicros: 30 * second}
	if d := cmp.Diff(want, e.Progress); d != "" || e.State != api.EventStateStateComplete {
		t.Fatalf("%s %v: %s", e.State, e.Message, d)
	}
	if d := cmp.Diff([]string{
		`000001-0 Complete 50-175 Detected "moment in 000001-0" opt 38-188 moved moved`,
		`000003-0 Complete 275-400 Detected "moment in 000003-0" opt 263-413 moved moved`,
		`000005-0 Complete 675-750 SourceEnded "moment in 000005-0" opt 663-750 moved moved`,
		"000001-0 optimized t1 m2 Rendered 38-188", "000001-0 original t1 m1 Rendered 50-175",
		"000003-0 optimized t1 m2 Rendered 263-413", "000003-0 original t1 m1 Rendered 275-400",
		"000005-0 optimized t1 m2 Rendered 663-750", "000005-0 original t1 m1 Rendered 675-750",
	}, h.story()); d != "" {
		t.Error(d)
	}
	for _, g := range h.segments() {
		if g.Attributes["Named"] != true {
			t.Errorf("segment %s lacks its labeler's attributes: %v", g.ID, g.Attributes)
		}
	}
	if e.ExportLocation == nil || *e.ExportLocation != "s3://bucket/sports/"+testEvent+"/exports/event.json" ||
		len(e.EdlLocations) != 1 {
		t.Errorf("exports: %v %v", e.ExportLocation, e.EdlLocations)
	}
	for _, pool := range []api.Pool{api.PoolWork, api.PoolRender} {
		if got := h.outcome(pool); got != api.LeaseResponseOutcomeDone {
			t.Errorf("pool %s after the end: %s", pool, got)
		}
	}
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(20)), ErrConflict, "Complete")
}
