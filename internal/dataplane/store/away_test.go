// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// framer is the first task of the first chunk.
func (h *harness) framer() api.Task {
	h.t.Helper()
	d, err := h.s.ExplainChunk(h.ctx, h.uid, 1)
	h.must(err)
	return d.Tasks[0].Task
}

// away lets whoever takes the framer find the object store away.
func (h *harness) away(known bool) {
	h.t.Helper()
	l := h.lease(api.PoolWork)
	if l == nil {
		h.t.Fatal("the framer is not given out")
	}
	h.must(h.s.Away(h.ctx, h.uid, l.TaskID, l.Token, "fetch chunk 1: the object store is away", known))
}

// That the object store is away costs no attempt, however often it is found so. It is waited for longer each time, and
// not for ever; a retry begins anew.
func TestStoreAwayIsNoAttempt(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3)
	began := h.clock.Now()
	var rests []time.Duration
	for h.away(false); h.framer().State == api.TaskStateReady; h.away(false) {
		rest := h.framer().DueAt.Sub(h.clock.Now())
		h.clock.Step(rest - time.Millisecond)
		if l := h.lease(api.PoolWork); l != nil {
			t.Fatalf("given out before %s were over", rest)
		}
		h.clock.Step(time.Millisecond)
		rests = append(rests, rest)
	}
	want := []int{1, 1, 2, 4, 8, 16, 32, 60, 60} // seconds
	for i := range want {
		if rests[i].Seconds() != float64(want[i]) {
			t.Fatalf("rests %v", rests)
		}
	}
	if waited := h.clock.Now().Sub(began); waited < 15*time.Minute || waited > 16*time.Minute {
		t.Errorf("given up after %s", waited)
	}
	if got := h.framer(); got.State != api.TaskStateFailed || got.Attempts != 0 || got.Losses != 0 ||
		optionalName(got.Error) != "given up after 15m4s: fetch chunk 1: the object store is away" {
		t.Errorf("%+v: %s", got, optionalName(got.Error))
	}
	_, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: "again"})
	h.must(err)
	h.away(false)
	if got := h.framer(); got.State != api.TaskStateReady {
		t.Errorf("after the retry: %+v", got)
	}
}

// While the data plane, too, finds the store away, nothing is given up; nor is what found it there in between.
func TestStoreAwayForLong(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3)
	for range 120 {
		h.away(true)
		h.clock.Step(time.Minute)
	}
	h.away(false)
	if got := h.framer(); got.State != api.TaskStateReady || got.Attempts != 0 {
		t.Errorf("after two hours without a store: %+v", got)
	}
	for _, end := range []func(l *api.Lease){
		func(l *api.Lease) { h.must(h.s.Release(h.ctx, h.uid, l.TaskID, l.Token)) },
		func(l *api.Lease) {
			h.must(h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "by chance", Retryable: true}))
		},
		func(*api.Lease) { h.clock.Step(time.Minute) },
	} {
		h.clock.Step(14 * time.Minute)
		end(h.lease(api.PoolWork))
		h.clock.Step(14 * time.Minute)
		h.away(false)
		if got := h.framer(); got.State != api.TaskStateReady {
			t.Fatalf("away again: %+v", got)
		}
	}
}
