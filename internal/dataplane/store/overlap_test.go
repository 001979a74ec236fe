// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func overlapping(p *api.Plan) { p.SegmentOverlap = new(api.PlanSegmentOverlapAllow) }

// TestOverlapsAreKept: where the plan allows it, segments and optimized marks stay as the plugins say, with the
// plugins' codes, and several segments are open side by side.
func TestOverlapsAreKept(t *testing.T) {
	h := newHarness(t)
	h.start(optimizerOnly, overlapping, func(p *api.Plan) { p.MaxSegmentSeconds = 14 })
	h.ingest(9) // three chunks of 6 s
	h.must(h.report(h.nextSegmenter(), seg("", 1*second),
		seg("", 2*second, 5*second), seg("", 4*second), seg("", 5*second)))
	l := h.nextSegmenter()
	in := l.Input.Segmenter
	if len(in.AlsoOpen) != 2 || in.AlsoOpen[0].ID != "000001-0" || in.AlsoOpen[1].ID != "000001-2" ||
		in.Open.ID != "000001-3" || in.Previous.ID != "000001-1" {
		t.Fatalf("%+v", in)
	}
	h.wantErr(h.report(l, seg("000001-1", 2*second, 7*second)), ErrInvalid, "not open")
	h.wantErr(h.report(l, seg("000001-2", 5*second, 7*second)), ErrInvalid, "moves the start")
	h.wantErr(h.report(l, seg("", 12*second)), ErrInvalid, "after the end of chunk 2")
	// A segment that starts before others, in an earlier chunk.
	h.must(h.report(l, seg("000001-2", 4*second, 8*second), seg("", 3*second, 11*second)))
	h.must(h.report(h.nextSegmenter())) // says nothing: the first has its greatest length, the last ends with the source
	h.drainBut(match{}, func(l *api.Lease, out *api.TaskOutput) bool {
		if o := l.Input.Optimizer; o != nil {
			for i := range out.Optimized {
				out.Optimized[i].StartCode, out.Optimized[i].EndCode = "Opto succeeded", "Opto succeeded"
				if out.Optimized[i].SegmentID == "000001-2" { // elsewhere
					out.Optimized[i].StartMicros, out.Optimized[i].EndMicros = 9*second, 10*second
				}
			}
		}
		return false
	})
	if d := cmp.Diff([]string{
		`000001-0 Complete 25-375 MaxSegmentLength "" opt 13-388 Opto succeeded Opto succeeded`,
		`000001-1 Complete 50-125 Detected "" opt 38-138 Opto succeeded Opto succeeded`,
		`000002-0 Complete 75-275 Detected "" opt 63-288 Opto succeeded Opto succeeded`,
		`000001-2 Complete 100-200 Detected "" opt 225-250 Opto succeeded Opto succeeded`,
		`000001-3 Complete 125-450 SourceEnded "" opt 113-450 Opto succeeded Opto succeeded`,
	}, h.story()[:5]); d != "" {
		t.Error(d)
	}
	if e := h.event(); e.State != api.EventStateStateComplete || e.DeadLetters != 0 || e.Progress.ClipsRendered != 10 ||
		e.Progress.SegmentsOptimized != 5 {
		t.Errorf("%+v", e)
	}
}

// TestReelsShowNoFrameTwice: what segments of a reel share is shown once, and what was left out takes nothing away.
func TestReelsShowNoFrameTwice(t *testing.T) {
	h := newHarness(t)
	h.start(bare, overlapping)
	rules := replayRules(1, 60)
	rules.Features, rules.Resolutions = []api.FeatureRule{{Plugin: "segment", Attribute: "Goal", Weight: 1}},
		rules.Resolutions[:1]
	_, err := h.s.PutReplay(h.ctx, testReplay, rules)
	h.must(err)
	h.ingest(9)
	goal := func(u api.SegmentUpdate) api.SegmentUpdate {
		u.Attributes["Goal"] = true
		return u
	}
	h.must(h.report(h.nextSegmenter(), seg("", 0, 3*second), goal(seg("", 1*second, 8*second)),
		goal(seg("", 2*second, 4*second)), goal(seg("", 5*second, 10*second)), goal(seg("", 5*second+second/2, 17*second))))
	h.drain(match{})
	r := h.replay()
	if r.State != api.ReplayStateStateRendered || r.DurationMicros != 16*second {
		t.Fatalf("%+v", r)
	}
	type part struct {
		Segment string
		In, Out int64
	}
	var parts []part
	for _, d := range r.Decisions {
		if d.Taken {
			parts = append(parts, part{d.SegmentID, d.In.Frame, d.Out.Frame})
		}
	}
	want := []part{{"000001-1", 25, 200}, {"000001-2", 50, 100}, {"000001-3", 200, 250}, {"000001-4", 250, 425}}
	if d := cmp.Diff(want, parts); d != "" {
		t.Errorf("what was taken (-want +got):\n%s", d)
	}
	// 000001-2 is shown whole by the one before it.
	if r.Selected != 3 || r.Outputs[0].Proof.Frames != 400 {
		t.Errorf("%d parts of %d frames", r.Selected, r.Outputs[0].Proof.Frames)
	}
}

func TestAnUnknownPolicyForOverlaps(t *testing.T) {
	h := newHarness(t)
	p := testPlan(h.uid)
	p.SegmentOverlap = new(api.PlanSegmentOverlap("Perhaps"))
	_, err := h.s.PutPlan(h.ctx, h.uid, p)
	h.wantErr(err, ErrInvalid, `"Perhaps"`)
}
