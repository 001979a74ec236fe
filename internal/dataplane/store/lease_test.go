// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func (h *harness) complete(l *api.Lease, m match) error {
	return h.completeTask(l.TaskID, m.work(l))
}

func (h *harness) task(id int64) api.Task {
	h.t.Helper()
	list, _, err := h.s.Tasks(h.ctx, h.uid, 1000, "")
	h.must(err)
	for _, t := range list {
		if t.ID == id {
			return t
		}
	}
	h.t.Fatalf("no task %d", id)
	return api.Task{}
}

func TestLeaseExpiryFencesTheStaleWorker(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	m := match{moments: []int64{1}}
	framer := h.lease(api.PoolWork)
	h.must(h.complete(framer, m))
	stale := h.lease(api.PoolWork)
	h.clock.Step(29 * time.Second)
	h.must(h.s.Heartbeat(h.ctx, h.uid, stale.TaskID, stale.Token))
	h.clock.Step(29 * time.Second)
	if next, err := h.s.Housekeep(h.ctx); err != nil || !next.Equal(h.clock.Now().Add(time.Second)) {
		t.Fatalf("next is due %v, %v", next, err)
	}
	h.clock.Step(2 * time.Second)
	if _, err := h.s.Housekeep(h.ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.task(stale.TaskID); got.State != api.TaskStateReady || got.Losses != 1 || got.Attempts != 0 {
		t.Fatalf("after the loss: %+v", got)
	}
	h.wantErr(h.complete(stale, m), ErrLeaseLost, "stop working")
	h.wantErr(h.s.Heartbeat(h.ctx, h.uid, stale.TaskID, stale.Token), ErrLeaseLost, "stop working")
	h.wantErr(h.s.Fail(h.ctx, h.uid, stale.TaskID, api.TaskFailure{Token: stale.Token}), ErrLeaseLost, "")
	h.wantErr(h.s.Release(h.ctx, h.uid, stale.TaskID, stale.Token), ErrLeaseLost, "")

	winner := h.lease(api.PoolWork)
	if winner.TaskID != stale.TaskID || winner.Attempt != 2 || winner.Token == stale.Token {
		t.Fatalf("the winner's lease: %+v", winner)
	}
	h.wantErr(h.complete(stale, m), ErrLeaseLost, "leased to pod-1")
	if list, _, err := h.s.Results(h.ctx, h.uid, ResultFilter{}, 10, ""); err != nil || len(list) != 0 {
		t.Fatalf("the stale worker published %v, %v", list, err)
	}
	h.must(h.complete(winner, m))
	h.must(h.complete(winner, m)) // a repeat after a lost answer
	h.wantErr(h.complete(stale, m), ErrLeaseLost, "done")
	if list, _, _ := h.s.Results(h.ctx, h.uid, ResultFilter{}, 10, ""); len(list) != 1 {
		t.Fatalf("published %d results, want 1", len(list))
	}
	h.drain(m)
	if got := h.event().State; got != api.EventStateStateComplete {
		t.Fatal(got)
	}
}

func TestLossesHaveABound(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	var id int64
	for range maxLosses {
		l := h.lease(api.PoolWork)
		if id = l.TaskID; l.Kind != api.TaskKindFramer {
			t.Fatalf("leased %s", l.Kind)
		}
		h.clock.Step(31 * time.Second)
	}
	h.drain(match{}) // takes the loss back before it looks for work
	if got := h.task(id); got.State != api.TaskStateFailed || !strings.Contains(*got.Error, "lost 20 times") {
		t.Fatalf("%+v", got)
	}
	e := h.event()
	if e.State != api.EventStateStateComplete || e.Progress.ChunksFailed != 1 || e.Progress.ChunksProcessed != 1 {
		t.Fatalf("%+v", e)
	}
	tasks, _, err := h.s.Tasks(h.ctx, h.uid, 1000, "")
	h.must(err)
	for _, x := range tasks {
		if x.Kind == api.TaskKindFeaturer && x.State != api.TaskStateSkipped {
			t.Errorf("featurer %s without signals is %s", x.Plugin, x.State)
		}
	}
}

func TestFailuresBackOffAndEnd(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	fail := func(retryable bool) {
		l := h.lease(api.PoolWork)
		if l == nil {
			t.Fatal("nothing to lease")
		}
		h.must(h.s.Fail(h.ctx, h.uid, l.TaskID,
			api.TaskFailure{Token: l.Token, Message: "exit status 1", Retryable: retryable}))
	}
	fail(true)
	if l := h.lease(api.PoolWork); l != nil {
		t.Fatal("leased during the back-off")
	}
	if next, err := h.s.Housekeep(h.ctx); err != nil || !next.Equal(h.clock.Now().Add(time.Second)) {
		t.Fatalf("next is due %v, %v", next, err)
	}
	h.clock.Step(time.Second)
	l := h.lease(api.PoolWork)
	h.must(h.s.Release(h.ctx, h.uid, l.TaskID, l.Token))
	if again := h.lease(api.PoolWork); again.TaskID != l.TaskID || again.Attempt != l.Attempt+1 {
		t.Fatalf("after a release: attempt %d, then %d", l.Attempt, again.Attempt)
	} else {
		h.must(h.complete(again, match{}))
	}
	// The plugin's own bound; the segmenter goes on without it.
	for range 3 {
		fail(true)
		h.clock.Step(time.Minute)
	}
	fail(false) // scene, which takes its last attempt at once
	h.drain(match{})
	e := h.event()
	if e.State != api.EventStateStateComplete || e.Progress.ChunksFailed != 1 {
		t.Fatalf("%+v", e)
	}
	tasks, _, err := h.s.Tasks(h.ctx, h.uid, 1000, "")
	h.must(err)
	failed := map[string]int32{}
	for _, x := range tasks {
		if x.State == api.TaskStateFailed {
			failed[x.Plugin] = x.Attempts
		}
	}
	if len(failed) != 2 || failed["scene"]+failed["peaks"] != 4 {
		t.Fatalf("failed: %v", failed)
	}
}

func TestLeasePrefersTheChunkInHand(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	r, err := h.s.Lease(h.ctx, h.uid, api.LeaseRequest{Pool: api.PoolWork, Holder: "pod-1", Chunk: new(int64(2))})
	h.must(err)
	if f := r.Lease.Input.Framer; f == nil || f.Chunk.Number != 2 || len(f.Units) != 3 ||
		f.PreviousUnit == nil || f.PreviousUnit.FirstFrame != 100 {
		t.Fatalf("%+v", r.Lease.Input.Framer)
	}
	h.must(h.complete(r.Lease, match{}))
	l := h.lease(api.PoolWork) // featurers go before framers
	if l.Kind != api.TaskKindFeaturer || l.Input.Featurer.Chunk.Number != 2 {
		t.Fatalf("%+v", l)
	}
	if got := h.outcome(api.PoolRender); got != api.LeaseResponseOutcomeIdle {
		t.Fatalf("render: %s", got)
	}
}

func TestSignalsReachBack(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	var chunks []int64
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		if f := l.Input.Featurer; f != nil && f.Plugin.Name == "scene" && f.Chunk.Number == 3 {
			for _, s := range f.Signals {
				var v struct{ Chunk int64 }
				h.must(json.Unmarshal(s.Signals, &v))
				chunks = append(chunks, v.Chunk)
			}
		}
		h.must(h.complete(l, match{}))
	}
	if len(chunks) != 2 || chunks[0] != 2 || chunks[1] != 3 {
		t.Fatalf("scene saw the signals of chunks %v", chunks)
	}
}
