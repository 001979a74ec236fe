// SPDX-License-Identifier: Apache-2.0

package store

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// bare is a plan with a segmenter alone.
func bare(p *api.Plan) {
	p.Optimizer, p.Labeler = nil, nil
	p.Plugins = p.Plugins[3:4]
	p.Plugins[0].DependsOn = []string{}
}

// nextSegmenter leases until a segmenter or the final pass comes.
func (h *harness) nextSegmenter() *api.Lease {
	h.t.Helper()
	for {
		l := h.lease(api.PoolWork)
		if l == nil {
			h.t.Fatal("no segmenter is ready")
		}
		if l.Input.Segmenter != nil {
			return l
		}
		h.must(h.complete(l, match{}))
	}
}

func (h *harness) report(l *api.Lease, updates ...api.SegmentUpdate) error {
	return h.completeTask(l.TaskID, api.TaskOutput{Token: l.Token, Segments: updates})
}

func seg(id string, start int64, end ...int64) api.SegmentUpdate {
	u := api.SegmentUpdate{StartMicros: start, Attributes: map[string]any{}}
	if id != "" {
		u.ID = &id
	}
	if len(end) > 0 {
		u.EndMicros = &end[0]
	}
	return u
}

func TestNonsenseFromASegmenter(t *testing.T) {
	h := newHarness(t)
	h.start(bare)
	h.ingest(9)
	l := h.nextSegmenter()
	cases := []struct {
		words   string
		updates []api.SegmentUpdate
	}{
		{"segments[1] starts at 3000000", []api.SegmentUpdate{seg("", 1*second, 4*second), seg("", 3*second)}},
		{"segments[1] opens a segment", []api.SegmentUpdate{seg("", 1*second), seg("", 3*second)}},
		{"segments[0] names segment \"000001-0\"", []api.SegmentUpdate{seg("000001-0", 1*second, 2*second)}},
		{"segments[0] ends at", []api.SegmentUpdate{seg("", 2*second, 1*second)}},
		{"segments[0] starts at 6000000", []api.SegmentUpdate{seg("", 6*second)}},
	}
	for _, c := range cases {
		h.wantErr(h.report(l, c.updates...), ErrInvalid, c.words)
	}
	if got := h.segments(); len(got) != 0 {
		t.Fatalf("refused reports left %v", got)
	}
	h.must(h.report(l, seg("", 1*second, 2*second), seg("", 2*second)))
	l = h.nextSegmenter()
	if in := l.Input.Segmenter; in.Open == nil || in.Open.ID != "000001-1" || in.PreviousEndMicros != 2*second {
		t.Fatalf("%+v", in)
	}
	h.wantErr(h.report(l, seg("000001-1", 3*second, 5*second)), ErrInvalid, "moves the start")
	h.wantErr(h.report(l, seg("000001-0", 1*second, 5*second)), ErrInvalid, "not open")
	h.must(h.report(l, seg("000001-1", 2*second, 9*second)))
	h.drain(match{})
	if d := cmp.Diff([]string{
		`000001-0 Complete 25-50 Detected ""`, `000001-1 Complete 50-225 Detected ""`,
		"000001-0 original t1 m1 Rendered 25-50", "000001-1 original t1 m1 Rendered 50-225",
	}, h.story()); d != "" {
		t.Error(d)
	}
}

func TestProvisionalMarkOut(t *testing.T) {
	h := newHarness(t)
	h.start(bare)
	h.register(0, 1, 2, 3)
	h.must(h.report(h.nextSegmenter(), seg("", 4*second, 11*second)))
	if got := h.segments()[0]; got.State != api.SegmentStateComplete || got.Out.Frame != 275 {
		t.Fatalf("%+v", got)
	}
	if got := h.clips(); len(got) != 0 {
		t.Fatalf("a clip of frames that are not stored: %+v", got)
	}
	h.register(4) // up to 10 s
	if got := h.clips(); len(got) != 0 {
		t.Fatalf("a clip of frames that are not stored: %+v", got)
	}
	h.register(5)
	if got := h.clips(); len(got) != 1 || got[0].Out.Frame != 275 {
		t.Fatalf("%+v", got)
	}
	h.register(6)
	h.must(h.report(h.nextSegmenter(), seg("", 11*second, 30*second)))
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 350}))
	if got := h.segments()[1]; got.Out.Frame != 350 || got.Out.Micros != 14*second {
		t.Fatalf("the end clamps: %+v", got.Out)
	}
	h.drain(match{})
	if got := h.event(); got.State != api.EventStateStateComplete || got.Progress.ClipsRendered != 2 {
		t.Fatalf("%+v", got)
	}
}

func TestGreatestLength(t *testing.T) {
	h := newHarness(t)
	h.start(bare, func(p *api.Plan) { p.MaxSegmentSeconds = 8 })
	h.ingest(9)
	h.must(h.report(h.nextSegmenter(), seg("", 1*second)))
	h.must(h.report(h.nextSegmenter())) // says nothing; 12 s are over
	h.must(h.report(h.nextSegmenter(), seg("", 9*second, 18*second)))
	h.drain(match{})
	if d := cmp.Diff([]string{`000001-0 Complete 25-225 MaxSegmentLength ""`,
		`000003-0 Complete 225-425 MaxSegmentLength ""`}, h.story()[:2]); d != "" {
		t.Error(d)
	}
}

func TestFinalPassClosesWhatIsOpen(t *testing.T) {
	for _, fails := range []bool{false, true} {
		h := newHarness(t)
		h.start(bare)
		h.ingest(4)
		h.must(h.report(h.nextSegmenter(), seg("", 1*second)))
		h.must(h.report(h.nextSegmenter()))
		l := h.nextSegmenter()
		if in := l.Input.Segmenter; l.Kind != api.TaskKindFinal || !in.Final || in.Open == nil ||
			in.Chunk.Number != 2 || !*in.Timeline.Ended {
			t.Fatalf("%+v", l)
		}
		if fails {
			h.must(h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "crashed"}))
		} else {
			h.must(h.report(l))
		}
		for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
			h.must(h.complete(l, match{})) // framers that nobody waited for
		}
		if got := h.outcome(api.PoolWork); got != api.LeaseResponseOutcomeDone {
			t.Errorf("work after the final pass: %s", got)
		}
		if got := h.outcome(api.PoolRender); got != api.LeaseResponseOutcomeTask {
			t.Errorf("render after the final pass: %s", got)
		}
		h.drain(match{})
		if d := cmp.Diff([]string{`000001-0 Complete 25-200 SourceEnded ""`, "000001-0 original t1 m1 Rendered 25-200"},
			h.story()); d != "" {
			t.Error(d)
		}
	}
}

// optimizerOnly has an optimizer that looks at scene, with a window of 2 s.
func optimizerOnly(p *api.Plan) {
	p.Labeler = nil
	p.Plugins = []api.PlanPlugin{p.Plugins[0], p.Plugins[3], p.Plugins[4]}
	p.Plugins[0].LookbackChunks = 0
	p.Plugins[1].DependsOn = []string{}
}

func TestOptimizerLooksAhead(t *testing.T) {
	h := newHarness(t)
	h.start(optimizerOnly)
	h.register(0, 1, 2, 3, 4, 5)
	// End + window lies in chunk 2, which is not closed yet.
	h.must(h.report(h.nextSegmenter(), seg("", 1*second, 5*second)))
	kinds := map[api.TaskKind]int{}
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		kinds[l.Kind]++
		h.must(h.complete(l, match{}))
	}
	if kinds[api.TaskKindOptimizer] != 0 {
		t.Fatal("the optimizer ran before what it looks at was there")
	}
	h.register(6)
	h.must(h.report(h.nextSegmenter(), seg("", 6*second, 8*second)))
	var opt *api.Lease
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		if l.Kind == api.TaskKindOptimizer {
			opt = l
			break
		}
		h.must(h.complete(l, match{}))
	}
	in := opt.Input.Optimizer
	if len(in.Segments) != 1 || in.Segments[0].ID != "000001-0" || len(in.Neighbours) != 1 ||
		in.Neighbours[0].ID != "000002-0" || len(in.Dependencies) != 1 {
		t.Fatalf("%+v", in)
	}
	optimized := func(l *api.Lease, m ...api.OptimizedMarks) error {
		return h.completeTask(l.TaskID, api.TaskOutput{Token: l.Token, Optimized: m})
	}
	mark := func(id string, from, to int64) api.OptimizedMarks {
		return api.OptimizedMarks{SegmentID: id, StartMicros: from, EndMicros: to, StartCode: "ok", EndCode: "ok"}
	}
	h.wantErr(optimized(opt, mark("000002-0", 1, 2*second)), ErrInvalid, "did not claim")
	h.wantErr(optimized(opt, mark("000001-0", 2*second, 1*second)), ErrInvalid, "no frame")
	h.must(optimized(opt, mark("000001-0", 0, 7*second))) // runs into its neighbour
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 350}))
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		if l.Kind == api.TaskKindOptimizer {
			h.must(h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "crashed"}))
			continue
		}
		h.must(h.complete(l, match{}))
	}
	h.drain(match{})
	if d := cmp.Diff([]string{
		`000001-0 Complete 25-125 Detected "" opt 0-150 ok ` + codeTruncated,
		`000002-0 Complete 150-200 Detected "" opt 150-200 Failed: crashed Failed: crashed`,
		"000001-0 optimized t1 m2 Rendered 0-150", "000001-0 original t1 m1 Rendered 25-125",
		"000002-0 original t1 m1 Rendered 150-200",
	}, h.story()); d != "" {
		t.Error(d)
	}
	if p := h.event().Progress; p.SegmentsOptimized != 1 {
		t.Errorf("%+v", p)
	}
}

func TestDrainTimesOut(t *testing.T) {
	h := newHarness(t)
	h.start(bare)
	h.ingest(6)
	h.must(h.report(h.nextSegmenter(), seg("", 1*second, 2*second)))
	h.clock.Step(599 * time.Second)
	next, err := h.s.Housekeep(h.ctx)
	h.must(err)
	if want := h.clock.Now().Add(time.Second); !next.Equal(want) {
		t.Fatalf("due %v, want %v", next, want)
	}
	h.reopen()
	h.clock.Step(time.Second)
	_, err = h.s.Housekeep(h.ctx)
	h.must(err)
	e := h.event()
	if e.State != api.EventStateStateFailed || *e.Reason != "DrainTimedOut" ||
		!reflect.DeepEqual(e.Backlog, api.Backlog{}) || e.Progress.ClipsFailed != 1 {
		t.Fatalf("%+v", e)
	}
	if l := h.lease(api.PoolWork); l != nil {
		t.Fatalf("leased %+v", l)
	}
}

func TestWrongMediaIsRefused(t *testing.T) {
	h := newHarness(t)
	h.start(bare)
	h.ingest(3)
	h.must(h.report(h.nextSegmenter(), seg("", 1*second, 2*second)))
	l := h.lease(api.PoolRender)
	out := match{}.work(l)
	out.Media.Frames--
	h.wantErr(h.completeTask(l.TaskID, out), ErrInvalid, "exactly 25 frames")
	out = match{}.work(l)
	out.Media.Key += "x"
	h.wantErr(h.completeTask(l.TaskID, out), ErrInvalid, "media.key")
	for range 3 {
		if l == nil {
			l = h.lease(api.PoolRender)
		}
		h.must(h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "no space left", Retryable: true}))
		h.clock.Step(time.Minute)
		l = nil
	}
	h.drain(match{})
	if c := h.clips()[0]; c.State != api.ClipStateFailed || *c.Error != "no space left" {
		t.Fatalf("%+v", c)
	}
	if got := h.event().State; got != api.EventStateStateComplete {
		t.Fatal(got)
	}
}
