// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// chunksPerWorker wait before another worker is worth its start: one is being processed and one waits is
	// how an Event looks that keeps up.
	chunksPerWorker = 2
	// rendersPerRenderer are clips and reels, which take about as long as a pod takes to start.
	rendersPerRenderer = 4
	// scaleDownAfter keeps a Job that will be wanted again with the next burst.
	scaleDownAfter = time.Minute
)

// bounds are how many Jobs an Event may have. They are copied from the Profile when the Event starts.
type bounds struct {
	MinWorkers         int32 `json:"minWorkers"`
	MaxWorkers         int32 `json:"maxWorkers"`
	MinRenderers       int32 `json:"minRenderers"`
	MaxRenderers       int32 `json:"maxRenderers"`
	RecycleAfterChunks int32 `json:"recycleAfterChunks"`
	// NoClips: the Event makes none, so that renderers have work only for its Replays.
	NoClips bool `json:"noClips,omitempty"`
	// Pools are those that plugins name.
	Pools map[string]poolBounds `json:"pools,omitempty"`
}

// poolBounds are how many worker Jobs a named pool may have.
type poolBounds struct {
	MinWorkers int32 `json:"minWorkers"`
	MaxWorkers int32 `json:"maxWorkers"`
}

// boundsOf reads the bounds of a Profile whose plugins name these pools.
func boundsOf(p mrev1.ProcessingSpec, pools []string) bounds {
	b := bounds{
		MinWorkers: max(p.MinWorkers, 1), MinRenderers: max(p.MinRenderers, 1),
		RecycleAfterChunks: ptr.Deref(p.RecycleAfterChunks, 0),
	}
	b.MaxWorkers, b.MaxRenderers = max(p.MaxWorkers, b.MinWorkers), max(p.MaxRenderers, b.MinRenderers)
	for _, name := range pools {
		one := poolBounds{1, 1}
		if i := slices.IndexFunc(p.Pools, func(w mrev1.WorkerPool) bool { return w.Name == name }); i >= 0 {
			one.MinWorkers = max(p.Pools[i].MinWorkers, 1)
			one.MaxWorkers = max(p.Pools[i].MaxWorkers, one.MinWorkers)
		}
		if b.Pools == nil {
			b.Pools = map[string]poolBounds{}
		}
		b.Pools[name] = one
	}
	return b
}

// needs are the roles, and the named pools of workers, that an Event has work for.
type needs struct {
	ingest, work, render bool
	pools                []string
}

func (n needs) any() bool { return n.work || n.render || len(n.pools) > 0 }

// neededRoles starts all together, as a pod takes seconds to start and the first clip is due soon after
// the first chunk. What was asked for again after the end needs Jobs again.
func neededRoles(s api.EventState, suspended bool, b bounds) needs {
	if suspended {
		return needs{}
	}
	if s.State == api.EventStateStateFailed {
		// Of an Event whose source broke off, Replays are made of what there is.
		return needs{render: open(s.Backlog.Render) > 0}
	}
	ended := s.State == api.EventStateStateComplete || ptr.Deref(s.SourceEnded, false)
	busy := func(b api.PoolBacklog) bool { return !ended || open(b) > 0 || ptr.Deref(b.Coming, false) }
	out := needs{ingest: !ended, work: busy(s.Backlog.Work)}
	for _, name := range slices.Sorted(maps.Keys(b.Pools)) {
		if busy(s.Backlog.Pools[name]) {
			out.pools = append(out.pools, name)
		}
	}
	// What workers do may make clips. Reels are planned when everything else is done.
	out.render = !b.NoClips && (out.work || len(out.pools) > 0) || open(s.Backlog.Render) > 0
	return out
}

// workersWanted is how many workers the waiting chunks ask for. Chunks whose tasks wait for each other ask for
// no more than can work on them.
func workersWanted(s api.EventState, backlog api.PoolBacklog, b poolBounds) int32 {
	waiting := max(s.Progress.ChunksIngested-s.Progress.ChunksProcessed, 1)
	return within(b.MinWorkers, perJob(min(waiting, doable(backlog)), chunksPerWorker), b.MaxWorkers)
}

func renderersWanted(s api.EventState, b bounds) int32 {
	return within(b.MinRenderers, perJob(doable(s.Backlog.Render), rendersPerRenderer), b.MaxRenderers)
}

func doable(b api.PoolBacklog) int64 { return b.Ready + b.Leased }

func open(b api.PoolBacklog) int64 { return b.Blocked + b.Ready + b.Leased }

func perJob(n, each int64) int64 { return (n + each - 1) / each }

func within(low int32, n int64, high int32) int32 {
	return int32(min(max(int64(low), n), int64(high)))
}

// follow moves a number of Jobs to what is wanted: up at once, down when fewer have done for a while. It
// returns when to look again; zero for never.
func follow(n int32, lowSince *metav1.Time, wanted int32, now time.Time) (int32, *metav1.Time, time.Duration) {
	switch {
	case wanted >= n:
		return wanted, nil, 0
	case lowSince == nil:
		return n, &metav1.Time{Time: now}, scaleDownAfter
	}
	if left := lowSince.Add(scaleDownAfter).Sub(now); left > 0 {
		return n, lowSince, left
	}
	return wanted, nil, 0
}

// sizeSlots is how many Jobs an Event should have by itself, before Events share what the install allows, and
// when to look again.
func sizeSlots(was mrev1.SlotsStatus, s api.EventState, n needs, b bounds,
	now time.Time) (mrev1.SlotsStatus, time.Duration) {
	var out mrev1.SlotsStatus
	var again time.Duration
	sooner := func(after time.Duration) {
		if again == 0 || (after > 0 && after < again) {
			again = after
		}
	}
	var after time.Duration
	if n.work {
		out.WorkersWanted = workersWanted(s, s.Backlog.Work, poolBounds{b.MinWorkers, b.MaxWorkers})
		out.Workers, out.WorkersLowSince, after = follow(was.Workers, was.WorkersLowSince, out.WorkersWanted, now)
		sooner(after)
	}
	for _, name := range n.pools {
		next := mrev1.PoolSlotsStatus{Name: name, WorkersWanted: workersWanted(s, s.Backlog.Pools[name], b.Pools[name])}
		before := poolSlots(was, name)
		next.Workers, next.WorkersLowSince, after = follow(before.Workers, before.WorkersLowSince, next.WorkersWanted, now)
		out.Pools = append(out.Pools, next)
		sooner(after)
	}
	if n.render {
		out.Renderers, out.RenderersLowSince, after = follow(was.Renderers, was.RenderersLowSince, renderersWanted(s, b), now)
		sooner(after)
	}
	return out, again
}

// poolSlots are those of a named pool; none when it has no work.
func poolSlots(s mrev1.SlotsStatus, name string) mrev1.PoolSlotsStatus {
	if i := slices.IndexFunc(s.Pools, func(p mrev1.PoolSlotsStatus) bool { return p.Name == name }); i >= 0 {
		return s.Pools[i]
	}
	return mrev1.PoolSlotsStatus{}
}

// wantedJobs is how many Jobs of each crew there should be. A crew that is absent has no work.
func wantedJobs(n needs, slots mrev1.SlotsStatus) map[Crew]int32 {
	want := map[Crew]int32{}
	if n.ingest {
		want[Crew{Role: RoleIngest}] = 1
	}
	if n.work {
		want[Crew{Role: RoleWorker}] = slots.Workers
	}
	for _, name := range n.pools {
		want[Crew{RoleWorker, name}] = poolSlots(slots, name).Workers
	}
	if n.render {
		want[Crew{Role: RoleRender}] = slots.Renderers
	}
	return want
}
