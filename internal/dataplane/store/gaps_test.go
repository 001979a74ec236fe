// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// chunkStates says how the chunks stand: c closed, e empty, m missing, o open;
// a late one is a capital letter.
func (h *harness) chunkStates() string {
	h.t.Helper()
	list, _, err := h.s.Chunks(h.ctx, h.uid, 1000, "")
	h.must(err)
	out := ""
	for _, c := range list {
		letter := string(c.State[0])
		if c.Late {
			letter = map[string]string{"c": "C"}[letter]
		}
		out += letter
	}
	return out
}

func (h *harness) wait(d time.Duration) {
	h.t.Helper()
	h.clock.Step(d)
	_, err := h.s.Housekeep(h.ctx)
	h.must(err)
}

// A chunk is three units of 2 s. What does not come is waited for, then given
// up, and the Event goes on behind it.
func TestHoleIsGivenUpInTime(t *testing.T) {
	const timeout = 60 * time.Second // the plan's
	tests := map[string]struct {
		units  []int64
		want   string
		frames int64
	}{
		"a whole chunk":             {[]int64{0, 1, 2, 6, 7, 8, 9}, "cmc" + "o", 500},
		"two chunks":                {[]int64{0, 1, 2, 9, 10, 11, 12}, "cmmc" + "o", 650},
		"within a chunk":            {[]int64{0, 1, 2, 3, 5, 6}, "cc" + "o", 350},
		"the beginning":             {[]int64{3, 4, 5, 6}, "mc" + "o", 350},
		"over a border":             {[]int64{0, 1, 4, 5, 6}, "cc" + "o", 350},
		"the end of one, and more":  {[]int64{0, 1, 7, 8, 9}, "cmc" + "o", 500},
		"a chunk and a bit of next": {[]int64{0, 1, 2, 7, 8, 9}, "cmc" + "o", 500},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.start()
			h.register(tt.units...)
			before := h.chunkStates()
			h.wait(timeout - time.Second)
			if got := h.chunkStates(); got != before {
				t.Errorf("before the time-out: %s, then %s", before, got)
			}
			h.wait(2 * time.Second)
			if got := h.chunkStates(); got != tt.want {
				t.Errorf("chunks %s, want %s", got, tt.want)
			}
			if got := *h.event().Timeline.Frames; got != tt.frames {
				t.Errorf("%d frames, want %d", got, tt.frames)
			}
			last := tt.units[len(tt.units)-1] + 1
			h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: last * unitFrames}))
			h.drain(match{moments: []int64{1, 8, 13}})
			if e := h.event(); e.State != api.EventStateStateComplete || e.DeadLetters != 0 {
				t.Errorf("%s with %d dead letters, backlog %+v", e.State, e.DeadLetters, e.Backlog)
			}
		})
	}
}

// A source that ends short of what it announced has lost its end.
func TestEndThatNeverComes(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3)
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 9 * unitFrames}))
	h.wait(61 * time.Second)
	h.drain(match{moments: []int64{1}})
	if got, e := h.chunkStates(), h.event(); got != "ccm" || e.State != api.EventStateStateComplete ||
		e.Progress.ChunksMissing != 1 {
		t.Errorf("chunks %s, the Event is %s, %+v", got, e.State, e.Progress)
	}
}

// The second hole has its own time.
func TestEachHoleHasItsTime(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 6, 7, 8)
	h.wait(30 * time.Second)
	h.register(12, 13, 14)
	h.wait(31 * time.Second)
	if got := h.chunkStates(); got != "cmoo" {
		t.Errorf("after the first time-out: %s", got)
	}
	h.wait(60 * time.Second)
	if got := h.chunkStates(); got != "cmcmo" {
		t.Errorf("after the second: %s", got)
	}
}

// The hole that is filled in time leaves no trace.
func TestHoleThatIsFilled(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 6)
	h.wait(59 * time.Second)
	h.register(3, 4, 5)
	h.wait(10 * time.Minute)
	if got := h.chunkStates(); got != "cco" {
		t.Errorf("chunks %s", got)
	}
	if n := h.rows("gaps"); len(n) != 0 {
		t.Errorf("gaps: %v", n)
	}
}

// What comes too late is processed for features and flagged; segments have been
// made without it. Coming twice changes nothing.
func TestLateChunk(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 6, 7, 8, 9)
	h.wait(61 * time.Second)
	m := match{moments: []int64{1, 8, 13}}
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		h.must(h.complete(l, m))
	}
	before := len(h.segments())
	h.register(4)
	if got := h.chunkStates(); got != "cmco" {
		t.Errorf("a third of it: %s", got)
	}
	h.register(3, 5, 5, 4)
	if got, e := h.chunkStates(), h.event(); got != "cCco" || e.Progress.ChunksLate != 1 || e.Progress.ChunksMissing != 0 {
		t.Errorf("all of it: %s %+v", got, e.Progress)
	}
	kinds := map[string]int{}
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		kinds[fmt.Sprintf("%s %d", l.Kind, l.Chunk)]++
		h.must(h.complete(l, m))
	}
	if fmt.Sprint(kinds) != "map[featurer 2:3 framer 2:1]" || len(h.segments()) != before {
		t.Errorf("what ran: %v; %d segments, then %d", kinds, before, len(h.segments()))
	}
	found, _, err := h.s.Results(h.ctx, h.uid, ResultFilter{Plugin: "moment"}, 100, "")
	h.must(err)
	late := 0
	for _, r := range found {
		if r.Chunk == 2 {
			late++
		}
	}
	if late != 1 || len(h.rows("gaps")) != 0 {
		t.Errorf("%d results of the late chunk, gaps %v", late, h.rows("gaps"))
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 10 * unitFrames}))
	h.drain(m)
	if e := h.event(); e.State != api.EventStateStateComplete {
		t.Errorf("%s", e.State)
	}
}

// Time that an Event rests is no time in which anything is late.
func TestRestDoesNotCount(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 6)
	h.must(h.s.PutRun(h.ctx, h.uid, api.Run{Suspend: true, Workers: 2, Renderers: 1}))
	h.must(h.s.PutRun(h.ctx, h.uid, api.Run{Suspend: true, Workers: 2, Renderers: 1}))
	if got := h.outcome(api.PoolWork); got != api.LeaseResponseOutcomeRetire || !h.event().Suspended {
		t.Errorf("a worker of a resting Event: %s", got)
	}
	h.wait(time.Hour)
	h.must(h.s.PutRun(h.ctx, h.uid, api.Run{Workers: 2, Renderers: 1}))
	h.wait(59 * time.Second)
	if got := h.chunkStates(); got != "oo" {
		t.Errorf("given up although it rested: %s", got)
	}
	h.wait(2 * time.Second)
	if got := h.chunkStates(); got != "cmo" {
		t.Errorf("chunks %s", got)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 7 * unitFrames}))
	h.must(h.s.PutRun(h.ctx, h.uid, api.Run{Suspend: true}))
	h.wait(time.Hour)
	h.must(h.s.PutRun(h.ctx, h.uid, api.Run{Workers: 1, Renderers: 1}))
	h.wait(time.Minute)
	h.drain(match{})
	if e := h.event(); e.State != api.EventStateStateComplete {
		t.Errorf("%s %s", e.State, optionalName(e.Message))
	}
}
