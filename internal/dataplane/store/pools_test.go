// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const gpu = api.PoolWork + "/gpu"

// contained puts plugins into containers, in a pool.
func contained(pool string, names ...string) func(*api.Plan) {
	return func(p *api.Plan) {
		for i := range p.Plugins {
			for _, name := range names {
				if p.Plugins[i].Name == name {
					p.Plugins[i].Builtin = ""
					p.Plugins[i].Container = &api.PlanContainer{Pool: pool,
						Protocol: api.PlanContainerProtocolLambdaRuntime, StartTimeoutSeconds: 60}
				}
			}
		}
	}
}

// drainPools works in several pools until none has anything left.
func (h *harness) drainPools(m match, pools ...api.Pool) (did map[api.Pool]map[api.TaskKind]int) {
	h.t.Helper()
	did = map[api.Pool]map[api.TaskKind]int{}
	for again := true; again; {
		again = h.exports()
		for _, pool := range pools {
			for l := h.lease(pool); l != nil; l = h.lease(pool) {
				again = true
				if did[pool] == nil {
					did[pool] = map[api.TaskKind]int{}
				}
				did[pool][l.Kind]++
				h.must(h.complete(l, m))
			}
		}
	}
	return did
}

func TestPluginsOfAPoolRunThere(t *testing.T) {
	h := newHarness(t)
	h.start(contained("gpu", "scene", "snap"), contained("", "moment"))
	h.ingest(6)
	if diff := cmp.Diff(map[string]api.PoolBacklog{"gpu": {Ready: 2, Coming: new(true)}},
		h.event().Backlog.Pools); diff != "" {
		t.Errorf("backlog (-want +got):\n%s", diff)
	}
	// framers; peaks, moment and segment of two chunks, and the final pass
	if work := h.event().Backlog.Work; work.Ready != 2 || work.Blocked != 7 {
		t.Errorf("work: %+v", work)
	}
	if r := h.ask(api.LeaseRequest{Pool: api.WorkerPool("other")}); r.Outcome != api.LeaseResponseOutcomeDone {
		t.Errorf("a pool that nothing is for: %s", r.Outcome)
	}
	did := h.drainPools(match{moments: []int64{5}}, gpu, api.PoolWork, api.PoolRender)
	if did[gpu][api.TaskKindFeaturer] != 2 || did[gpu][api.TaskKindOptimizer] != 1 || len(did[gpu]) != 2 {
		t.Errorf("gpu did %v", did[gpu])
	}
	if did[api.PoolWork][api.TaskKindFeaturer] != 4 || did[api.PoolWork][api.TaskKindOptimizer] != 0 {
		t.Errorf("work did %v", did[api.PoolWork])
	}
	e := h.event()
	if e.State != api.EventStateStateComplete || e.Backlog.Pools != nil {
		t.Errorf("%s with backlog %+v", e.State, e.Backlog)
	}
	if h.outcome(gpu) != api.LeaseResponseOutcomeDone {
		t.Error("the pool is not done")
	}
}

// A story must not depend on where plugins run.
func TestPoolsDoNotChangeTheStory(t *testing.T) {
	m := match{moments: []int64{1, 9, 14}}
	var stories [][]string
	for _, change := range []func(*api.Plan){func(*api.Plan) {},
		contained("gpu", "scene", "peaks", "moment", "segment", "snap", "name")} {
		h := newHarness(t)
		h.start(change)
		h.ingest(9)
		h.drainPools(m, api.PoolRender, gpu, api.PoolWork)
		stories = append(stories, h.story())
	}
	if diff := cmp.Diff(stories[0], stories[1]); diff != "" || len(stories[0]) == 0 {
		t.Errorf("in a pool (-without +with):\n%s", diff)
	}
}

// A pool is done when nothing can come any more: an optimizer's only when the
// segmenter, of another pool, is.
func TestWhenAPoolIsDone(t *testing.T) {
	h := newHarness(t)
	h.start(contained("gpu", "scene"), contained("marks", "snap"))
	h.register(0)
	marks := api.WorkerPool("marks")
	if h.outcome(gpu) != api.LeaseResponseOutcomeIdle || h.outcome(marks) != api.LeaseResponseOutcomeIdle {
		t.Error("a pool is done while the source runs")
	}
	h.register(1, 2)
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 3 * unitFrames}))
	h.must(h.complete(h.lease(gpu), match{}))
	if got := h.outcome(gpu); got != api.LeaseResponseOutcomeDone {
		t.Errorf("featurers only, and all done: %s", got)
	}
	if got := h.outcome(marks); got != api.LeaseResponseOutcomeIdle {
		t.Errorf("an optimizer may come: %s", got)
	}
	if diff := cmp.Diff(map[string]api.PoolBacklog{"marks": {Coming: new(true)}}, h.event().Backlog.Pools); diff != "" {
		t.Errorf("backlog (-want +got):\n%s", diff)
	}
	h.drainPools(match{}, api.PoolWork, api.PoolRender)
	if got := h.outcome(marks); got != api.LeaseResponseOutcomeDone {
		t.Errorf("no segment was found: %s", got)
	}
}

// Behind a hole, chunks may still come for every pool.
func TestPoolsWaitForAHole(t *testing.T) {
	h := newHarness(t)
	h.start(contained("gpu", "scene"))
	h.register(0, 2)
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 3 * unitFrames}))
	b := h.event().Backlog
	if !*b.Work.Coming || !*b.Pools["gpu"].Coming {
		t.Errorf("%+v", b)
	}
}

func TestSlotsOfANamedPool(t *testing.T) {
	h := newHarness(t)
	h.start(contained("gpu", "scene"))
	h.register(0, 1, 2, 3)
	run := api.Run{Workers: 1, Renderers: 1, Pools: map[string]int32{"gpu": 2}}
	h.must(h.s.PutRun(h.ctx, h.uid, run))
	before := h.event().Version
	h.must(h.s.PutRun(h.ctx, h.uid, run))
	if got := h.event().Version; got != before {
		t.Errorf("the same run again made version %d of %d", got, before)
	}
	h.reopen()
	for _, c := range []struct {
		pool    api.Pool
		ordinal int32
		want    api.LeaseResponseOutcome
	}{
		{gpu, 1, api.LeaseResponseOutcomeTask}, {gpu, 2, api.LeaseResponseOutcomeRetire},
		{api.PoolWork, 1, api.LeaseResponseOutcomeRetire}, {api.WorkerPool("unsaid"), 7, api.LeaseResponseOutcomeIdle},
	} {
		r := h.ask(api.LeaseRequest{Pool: c.pool, Ordinal: &c.ordinal})
		if r.Outcome != c.want {
			t.Errorf("%s, ordinal %d: %s, want %s", c.pool, c.ordinal, r.Outcome, c.want)
		}
		if r.Lease != nil {
			h.must(h.s.Release(h.ctx, h.uid, r.Lease.TaskID, r.Lease.Token))
		}
	}
	run.Pools = map[string]int32{"gpu": 0}
	h.must(h.s.PutRun(h.ctx, h.uid, run))
	if r := h.ask(api.LeaseRequest{Pool: gpu, Ordinal: new(int32(0))}); r.Outcome != api.LeaseResponseOutcomeRetire {
		t.Errorf("no slots: %s", r.Outcome)
	}
	for _, bad := range []map[string]int32{{"GPU": 1}, {"": 1}, {"gpu": -1}} {
		h.wantErr(h.s.PutRun(h.ctx, h.uid, api.Run{Pools: bad}), ErrInvalid, "pools.")
	}
}

// A recycled worker leaves when its pool has no more of its chunks, whatever
// other pools have.
func TestChunksOfANamedPool(t *testing.T) {
	h := newHarness(t)
	h.start(contained("gpu", "scene", "moment")) // moment waits for peaks
	h.register(0, 1, 2, 3, 4, 5, 6)
	first := h.ask(api.LeaseRequest{Pool: gpu}).Lease
	mine := api.LeaseRequest{Pool: gpu, OnlyChunks: []int64{first.Chunk}}
	h.must(h.complete(first, match{}))
	if r := h.ask(mine); r.Outcome != api.LeaseResponseOutcomeIdle {
		t.Fatalf("moment of the chunk is to come: %s", r.Outcome)
	}
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) { // framers and peaks
		h.must(h.complete(l, match{}))
	}
	r := h.ask(mine)
	if r.Lease == nil || r.Lease.Chunk != 1 || r.Lease.Input.Featurer.Plugin.Name != "moment" {
		t.Fatalf("got %+v", r)
	}
	h.must(h.complete(r.Lease, match{}))
	if r := h.ask(mine); r.Outcome != api.LeaseResponseOutcomeRetire {
		t.Errorf("nothing of the chunk is left in the pool: %s", r.Outcome)
	}
	if r := h.ask(api.LeaseRequest{OnlyChunks: mine.OnlyChunks}); r.Lease == nil || r.Lease.Kind != api.TaskKindSegmenter {
		t.Errorf("the segmenter of the chunk is left in the other: %+v", r)
	}
}

func TestPoolNamesAreChecked(t *testing.T) {
	h := newHarness(t)
	for _, bad := range []string{"GPU", "a/b", "-a", "a-", "render ", "a23456789012345678901234567890123"} {
		p := testPlan(h.uid)
		contained(bad, "scene")(&p)
		_, err := h.s.PutPlan(h.ctx, h.uid, p)
		h.wantErr(err, ErrInvalid, `plugin "scene" names the pool`)
	}
}

// Plugins in containers read media, so they neither wait for the framer nor
// fall with it.
func TestContainersDoWithoutTheFramer(t *testing.T) {
	h := newHarness(t)
	h.start(contained("", "scene", "moment"))
	h.register(0, 1, 2, 3)
	l := h.lease(api.PoolWork)
	if l.Input.Featurer == nil || l.Input.Featurer.Plugin.Name != "scene" || len(l.Input.Featurer.Signals) != 0 ||
		l.Input.Featurer.Signals == nil {
		t.Fatalf("leased %+v", l)
	}
	h.must(h.complete(l, match{}))
	framer := h.lease(api.PoolWork)
	if framer.Kind != api.TaskKindFramer {
		t.Fatalf("leased %s", framer.Kind)
	}
	h.must(h.fail(framer, "no picture"))
	l = h.lease(api.PoolWork)
	if l == nil || l.Input.Featurer == nil || l.Input.Featurer.Plugin.Name != "moment" {
		t.Fatalf("moment goes on without peaks, which has nothing to read; leased %+v", l)
	}
}

// An audio plugin that never runs holds nobody up.
func TestContainersWithoutAudio(t *testing.T) {
	h := newHarness(t)
	p := testPlan(h.uid)
	contained("", "scene", "peaks", "moment")(&p)
	_, err := h.s.PutPlan(h.ctx, h.uid, p)
	h.must(err)
	silent := testTimeline()
	silent.AudioTracks = []api.AudioTrack{}
	h.must(h.s.PutTimeline(h.ctx, h.uid, silent))
	h.ingest(3)
	h.drain(match{})
	if e := h.event(); e.State != api.EventStateStateComplete {
		t.Errorf("%s, %+v", e.State, e.Backlog)
	}
}
