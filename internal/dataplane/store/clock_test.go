// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// driftingUnit is unit n of a source whose clock is 200 ppm slow: each of its
// units lasts 200 µs a second longer than on the nominal grid.
func (h *harness) driftingUnit(n int64) api.Unit {
	u := h.nthUnit(n)
	u.StartMicros += u.StartMicros / 5000
	u.EndMicros += u.EndMicros / 5000
	return u
}

// TestDriftingClock converts between frames and times through the units: after
// 1000 units of 2 s the clock is ten frames off its nominal rate.
func TestDriftingClock(t *testing.T) {
	h := newHarness(t)
	h.start()
	for n := range int64(1001) {
		h.must(h.s.RegisterUnit(h.ctx, h.uid, h.driftingUnit(n)))
	}
	state := h.event()
	if want := 1001 * 2 * second * 5001 / 5000; state.Progress.TimelineMicros != want {
		t.Errorf("the timeline is at %d µs, want %d", state.Progress.TimelineMicros, want)
	}
	h.must(h.s.onEvent(h.ctx, h.uid, func(e *eventTx) error {
		for _, frame := range []int64{0, 49, 50, 25_000, 50_000, 50_049} {
			us := frame * 40_000 * 5001 / 5000
			m := e.markAt(frame)
			if off := m.Micros - us; off > 20 || off < -20 {
				t.Errorf("frame %d starts at %d µs, want %d", frame, m.Micros, us)
			}
			if s := e.snap(us); s != m {
				t.Errorf("%d µs snap to %+v, want %+v", us, s, m)
			}
			if s := e.snap(us - 19_000); s.Frame != m.Frame && frame > 0 {
				t.Errorf("%d µs snap to frame %d, want %d", us-19_000, s.Frame, m.Frame)
			}
		}
		anchors := e.anchorsUpTo(50_000)
		last := anchors[len(anchors)-1]
		if len(anchors) != maxAnchors+1 || last.Frame != 50_000 || last.ShiftTicks != 36_000 {
			t.Errorf("%d anchors, the last %+v", len(anchors), last)
		}
		return errUnchanged
	}))
	// A chunk's times are those of its units.
	list, _, err := h.s.Chunks(h.ctx, h.uid, 1000, "")
	h.must(err)
	c := list[len(list)-2].Extent
	if first := h.driftingUnit(c.FirstFrame / unitFrames); c.StartMicros != first.StartMicros {
		t.Errorf("chunk %d starts at %d µs, its first unit at %d", c.Number, c.StartMicros, first.StartMicros)
	}
	far := h.nthUnit(2000)
	far.StartMicros += 60 * second
	far.EndMicros += 60 * second
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, far), ErrInvalid, "is the start of frame")
}

// TestSourceParts notes how a source is ingested on, once each, and counts what
// is not listed.
func TestSourceParts(t *testing.T) {
	h := newHarness(t)
	part := func(frame int64) api.IngestPart {
		return api.IngestPart{FirstFrame: frame, Ingest: api.IngestPartIngestMezzanine,
			Reason: fmt.Sprintf("reason %d", frame)}
	}
	h.start()
	for n := range int64(40) {
		for range 2 {
			h.must(h.s.AddIngestPart(h.ctx, h.uid, part(n*100)))
		}
	}
	u := h.nthUnit(0)
	u.PicturesDropped = new(int64(3))
	for range 2 {
		h.must(h.s.RegisterUnit(h.ctx, h.uid, u))
	}
	u = h.nthUnit(1)
	u.PicturesDropped = new(int64(4))
	h.must(h.s.RegisterUnit(h.ctx, h.uid, u))
	spec, err := h.s.Ingest(h.ctx, h.uid)
	h.must(err)
	if d := cmp.Diff(&api.IngestPosition{Frame: 2 * unitFrames, Micros: 4 * second}, spec.Next); d != "" {
		t.Error(d)
	}
	tl := h.event().Timeline
	if len(tl.Parts) != maxParts || *tl.PartsTotal != 40 || tl.Parts[1] != part(100) || *tl.PicturesDropped != 7 {
		t.Errorf("%d parts of %d, %d pictures dropped", len(tl.Parts), *tl.PartsTotal, *tl.PicturesDropped)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 2 * unitFrames, Incomplete: new("it is cut off")}))
	if tl := h.event().Timeline; *tl.Incomplete != "it is cut off" {
		t.Errorf("incomplete: %v", tl.Incomplete)
	}
	h.wantErr(h.s.AddIngestPart(h.ctx, h.uid, part(9000)), ErrConflict, "ended")
}
