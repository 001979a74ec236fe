// SPDX-License-Identifier: Apache-2.0

package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestForget(t *testing.T) {
	h := finished(t)
	first := h.replay().PlanHash
	_, err := h.s.PutReplay(h.ctx, testReplay, replayRules(2, 10))
	h.must(err)
	h.drain(match{})
	if second := h.replay().PlanHash; *first == *second {
		t.Fatal("the second plan is the first")
	}
	h.must(h.s.Tombstone(h.ctx, "gone", api.DeletionPolicyDelete))
	_, err = h.s.PurgeRows(h.ctx, "gone")
	h.must(err)
	h.must(h.s.FinishDeletion(h.ctx, "gone"))
	h.must(h.s.Tombstone(h.ctx, "going", api.DeletionPolicyDelete))
	before := h.rows("replay_plans", "reels", "tombstones")
	if n, err := h.s.Forget(h.ctx, time.Hour); err != nil || n != 0 {
		t.Fatalf("forgot %d young rows: %v", n, err)
	}
	h.clock.Step(2 * time.Hour)
	n, err := h.s.Forget(h.ctx, time.Hour)
	h.must(err)
	after := h.rows("replay_plans", "reels", "tombstones")
	if after["replay_plans"] != 1 || after["tombstones"] != 1 || after["reels"] >= before["reels"] || after["reels"] == 0 {
		t.Errorf("%v, then %v; %d rows forgotten", before, after, n)
	}
	if r := h.replay(); r.State != api.ReplayStateStateRendered {
		t.Errorf("the current reel: %+v", r)
	}
	if n, err := h.s.Forget(h.ctx, time.Hour); err != nil || n != 0 {
		t.Errorf("forgot %d rows again: %v", n, err)
	}
}

// TestBackupGoesOn takes a copy in the middle of an Event and goes on with it.
func TestBackupGoesOn(t *testing.T) {
	if backend != sqliteDialect.name {
		if err := Backup(t.Context(), "postgres://x/y", "z"); err == nil || !strings.Contains(err.Error(), "pg_dump") {
			t.Error(err)
		}
		return
	}
	h := newHarness(t)
	h.start()
	h.ingest(9)
	m := match{moments: []int64{1, 8}}
	for range 4 {
		l := h.lease(api.PoolWork)
		h.must(h.complete(l, m))
	}
	held := h.lease(api.PoolWork)
	copied := filepath.Join(t.TempDir(), "copy.db")
	h.must(Backup(h.ctx, h.path, copied))
	if err := Backup(h.ctx, h.path, copied); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Fatalf("a backup was overwritten: %v", err)
	}
	_, seq, err := h.s.Changes(h.ctx, 0, 10)
	h.must(err)
	h.drain(m)
	h.must(h.s.Close())

	h.path = copied
	h.clock.Step(time.Hour) // until somebody restored it
	h.open()
	h.must(h.complete(held, m)) // a worker that was at work all the time
	h.drain(m)
	if e := h.event(); e.State != api.EventStateStateComplete || e.Progress.ChunksFailed != 0 {
		t.Fatalf("%+v", e)
	}
	if list, _, err := h.s.Changes(h.ctx, seq+1000, 10); err != nil || len(list) != 1 {
		t.Fatalf("a reader from before the restore sees %+v, %v", list, err)
	}
}
