// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func replayRules(generation int64, seconds int32) api.ReplayRules {
	return api.ReplayRules{EventUID: testEvent, Namespace: "sports", Name: "best-of", Generation: generation,
		AudioTrack: 1, Features: []api.FeatureRule{{Plugin: "moment", Attribute: "Hit", Weight: 50},
			{Plugin: "name", Attribute: "Named", Weight: 1}},
		ByDuration:  api.ByDuration{DurationSeconds: seconds, Distribution: api.ByDurationDistributionByScore},
		Resolutions: []string{"1920x1080", "608x1080"}}
}

func (h *harness) replay() api.ReplayState {
	h.t.Helper()
	r, err := h.s.Replay(h.ctx, testReplay)
	h.must(err)
	return r
}

func TestReplay(t *testing.T) {
	h := newHarness(t)
	h.start(func(p *api.Plan) { p.AudioChannels = new(api.AudioChannelsSource) })
	_, err := h.s.PutReplay(h.ctx, testReplay, func() api.ReplayRules {
		r := replayRules(1, 60)
		r.Resolutions = []string{"big"}
		return r
	}())
	h.wantErr(err, ErrInvalid, "big")
	if r, err := h.s.PutReplay(h.ctx, testReplay, replayRules(1, 60)); err != nil ||
		r.State != api.ReplayStateStateWaiting {
		t.Fatalf("%+v, %v", r, err)
	}
	h.ingest(15)
	m := match{moments: []int64{4, 13, 29}}
	// Rendering stops before the reels.
	for h.event().State != api.EventStateStateComplete {
		for _, pool := range []api.Pool{api.PoolWork, api.PoolRender} {
			if l := h.lease(pool); l != nil {
				if c := l.Input.Clip; c != nil && (c.AudioChannels == nil || *c.AudioChannels != api.AudioChannelsSource) {
					t.Fatalf("%+v", c)
				}
				h.must(h.complete(l, m))
			}
		}
		h.exports()
	}
	r := h.replay()
	if r.State != api.ReplayStateStateRendering || r.Selected != 3 || len(r.Outputs) != 2 ||
		len(r.Decisions) != 3 || r.DurationMicros != 15480000 {
		t.Fatalf("%+v", r)
	}
	stale := h.lease(api.PoolRender)
	in := stale.Input.Reel
	if in.Width != 1920 || in.Height != 1080 || in.Track != 1 || in.AudioChannels == nil ||
		*in.AudioChannels != api.AudioChannelsSource || len(in.Parts) != 3 ||
		in.Parts[0].In.Frame != 38 || len(in.Parts[0].Units) != 4 {
		t.Fatalf("%+v", in)
	}
	// New rules, another plan: the running reel is cancelled.
	if r, err := h.s.PutReplay(h.ctx, testReplay, replayRules(2, 7)); err != nil ||
		r.State != api.ReplayStateStateRendering || r.Selected != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	h.wantErr(h.complete(stale, m), ErrLeaseLost, "skipped")
	if r, err := h.s.PutReplay(h.ctx, testReplay, replayRules(1, 60)); err != nil || r.Generation != 2 {
		t.Fatalf("an older generation: %+v, %v", r, err)
	}
	h.drain(m)
	r = h.replay()
	short := *r.PlanHash
	if r.State != api.ReplayStateStateRendered || *r.Outputs[1].Location == "" || r.Outputs[1].Resolution != "608x1080" {
		t.Fatalf("%+v", r)
	}
	// Back to the first plan: its cancelled reels start anew.
	if r, err := h.s.PutReplay(h.ctx, testReplay, replayRules(3, 60)); err != nil ||
		r.State != api.ReplayStateStateRendering {
		t.Fatalf("%+v, %v", r, err)
	}
	h.drain(m)
	if r := h.replay(); r.State != api.ReplayStateStateRendered || *r.PlanHash == short {
		t.Fatalf("%+v", r)
	}
	// And to the second again, which is rendered already.
	if r, err := h.s.PutReplay(h.ctx, testReplay, replayRules(4, 7)); err != nil ||
		r.State != api.ReplayStateStateRendered || *r.PlanHash != short {
		t.Fatalf("%+v, %v", r, err)
	}
	none := replayRules(5, 60)
	none.Features = []api.FeatureRule{{Plugin: "scene", Attribute: "Nothing", Weight: 1}}
	if r, err := h.s.PutReplay(h.ctx, testReplay, none); err != nil ||
		r.State != api.ReplayStateStateNoMatch || r.Decisions[0].Reason == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	none.Generation, none.AudioTrack = 6, 2
	if r, err := h.s.PutReplay(h.ctx, testReplay, none); err != nil ||
		r.State != api.ReplayStateStateFailed || *r.Message == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if p := h.event().Progress; p.ReelsWanted != 0 || h.event().State != api.EventStateStateComplete {
		t.Fatalf("%+v", p)
	}
}

func TestReplayOfFailedEvent(t *testing.T) {
	h := newHarness(t)
	h.start()
	_, err := h.s.PutReplay(h.ctx, testReplay, replayRules(1, 60))
	h.must(err)
	h.must(h.s.FailSource(h.ctx, h.uid, api.Failure{Reason: api.FailureReasonNoVideo, Message: "there is no video"}))
	if r := h.replay(); r.State != api.ReplayStateStateEventFailed || *r.Message != "The Event failed: there is no video" {
		t.Fatalf("%+v", r)
	}
}

// finished is an Event with a Replay, all rendered.
func finished(t *testing.T) *harness {
	h := newHarness(t)
	h.start()
	_, err := h.s.PutReplay(h.ctx, testReplay, replayRules(1, 60))
	h.must(err)
	h.ingest(15)
	h.drain(match{moments: []int64{4, 13, 29}})
	return h
}

func (h *harness) rows(tables ...string) map[string]int64 {
	h.t.Helper()
	out := map[string]int64{}
	for _, table := range tables {
		n, err := one[int64](h.ctx, h.s.reader, `SELECT COUNT(*) FROM `+table)
		h.must(err)
		if n > 0 {
			out[table] = n
		}
	}
	return out
}

func TestDeletion(t *testing.T) {
	for policy, want := range map[api.DeletionPolicy]int{api.DeletionPolicyDelete: 0,
		api.DeletionPolicyRetainOutputs: 6*2 + 2*2 + 2, api.DeletionPolicyRetain: 6*2 + 2*2 + 2 + 15} {
		t.Run(string(policy), func(t *testing.T) {
			h := finished(t)
			referenced, err := referencedKeys(h.ctx, h.s.reader, h.uid)
			h.must(err)
			if len(referenced) != 6*2+2*2+2+15 {
				t.Errorf("%d keys are referenced", len(referenced))
			}
			h.must(h.s.Tombstone(h.ctx, h.uid, policy))
			h.must(h.s.Tombstone(h.ctx, h.uid, policy))
			for name, call := range map[string]func() error{
				"lease":    func() error { _, err := h.s.Lease(h.ctx, h.uid, api.LeaseRequest{Pool: api.PoolWork}); return err },
				"event":    func() error { _, err := h.s.Event(h.ctx, h.uid); return err },
				"plan":     func() error { _, err := h.s.PutPlan(h.ctx, h.uid, testPlan(h.uid)); return err },
				"replay":   func() error { _, err := h.s.PutReplay(h.ctx, testReplay, replayRules(2, 60)); return err },
				"unit":     func() error { return h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(0)) },
				"complete": func() error { return h.completeTask(1, api.TaskOutput{}) },
				"beat":     func() error { return h.s.Heartbeat(h.ctx, h.uid, 1, "x") },
				"list":     func() error { _, _, err := h.s.Tasks(h.ctx, h.uid, 1, ""); return err },
			} {
				if err := call(); !errors.Is(err, ErrGone) {
					t.Errorf("%s of a tombstoned Event: %v", name, err)
				}
			}
			h.wantErr(h.s.FinishDeletion(h.ctx, h.uid), ErrConflict, "rows go before")
			// The data plane dies after it settled what stays, and after some rows.
			_, err = h.s.settleKept(h.ctx, h.uid)
			h.must(err)
			_, err = h.s.writer.Exec(purgeOrder[0].statement(), h.uid, 5)
			h.must(err)
			h.reopen()
			kept, err := h.s.PurgeRows(h.ctx, h.uid)
			h.must(err)
			again, err := h.s.PurgeRows(h.ctx, h.uid)
			h.must(err)
			if len(kept) != want || !slices.Equal(kept, again) {
				t.Errorf("kept %d keys, then %d, want %d", len(kept), len(again), want)
			}
			if d := cmp.Diff(map[string]int64{"counters": 3, "tombstones": 1},
				h.rows("counters", "events", "plans", "units", "chunks", "tasks", "signals", "results",
					"segments", "segment_marks", "clips", "replays", "replay_plans", "reels",
					"changes", "changed", "tombstones")); d != "" {
				t.Error(d)
			}
			d, err := h.s.Deletion(h.ctx, h.uid)
			h.must(err)
			if !h.namesObjects() {
				t.Error("the bucket is not wanted while objects are to be deleted")
			}
			if d.Phase != PhaseObjects || d.Prefix != "sports/"+testEvent+"/" || d.Policy != policy {
				t.Errorf("%+v", d)
			}
			h.must(h.s.FinishDeletion(h.ctx, h.uid))
			h.must(h.s.FinishDeletion(h.ctx, h.uid))
			if d, _ := h.s.Deletion(h.ctx, h.uid); d.Phase != PhaseDone || len(d.Kept) != want {
				t.Errorf("%+v", d)
			}
			if _, err := h.s.Event(h.ctx, h.uid); !errors.Is(err, ErrGone) {
				t.Errorf("%v", err)
			}
			if h.namesObjects() != (want > 0) {
				t.Errorf("objects are named: %v", h.namesObjects())
			}
		})
	}
}

func TestNamesObjects(t *testing.T) {
	h := newHarness(t)
	h.start()
	if h.namesObjects() {
		t.Error("an Event without media names objects")
	}
	h.register(0)
	if !h.namesObjects() {
		t.Error("a unit is no object")
	}
}

func (h *harness) namesObjects() bool {
	h.t.Helper()
	names, err := h.s.NamesObjects(h.ctx)
	h.must(err)
	return names
}

func TestDeleteReplay(t *testing.T) {
	h := finished(t)
	h.must(h.s.DeleteReplay(h.ctx, testReplay, api.DeletionPolicyRetainOutputs))
	h.must(h.s.DeleteReplay(h.ctx, testReplay, api.DeletionPolicyRetainOutputs))
	h.must(h.s.DeleteReplay(h.ctx, "never-was", api.DeletionPolicyDelete))
	d, err := h.s.Deletion(h.ctx, testReplay)
	h.must(err)
	if d.Phase != PhaseObjects || len(d.Kept) != 4 ||
		d.Prefix != fmt.Sprintf("sports/%s/reels/%s/", testEvent, testReplay) {
		t.Fatalf("%+v", d)
	}
	if _, err := h.s.Replay(h.ctx, testReplay); !errors.Is(err, ErrGone) {
		t.Fatal(err)
	}
	if got := h.rows("replays", "replay_plans", "reels"); len(got) != 0 {
		t.Fatal(got)
	}
	keys, err := referencedKeys(h.ctx, h.s.reader, h.uid)
	h.must(err)
	if !keys[d.Kept[0]] {
		t.Error("the sweeper would take a reel that stays")
	}
	h.must(h.s.FinishDeletion(h.ctx, testReplay))
	h.must(h.s.Tombstone(h.ctx, h.uid, api.DeletionPolicyRetainOutputs))
	kept, err := h.s.PurgeRows(h.ctx, h.uid)
	h.must(err)
	if !slices.Contains(kept, d.Kept[0]) {
		t.Error("a reel that stays is not listed when its Event goes")
	}
	list, err := h.s.Deletions(h.ctx)
	h.must(err)
	if len(list) != 3 {
		t.Errorf("%+v", list)
	}
}

func TestTombstoneOfUnknownEvent(t *testing.T) {
	h := newHarness(t)
	h.must(h.s.Tombstone(h.ctx, h.uid, api.DeletionPolicyDelete))
	_, err := h.s.PutPlan(h.ctx, h.uid, testPlan(h.uid))
	h.wantErr(err, ErrGone, "deleted")
	if kept, err := h.s.PurgeRows(h.ctx, h.uid); err != nil || len(kept) != 0 {
		t.Fatal(kept, err)
	}
	if d, err := h.s.Deletion(h.ctx, h.uid); err != nil || d.Prefix != "" || d.Phase != PhaseObjects {
		t.Fatalf("%+v, %v", d, err)
	}
}
