// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// chunkLines says what chunks there are.
func (h *harness) chunkLines() []string {
	h.t.Helper()
	list, _, err := h.s.Chunks(h.ctx, h.uid, 1000, "")
	h.must(err)
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%d %s %d+%d", c.Extent.Number, c.State, c.Extent.FirstFrame, c.Extent.Frames))
	}
	return out
}

func TestUnitsInAnyOrderAndTwice(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(8, 4, 4, 3, 1, 0)
	if d := cmp.Diff([]string{"1 open 50+100", "2 open 200+100", "3 open 400+50"}, h.chunkLines()); d != "" {
		t.Error(d)
	}
	if got := h.event(); got.Progress.TimelineMicros != 4*second || got.Progress.ChunksIngested != 0 {
		t.Errorf("a hole at unit 2: %+v", got.Progress)
	}
	h.register(2)
	if d := cmp.Diff([]string{"1 closed 0+150", "2 open 200+100", "3 open 400+50"}, h.chunkLines()); d != "" {
		t.Error(d)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 450})) // units 5 to 7 are still on their way
	if got := h.event(); got.State != api.EventStateStateDraining || *got.Timeline.Ended {
		t.Errorf("%+v", got)
	}
	h.register(7, 7, 6, 5, 0)
	if d := cmp.Diff([]string{"1 closed 0+150", "2 closed 150+150", "3 closed 300+150"}, h.chunkLines()); d != "" {
		t.Error(d)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 450}))
	h.drain(match{})
	if got := h.event(); got.State != api.EventStateStateComplete || got.Progress.ChunksProcessed != 3 {
		t.Errorf("%+v", got)
	}
}

func TestEmptyChunks(t *testing.T) {
	h := newHarness(t)
	h.start(func(p *api.Plan) { p.ChunkSeconds = 2; p.MaxSegmentSeconds = 5 })
	// One unit of 7 s: chunks 2 and 3 have no unit of their own.
	h.must(h.s.RegisterUnit(h.ctx, h.uid, h.unit(0, 175)))
	h.must(h.s.RegisterUnit(h.ctx, h.uid, h.unit(175, 75)))
	h.must(h.s.RegisterUnit(h.ctx, h.uid, h.unit(250, 50)))
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 300}))
	if d := cmp.Diff([]string{"1 closed 0+175", "2 empty 175+0", "3 empty 175+0", "4 closed 175+75", "5 empty 250+0",
		"6 closed 250+50"}, h.chunkLines()); d != "" {
		t.Error(d)
	}
	m := match{moments: []int64{3, 11}}
	h.drain(m)
	e := h.event()
	if e.State != api.EventStateStateComplete || e.Progress.ChunksProcessed != 6 || e.Progress.ChunksFailed != 0 {
		t.Fatalf("%+v", e)
	}
	if d := cmp.Diff([]string{
		`000001-0 Complete 25-150 MaxSegmentLength "moment in 000001-0" opt 13-163 moved moved`,
		`000006-0 Complete 225-300 SourceEnded "moment in 000006-0" opt 213-300 moved moved`,
	}, h.story()[:2]); d != "" {
		t.Error(d)
	}
}

func TestUnitsAreRefused(t *testing.T) {
	h := newHarness(t)
	_, err := h.s.PutPlan(h.ctx, h.uid, testPlan(h.uid))
	h.must(err)
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(0)), ErrConflict, "timeline")
	h.must(h.s.PutTimeline(h.ctx, h.uid, testTimeline()))
	h.must(h.s.PutTimeline(h.ctx, h.uid, testTimeline()))
	other := testTimeline()
	other.OriginTicks++
	h.wantErr(h.s.PutTimeline(h.ctx, h.uid, other), ErrConflict, "frozen")
	h.register(0)
	u := h.nthUnit(0)
	u.PayloadSHA256 = strings.Repeat("f", 64)
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, u), ErrConflict, "another payload")
	u = h.nthUnit(1)
	u.Key = "other/ns/units/0/1.ts"
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, u), ErrInvalid, "stored at")
	u = h.nthUnit(1)
	u.StartMicros += second
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, u), ErrInvalid, "firstFrame")
	h.register(1)
	h.wantErr(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 99}), ErrInvalid, "stored")
	h.wantErr(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{}), ErrInvalid, "SourceEmpty")
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 100}))
	h.wantErr(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 101}), ErrConflict, "100")
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(2)), ErrConflict, "has ended")
	h.must(h.s.FailSource(h.ctx, h.uid, api.Failure{Reason: api.FailureReasonIngestFailed})) // too late to count
	if got := h.event().State; got != api.EventStateStateDraining {
		t.Fatal(got)
	}
	h.wantErr(h.s.RegisterUnit(h.ctx, "no-such-event", h.nthUnit(2)), ErrNotFound, "no Event")
}

func TestEpochsOverlap(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1)
	twin := h.unit(75, 50) // from a second run that cut elsewhere
	twin.Epoch = 1
	twin.Key = strings.Replace(twin.Key, "units/0/", "units/1/", 1)
	h.must(h.s.RegisterUnit(h.ctx, h.uid, twin))
	next := h.unit(125, 75)
	next.Epoch = 1
	next.Key = strings.Replace(next.Key, "units/0/", "units/1/", 1)
	h.must(h.s.RegisterUnit(h.ctx, h.uid, next))
	var refs []api.UnitRef
	h.must(h.s.onEvent(h.ctx, h.uid, func(e *eventTx) (err error) {
		refs, err = e.unitsCovering(0, 200)
		return err
	}))
	var got []int64
	for _, r := range refs {
		got = append(got, r.FirstFrame)
	}
	if d := cmp.Diff([]int64{0, 50, 75, 125}, got); d != "" {
		t.Error(d)
	}
}

func TestSourceFailure(t *testing.T) {
	h := newHarness(t)
	h.start()
	fail := func() {
		h.must(h.s.FailSource(h.ctx, h.uid,
			api.Failure{Reason: api.FailureReasonSourceCorrupt, Message: "moov atom not found"}))
	}
	fail()
	fail()
	e := h.event()
	if e.State != api.EventStateStateFailed || *e.Reason != "SourceCorrupt" || *e.Message != "moov atom not found" ||
		!reflect.DeepEqual(e.Backlog, api.Backlog{}) {
		t.Fatalf("%+v", e)
	}
	h.wantErr(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 200}), ErrConflict, "Failed")
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(0)), ErrConflict, "moov")
	if got := h.outcome(api.PoolWork); got != api.LeaseResponseOutcomeDone {
		t.Fatal(got)
	}
	spec, err := h.s.Ingest(h.ctx, h.uid)
	h.must(err)
	if !spec.Ended || len(spec.Units) != 0 {
		t.Fatalf("%+v", spec)
	}
}

// TestUnitsToRender are those that hold the range, the one whose sound warms the
// decoder up, and the one whose last picture stands where the mark-in is in a
// hole.
func TestUnitsToRender(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(1, 2, 6, 7)
	for name, c := range map[string]struct {
		in, out int64
		want    []int64
	}{
		"inside":                    {110, 120, []int64{100}},
		"128 ms after a border":     {103, 120, []int64{50, 100}},
		"later":                     {105, 120, []int64{100}},
		"over a border":             {90, 120, []int64{50, 100}},
		"ends in a hole":            {120, 200, []int64{100}},
		"over a hole":               {120, 310, []int64{100, 300}},
		"begins in a hole":          {200, 310, []int64{100, 300}},
		"all in a hole":             {200, 210, []int64{100}},
		"the first after a hole":    {300, 310, []int64{300}},
		"before all":                {10, 60, []int64{50}},
		"before all, nothing in it": {10, 20, []int64{50}},
		"after all":                 {420, 430, []int64{350}},
	} {
		var got []int64
		h.must(h.s.onEvent(h.ctx, h.uid, func(e *eventTx) error {
			refs, err := e.unitsToRender(api.Mark{Frame: c.in}, api.Mark{Frame: c.out})
			for _, r := range refs {
				got = append(got, r.FirstFrame)
			}
			return err
		}))
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
