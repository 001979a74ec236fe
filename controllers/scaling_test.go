// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		spec mrev1.ProcessingSpec
		want bounds
	}{
		"nothing said": {mrev1.ProcessingSpec{}, bounds{MinWorkers: 1, MaxWorkers: 1, MinRenderers: 1, MaxRenderers: 1}},
		"fixed": {mrev1.ProcessingSpec{MinWorkers: 3, MinRenderers: 2},
			bounds{MinWorkers: 3, MaxWorkers: 3, MinRenderers: 2, MaxRenderers: 2}},
		"by backlog": {mrev1.ProcessingSpec{MinWorkers: 1, MaxWorkers: 4,
			MaxRenderers: 8, RecycleAfterChunks: ptr.To[int32](5)},
			bounds{MinWorkers: 1, MaxWorkers: 4, MinRenderers: 1, MaxRenderers: 8, RecycleAfterChunks: 5}},
		"pools": {mrev1.ProcessingSpec{Pools: []mrev1.WorkerPool{{Name: "gpu", MinWorkers: 2, MaxWorkers: 3},
			{Name: "fixed", MinWorkers: 2}, {Name: "idle"}}},
			bounds{MinWorkers: 1, MaxWorkers: 1, MinRenderers: 1, MaxRenderers: 1,
				Pools: map[string]poolBounds{"gpu": {2, 3}, "fixed": {2, 2}, "unsized": {1, 1}}}},
	} {
		var pools []string
		for pool := range tc.want.Pools {
			pools = append(pools, pool)
		}
		if got := boundsOf(tc.spec, pools); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

func TestWanted(t *testing.T) {
	b := bounds{MinWorkers: 1, MaxWorkers: 6, MinRenderers: 1, MaxRenderers: 5}
	for name, tc := range map[string]struct {
		ingested, processed int64
		work, render        api.PoolBacklog
		workers, renderers  int32
	}{
		"nothing to do": {workers: 1, renderers: 1},
		"one chunk": {ingested: 7, processed: 6,
			work: api.PoolBacklog{Ready: 3}, workers: 1, renderers: 1},
		"two chunks are what keeps up": {ingested: 8, processed: 6,
			work: api.PoolBacklog{Ready: 3, Leased: 1}, workers: 1, renderers: 1},
		"three are one too many": {ingested: 9, processed: 6,
			work: api.PoolBacklog{Ready: 3}, workers: 2, renderers: 1},
		"a recording that was ingested fast": {ingested: 500, work: api.PoolBacklog{Ready: 500}, workers: 6, renderers: 1},
		"chunks that wait for each other": {ingested: 500,
			work: api.PoolBacklog{Ready: 1, Blocked: 499}, workers: 1, renderers: 1},
		"clips pile up":                   {render: api.PoolBacklog{Ready: 9, Leased: 1}, workers: 1, renderers: 3},
		"very many clips":                 {render: api.PoolBacklog{Ready: 1 << 40}, workers: 1, renderers: 5},
		"clips whose marks are not final": {render: api.PoolBacklog{Blocked: 100}, workers: 1, renderers: 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := api.EventState{Progress: api.Progress{ChunksIngested: tc.ingested, ChunksProcessed: tc.processed},
				Backlog: api.Backlog{Work: tc.work, Render: tc.render}}
			if got := workersWanted(s, s.Backlog.Work, poolBounds{b.MinWorkers, b.MaxWorkers}); got != tc.workers {
				t.Errorf("%d workers, want %d", got, tc.workers)
			}
			if got := renderersWanted(s, b); got != tc.renderers {
				t.Errorf("%d renderers, want %d", got, tc.renderers)
			}
		})
	}
}

func TestFollow(t *testing.T) {
	ago := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now0.Add(-d)} }
	for name, tc := range map[string]struct {
		n, wanted int32
		low       *metav1.Time
		to        int32
		since     *metav1.Time
		after     time.Duration
	}{
		"from nothing":       {n: 0, wanted: 3, to: 3},
		"up at once":         {n: 1, wanted: 5, to: 5},
		"up again, not down": {n: 4, wanted: 4, low: ago(50 * time.Second), to: 4},
		"down has to wait":   {n: 4, wanted: 1, to: 4, since: ago(0), after: scaleDownAfter},
		"still waiting": {n: 4, wanted: 2, low: ago(20 * time.Second),
			to: 4, since: ago(20 * time.Second), after: 40 * time.Second},
		"down": {n: 4, wanted: 2, low: ago(time.Minute), to: 2},
		"a clock that went back": {n: 4, wanted: 2, low: ago(-time.Hour), to: 4,
			since: ago(-time.Hour), after: 61 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			to, since, after := follow(tc.n, tc.low, tc.wanted, now0)
			if to != tc.to || after != tc.after || cmp.Diff(tc.since, since) != "" {
				t.Errorf("%d since %v after %s, want %d since %v after %s", to, since, after, tc.to, tc.since, tc.after)
			}
		})
	}
}

// A burst brings workers at once; they leave one scaleDownAfter after it, whoever computes it and however often.
func TestSizeSlotsOverTime(t *testing.T) {
	b := bounds{MinWorkers: 1, MaxWorkers: 4, MinRenderers: 1, MaxRenderers: 1}
	state := func(waiting int64) api.EventState {
		return api.EventState{State: api.EventStateStateActive, Progress: api.Progress{ChunksIngested: waiting},
			Backlog: api.Backlog{Work: api.PoolBacklog{Ready: waiting}}}
	}
	all := needs{ingest: true, work: true, render: true}
	var slots mrev1.SlotsStatus
	for second := range int64(200) {
		waiting := int64(1)
		if second >= 10 && second < 30 {
			waiting = 8
		}
		at := now0.Add(time.Duration(second) * time.Second)
		var again time.Duration
		slots, again = sizeSlots(slots, state(waiting), all, b, at)
		want := int32(1)
		if second >= 10 && second < 90 {
			want = 4
		}
		if slots.Workers != want {
			t.Fatalf("second %d: %d workers, want %d", second, slots.Workers, want)
		}
		if lingering := second >= 30 && second < 90; lingering != (again > 0) {
			t.Fatalf("second %d: look again after %s", second, again)
		}
	}
	if gone, _ := sizeSlots(slots, state(8), needs{}, b, now0); !reflect.DeepEqual(gone, mrev1.SlotsStatus{}) {
		t.Errorf("slots of an Event without work: %+v", gone)
	}
}

// Each pool follows its own backlog.
func TestSizeSlotsOfPools(t *testing.T) {
	b := bounds{MinWorkers: 1, MaxWorkers: 4, MinRenderers: 1, MaxRenderers: 1,
		Pools: map[string]poolBounds{"gpu": {1, 2}, "npu": {1, 8}}}
	state := api.EventState{State: api.EventStateStateActive, Progress: api.Progress{ChunksIngested: 9},
		Backlog: api.Backlog{Work: api.PoolBacklog{Ready: 1},
			Pools: map[string]api.PoolBacklog{"gpu": {Ready: 9}, "npu": {Ready: 4, Blocked: 90}}}}
	slots, again := sizeSlots(mrev1.SlotsStatus{}, state, neededRoles(state, false, b), b, now0)
	want := mrev1.SlotsStatus{Workers: 1, WorkersWanted: 1, Renderers: 1, Pools: []mrev1.PoolSlotsStatus{
		{Name: "gpu", Workers: 2, WorkersWanted: 2}, {Name: "npu", Workers: 2, WorkersWanted: 2}}}
	if d := cmp.Diff(want, slots); d != "" || again != 0 {
		t.Errorf("at first, again after %s (-want +got):\n%s", again, d)
	}
	if d := cmp.Diff(map[string]int32{"gpu": 2, "npu": 2}, poolsToTell(slots, b)); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}

	state.Backlog.Pools = map[string]api.PoolBacklog{"npu": {Ready: 4}}
	slots, again = sizeSlots(slots, state, neededRoles(state, false, b), b, now0)
	low := metav1.NewTime(now0)
	want.Pools[0] = mrev1.PoolSlotsStatus{Name: "gpu", Workers: 2, WorkersWanted: 1, WorkersLowSince: &low}
	if d := cmp.Diff(want, slots); d != "" || again != scaleDownAfter {
		t.Errorf("when one is idle, again after %s (-want +got):\n%s", again, d)
	}

	state.State, state.SourceEnded = api.EventStateStateDraining, new(true)
	slots, _ = sizeSlots(slots, state, neededRoles(state, false, b), b, now0.Add(scaleDownAfter))
	if d := cmp.Diff([]mrev1.PoolSlotsStatus{{Name: "npu", Workers: 2, WorkersWanted: 2}}, slots.Pools); d != "" {
		t.Errorf("a pool without work (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]int32{"gpu": 0, "npu": 2}, poolsToTell(slots, b)); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
	// The final pass may yet bring the optimizer work.
	state.Backlog.Pools["gpu"] = api.PoolBacklog{Coming: new(true)}
	slots, _ = sizeSlots(slots, state, neededRoles(state, false, b), b, now0.Add(scaleDownAfter))
	if d := cmp.Diff(map[string]int32{"gpu": 1, "npu": 2}, poolsToTell(slots, b)); d != "" {
		t.Errorf("told while claims may come (-want +got):\n%s", d)
	}
	if told := poolsToTell(slots, bounds{}); told != nil {
		t.Errorf("told %v of an Event without pools", told)
	}
}
