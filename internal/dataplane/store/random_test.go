// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// histories is how many random runs are compared with the orderly one.
const histories = 40

// TestRandomHistories runs the same Event again and again with units out of
// order, workers that vanish, answers that get lost, stale workers that come
// back, failures and restarts. Each run must end Complete, with exactly what
// the orderly run has.
func TestRandomHistories(t *testing.T) {
	m := match{moments: []int64{1, 8, 9, 16}}
	const units = 9
	orderly := newHarness(t)
	orderly.start()
	orderly.ingest(units)
	orderly.drain(m)
	want := orderly.story()
	if len(want) < 6 {
		t.Fatalf("the orderly run has too little to compare: %v", want)
	}
	runs := repetitions(histories)
	if backend == postgresDialect.name {
		runs /= 4 // the rules are the same text, and each call takes longer
	}
	if testing.Short() {
		runs /= 10
	}
	for seed := range uint64(runs) {
		h := newHarness(t)
		h.start(func(p *api.Plan) { p.DrainTimeoutSeconds = 1_000_000 }) // its own test has the time-out
		r := rand.New(rand.NewPCG(seed, 2026))
		h.chaos(r, m, units)
		if e := h.event(); e.State != api.EventStateStateComplete || e.Progress.ChunksFailed != 0 {
			t.Fatalf("seed %d: %s %+v", seed, e.State, e.Progress)
		}
		if d := cmp.Diff(want, h.story()); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
		if got := h.rows("signals", "results"); got["signals"] != 3 || got["results"] != 12 {
			t.Fatalf("seed %d: doubled or lost: %v", seed, got)
		}
		h.must(h.s.Close())
	}
}

func (h *harness) chaos(r *rand.Rand, m match, units int) {
	order := r.Perm(units)
	var held []*api.Lease
	done := false
	for step := 0; !done; step++ {
		if step > 5000 {
			h.t.Fatalf("no end in sight: %+v", h.event())
		}
		switch r.IntN(12) {
		case 0, 1:
			if len(order) > 0 {
				n := int64(order[0])
				order = order[1:]
				h.register(n)
				h.register(n)
			} else {
				h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: int64(units) * unitFrames}))
			}
		case 2:
			h.clock.Step(time.Duration(r.IntN(20)) * time.Second)
		case 3:
			_, err := h.s.Housekeep(h.ctx)
			h.must(err)
		case 4:
			done = h.exports() // the last thing that an Event does
		case 5:
			if r.IntN(10) == 0 {
				h.reopen()
			}
		case 6, 7, 8:
			pool := []api.Pool{api.PoolWork, api.PoolRender}[r.IntN(2)]
			if l := h.lease(pool); l != nil {
				held = append(held, l)
			}
		default:
			if len(held) == 0 {
				continue
			}
			i := r.IntN(len(held))
			h.finishSomehow(r, m, held[i])
			if r.IntN(4) > 0 { // else it comes back as a stale worker
				held = append(held[:i], held[i+1:]...)
			}
		}
	}
}

// finishSomehow completes a lease, perhaps twice, or vanishes with it.
func (h *harness) finishSomehow(r *rand.Rand, m match, l *api.Lease) {
	var err error
	switch r.IntN(8) {
	case 0:
		return
	case 1:
		err = h.s.Release(h.ctx, h.uid, l.TaskID, l.Token)
	case 2:
		if l.Attempt == 1 { // one failure is within every bound
			err = h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "by chance", Retryable: true})
		}
	case 3:
		if err = h.complete(l, m); err == nil {
			err = h.complete(l, m)
		}
	default:
		err = h.complete(l, m)
	}
	if err != nil && !errors.Is(err, ErrLeaseLost) {
		h.t.Fatalf("%s of task %d: %v", l.Kind, l.TaskID, err)
	}
}
