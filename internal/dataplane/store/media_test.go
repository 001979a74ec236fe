// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// A run in a container gets the chunk's media, a built-in does not.
func TestMediaOfAContainer(t *testing.T) {
	h := newHarness(t)
	h.start(contained("", "peaks", "segment", "snap", "name"))
	h.ingest(7) // chunks of three units, the last one of one
	seen := map[api.TaskKind]int{}
	h.drainBut(match{moments: []int64{1, 9}}, func(l *api.Lease, _ *api.TaskOutput) bool {
		builtin := l.Kind == api.TaskKindFramer || (l.Input.Featurer != nil && l.Input.Featurer.Plugin.Builtin != "") ||
			l.Kind == api.TaskKindClip
		if builtin != (l.Media == nil) {
			t.Errorf("%s of chunk %d has media: %t", l.Kind, l.Chunk, l.Media != nil)
		}
		if l.Media == nil {
			return false
		}
		seen[l.Kind]++
		first := (l.Chunk - 1) * 3
		var want []api.UnitRef
		for n := first; n < min(first+3, 7); n++ {
			u := h.nthUnit(n)
			want = append(want, api.UnitRef{Key: u.Key, FirstTicks: u.FirstTicks, FirstFrame: u.FirstFrame, Frames: u.Frames})
		}
		if diff := cmp.Diff(want, l.Media.Units); diff != "" {
			t.Errorf("%s of chunk %d (-want +got):\n%s", l.Kind, l.Chunk, diff)
		}
		if x := l.Media.Chunk; x.Number != l.Chunk || x.FirstFrame != first*unitFrames ||
			*l.Media.Timeline.Frames != x.FirstFrame+x.Frames {
			t.Errorf("%s of chunk %d: %+v on %d frames", l.Kind, l.Chunk, x, *l.Media.Timeline.Frames)
		}
		return false
	})
	for _, kind := range []api.TaskKind{api.TaskKindFeaturer, api.TaskKindSegmenter, api.TaskKindFinal,
		api.TaskKindOptimizer, api.TaskKindLabeler} {
		if seen[kind] == 0 {
			t.Errorf("no %s had media", kind)
		}
	}
}

// The final pass looks at the last chunk that has media, also when the source
// ended in a hole.
func TestMediaOfTheFinalPassAfterAHole(t *testing.T) {
	h := newHarness(t)
	h.start(bare, contained("", "segment"))
	h.register(0, 1, 2)
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 9 * unitFrames}))
	h.clock.Step(61 * time.Second)
	_, err := h.s.Housekeep(h.ctx)
	h.must(err)
	final := h.nextSegmenter()
	if final.Kind == api.TaskKindSegmenter {
		h.must(h.complete(final, match{}))
		for final = h.lease(api.PoolWork); final != nil && final.Kind != api.TaskKindFinal; final = h.lease(api.PoolWork) {
			h.must(h.complete(final, match{}))
		}
	}
	if final == nil || final.Chunk != 3 || final.Media == nil ||
		final.Media.Chunk.Number != 1 || len(final.Media.Units) != 3 {
		t.Fatalf("leased %+v", final)
	}
}

// A segmenter sees the segment before, as its segmenter left it, and everybody
// the start that was reported.
func TestSegmenterSeesThePreviousSegment(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	const odd = 20_001 // a time that is no frame's
	seen := false
	h.drainBut(match{}, func(l *api.Lease, out *api.TaskOutput) bool {
		in := l.Input.Segmenter
		switch {
		case in == nil:
		case in.Chunk.Number == 1:
			if in.Previous != nil {
				t.Errorf("previous: %+v", in.Previous)
			}
			out.Segments = []api.SegmentUpdate{seg("", 1*second+odd, 3*second)}
		default:
			seen = true
			if p := in.Previous; p == nil || p.ID != "000001-0" || p.ReportedStartMicros != 1*second+odd ||
				p.Out.Micros != in.PreviousEndMicros || p.Label != "" {
				t.Errorf("previous: %+v", p)
			}
		}
		return false
	})
	if s := h.segments()[0]; !seen || s.ReportedStartMicros != 1*second+odd || s.In.Micros == s.ReportedStartMicros {
		t.Errorf("segment %+v", s)
	}
}

func TestOptimizerWindow(t *testing.T) {
	for name, c := range map[string]struct {
		configuration map[string]any
		want          int64
	}{
		"default":      {map[string]any{}, 2 * second},
		"ours":         {map[string]any{"windowSeconds": 1.5}, 1_500_000},
		"MRE's":        {map[string]any{"optimization_search_window_sec": "5"}, 5 * second},
		"ours counts":  {map[string]any{"optimization_search_window_sec": "5", "windowSeconds": "3"}, 3 * second},
		"none at all":  {map[string]any{"optimization_search_window_sec": 0.0}, 0},
		"not a number": {map[string]any{"optimization_search_window_sec": "soon"}, -1},
	} {
		got, err := windowMicros(c.configuration)
		if err != nil {
			got = -1
			(&harness{t: t}).wantErr(err, ErrInvalid, "optimization_search_window_sec")
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
