// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func (h *harness) ask(req api.LeaseRequest) api.LeaseResponse {
	h.t.Helper()
	if req.Pool == "" {
		req.Pool = api.PoolWork
	}
	if req.Holder == "" {
		req.Holder = "pod-1"
	}
	r, err := h.s.Lease(h.ctx, h.uid, req)
	h.must(err)
	return r
}

// A worker above the wanted number leaves when it asks for work, and only then.
func TestWorkersRetire(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3, 4, 5, 6)
	first, third := h.ask(api.LeaseRequest{Ordinal: new(int32(0))}), h.ask(api.LeaseRequest{Ordinal: new(int32(2))})
	h.must(h.s.PutRun(h.ctx, h.uid, api.Run{Workers: 2, Renderers: 0}))
	h.must(h.s.Heartbeat(h.ctx, h.uid, third.Lease.TaskID, third.Lease.Token))
	out := match{}.work(third.Lease)
	out.Next = &api.LeaseRequest{Pool: api.PoolWork, Holder: "pod-1", Ordinal: new(int32(2))}
	next, err := h.s.Complete(h.ctx, h.uid, third.Lease.TaskID, out)
	h.must(err)
	if next == nil || next.Outcome != api.LeaseResponseOutcomeRetire {
		t.Errorf("a worker too many gets %+v", next)
	}
	for name, r := range map[string]api.LeaseRequest{"ordinal 2": {Ordinal: new(int32(2))},
		"a renderer": {Pool: api.PoolRender, Ordinal: new(int32(0))}} {
		if got := h.ask(r).Outcome; got != api.LeaseResponseOutcomeRetire {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, r := range map[string]api.LeaseRequest{"ordinal 1": {Ordinal: new(int32(1))}, "no ordinal": {}} {
		got := h.ask(r)
		if got.Outcome != api.LeaseResponseOutcomeTask {
			t.Fatalf("%s: %s", name, got.Outcome)
		}
		h.must(h.s.Release(h.ctx, h.uid, got.Lease.TaskID, got.Lease.Token))
	}
	h.must(h.complete(first.Lease, match{}))
}

// Completing a task brings the next one; asking again brings the same one, as
// the answer may have been lost.
func TestCompleteBringsTheNextTask(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	lease := h.ask(api.LeaseRequest{}).Lease
	kinds := ""
	for lease != nil {
		kinds += string(lease.Kind)[:1]
		out := match{}.work(lease)
		out.Next = &api.LeaseRequest{Pool: api.PoolWork, Holder: "pod-1"}
		next, err := h.s.Complete(h.ctx, h.uid, lease.TaskID, out)
		h.must(err)
		again, err := h.s.Complete(h.ctx, h.uid, lease.TaskID, out)
		h.must(err)
		switch {
		case next == nil:
			t.Fatal("no answer")
		case next.Lease == nil && again != nil:
			t.Errorf("a repeat brings %+v, the call %+v", again, next)
		case next.Lease != nil && (again == nil || again.Lease == nil || again.Lease.Token != next.Lease.Token ||
			again.Lease.TaskID != next.Lease.TaskID):
			t.Errorf("a repeat brings %+v, the call %+v", again, next)
		}
		lease = next.Lease
		h.clock.Step(time.Millisecond)
	}
	if kinds != "ffffsf" { // framer, three featurers, segmenter, final
		t.Errorf("it ran %s", kinds)
	}
}

// A worker that is fresh for each chunk takes no other one's tasks, waits while
// its own are open elsewhere, and leaves after the last.
func TestWorkerOfOneChunk(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3, 4, 5, 6)
	mine := h.ask(api.LeaseRequest{})
	other := h.ask(api.LeaseRequest{Holder: "pod-2"})
	if mine.Lease.Chunk != 1 || other.Lease.Chunk != 2 {
		t.Fatalf("chunks %d and %d", mine.Lease.Chunk, other.Lease.Chunk)
	}
	second := api.LeaseRequest{Holder: "pod-2", OnlyChunks: []int64{2}}
	if got := h.ask(second).Outcome; got != api.LeaseResponseOutcomeIdle {
		t.Errorf("while its framer runs: %s", got)
	}
	h.must(h.complete(other.Lease, match{}))
	ran := ""
	for r := h.ask(second); r.Outcome == api.LeaseResponseOutcomeTask; r = h.ask(second) {
		ran += fmt.Sprintf(" %s %d", r.Lease.Kind, r.Lease.Chunk)
		h.must(h.complete(r.Lease, match{}))
	}
	if ran != " featurer 2 featurer 2" { // scene looks back at chunk 1
		t.Errorf("before chunk 1 is done it ran%s", ran)
	}
	h.must(h.complete(mine.Lease, match{}))
	first := api.LeaseRequest{OnlyChunks: []int64{1}}
	for r := h.ask(first); ; r = h.ask(first) {
		if r.Outcome == api.LeaseResponseOutcomeRetire {
			break
		}
		if r.Lease == nil || r.Lease.Chunk != 1 {
			t.Fatalf("got %+v", r)
		}
		h.must(h.complete(r.Lease, match{}))
	}
	for r := h.ask(second); r.Outcome != api.LeaseResponseOutcomeRetire; r = h.ask(second) {
		if r.Lease == nil || r.Lease.Chunk != 2 {
			t.Fatalf("got %+v", r)
		}
		h.must(h.complete(r.Lease, match{}))
	}
}

func TestFinish(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3, 5)
	h.must(h.s.Finish(h.ctx, h.uid))
	h.must(h.s.Finish(h.ctx, h.uid))
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(6)), ErrConflict, "the source has ended")
	h.register(4) // a unit that was on its way
	h.drain(match{moments: []int64{1}})
	if e := h.event(); e.State != api.EventStateStateComplete || *e.Timeline.Frames != 6*unitFrames {
		t.Errorf("%s with %d frames", e.State, *e.Timeline.Frames)
	}

	h = newHarness(t)
	h.start()
	h.must(h.s.Finish(h.ctx, h.uid))
	if e := h.event(); e.State != api.EventStateStateFailed || optionalName(e.Reason) != "SourceEmpty" {
		t.Errorf("without a frame: %s %s", e.State, optionalName(e.Reason))
	}
}

// What a source gave before it broke off is worth its clips.
func TestSourceThatBreaksOff(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3, 4, 5, 6)
	h.must(h.s.FailSource(h.ctx, h.uid,
		api.Failure{Reason: api.FailureReasonSourceUnreachable, Message: "the line is dead"}))
	h.drain(match{moments: []int64{1, 8}})
	e := h.event()
	if e.State != api.EventStateStateFailed || optionalName(e.Reason) != "SourceUnreachable" ||
		e.Progress.ClipsRendered == 0 ||
		e.Progress.ClipsRendered != e.Progress.ClipsWanted || e.ExportLocation == nil || e.Progress.SegmentsOpen != 0 {
		t.Errorf("%s %s %+v", e.State, optionalName(e.Reason), e.Progress)
	}
}
