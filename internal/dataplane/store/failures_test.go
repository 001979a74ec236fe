// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// failing drains an Event in which a plugin fails on one chunk.
func (h *harness) failing(plugin string, chunk int64, m match) {
	h.t.Helper()
	h.drainBut(m, func(l *api.Lease, _ *api.TaskOutput) bool {
		if l.Chunk != chunk || h.pluginOf(l) != plugin {
			return false
		}
		h.must(h.fail(l, "out of luck"))
		return true
	})
}

func (h *harness) pluginOf(l *api.Lease) string {
	switch in := l.Input; {
	case in.Featurer != nil:
		return in.Featurer.Plugin.Name
	case in.Segmenter != nil:
		return in.Segmenter.Plugin.Name
	case in.Optimizer != nil:
		return in.Optimizer.Plugin.Name
	case in.Labeler != nil:
		return in.Labeler.Plugin.Name
	}
	return string(l.Kind)
}

// tasksOf says how the tasks of a chunk ended.
func (h *harness) tasksOf(chunk int64) string {
	h.t.Helper()
	d, err := h.s.ExplainChunk(h.ctx, h.uid, chunk)
	h.must(err)
	var out []string
	for _, t := range d.Tasks {
		if t.Task.Kind == api.TaskKindFramer || t.Task.Kind == api.TaskKindFeaturer || t.Task.Kind == api.TaskKindSegmenter {
			name := t.Task.Plugin
			if name == "" {
				name = string(t.Task.Kind)
			}
			out = append(out, name+" "+string(t.Task.State))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// What follows when a plugin has failed for good is its own onFailure.
func TestOnFailure(t *testing.T) {
	tests := map[string]struct {
		plugin string
		policy api.PlanPluginOnFailure
		state  api.EventStateState
		tasks  string
	}{
		"skip": {"peaks", api.PlanPluginOnFailureSkip, api.EventStateStateComplete,
			"framer done, moment done, peaks failed, scene done, segment done"},
		"fail chunk": {"peaks", api.PlanPluginOnFailureFailChunk, api.EventStateStateComplete,
			"framer done, moment skipped, peaks failed, scene done, segment skipped"},
		"beside": {"scene", api.PlanPluginOnFailureFailChunk, api.EventStateStateComplete,
			"framer done, moment done, peaks done, scene failed, segment skipped"},
		"fail event": {"moment", api.PlanPluginOnFailureFailEvent, api.EventStateStateFailed, ""},
		"segmenter": {"segment", api.PlanPluginOnFailureSkip, api.EventStateStateComplete,
			"framer done, moment done, peaks done, scene done, segment failed"},
		"no segmenter": {"segment", api.PlanPluginOnFailureFailEvent, api.EventStateStateFailed, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.start(func(p *api.Plan) {
				for i := range p.Plugins {
					if p.Plugins[i].Name == tt.plugin {
						p.Plugins[i].OnFailure = tt.policy
					}
					if p.Plugins[i].Name == "scene" {
						p.Plugins[i].BeforeSegmenter = true
					}
				}
			})
			h.ingest(9)
			h.failing(tt.plugin, 2, match{moments: []int64{1, 8, 16}})
			e := h.event()
			if e.State != tt.state {
				t.Fatalf("%s %s", e.State, optionalName(e.Message))
			}
			if tt.state == api.EventStateStateFailed {
				want := fmt.Sprintf("Plugin %s failed on chunk 2", tt.plugin)
				if optionalName(e.Reason) != "PluginFailed" || !strings.Contains(optionalName(e.Message), want) ||
					!strings.Contains(optionalName(e.Message), "out of luck") {
					t.Errorf("%s: %s", optionalName(e.Reason), optionalName(e.Message))
				}
				return
			}
			if got := h.tasksOf(2); got != tt.tasks {
				t.Errorf("tasks of chunk 2: %s\nwant %s", got, tt.tasks)
			}
			if got := h.tasksOf(1); strings.Contains(got, "skipped") || strings.Contains(got, "failed") {
				t.Errorf("tasks of chunk 1: %s", got)
			}
			if e.Progress.ChunksFailed != 1 || e.DeadLetters != 1 {
				t.Errorf("%d chunks failed, %d dead letters", e.Progress.ChunksFailed, e.DeadLetters)
			}
		})
	}
}

// A featurer that is asked to come first holds its chunk's segmenter, and only
// that.
func TestBeforeSegmenter(t *testing.T) {
	for _, before := range []bool{false, true} {
		h := newHarness(t)
		h.start(func(p *api.Plan) { p.Plugins[0].BeforeSegmenter = before })
		h.ingest(3)
		segmented := false
		h.drainBut(match{}, func(l *api.Lease, _ *api.TaskOutput) bool {
			segmented = segmented || l.Kind == api.TaskKindSegmenter
			return h.pluginOf(l) == "scene"
		})
		if segmented == before {
			t.Errorf("beforeSegmenter %t, scene open: segmented %t", before, segmented)
		}
	}
}

// A framer that fails takes its featurers along; trying it again brings them
// back, although the Event is Complete, and the exports are written again.
func TestRetry(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	_, err := h.s.PutReplay(h.ctx, testReplay, replayRules(1, 300))
	h.must(err)
	m := match{moments: []int64{1, 8, 16}}
	h.failing("framer", 2, m)
	if e := h.event(); e.State != api.EventStateStateComplete || e.DeadLetters != 1 {
		t.Fatalf("%s, %d dead letters", e.State, e.DeadLetters)
	}
	if got := h.tasksOf(2); got != "framer failed, moment skipped, peaks skipped, scene skipped, segment done" {
		t.Fatal(got)
	}
	for _, word := range []string{"monday", "monday"} { // a repeat gets the first one's answer
		r, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: word})
		h.must(err)
		if r.Retried != 4 || r.Left == nil || len(r.Left) != 0 {
			t.Errorf("retried %d, left %v; want 4 and nothing", r.Retried, r.Left)
		}
	}
	version := h.event().Version
	exported := 0
	for did := true; did; {
		did = false
		for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
			did = true
			h.must(h.complete(l, m))
		}
		if h.exports() {
			did = true
			exported++
		}
		for l := h.lease(api.PoolRender); l != nil; l = h.lease(api.PoolRender) {
			did = true
			h.must(h.complete(l, m))
		}
	}
	e := h.event()
	if got := h.tasksOf(2); got != "framer done, moment done, peaks done, scene done, segment done" {
		t.Error(got)
	}
	if e.State != api.EventStateStateComplete || e.DeadLetters != 0 || e.Progress.ChunksFailed != 0 ||
		exported != 1 || e.Version <= version {
		t.Errorf("%s, %d dead letters, %+v, exported %d times", e.State, e.DeadLetters, e.Progress, exported)
	}
	found, _, err := h.s.Results(h.ctx, h.uid, ResultFilter{Plugin: "moment"}, 100, "")
	h.must(err)
	if len(found) != 3 {
		t.Errorf("%d results", len(found))
	}
}

// What is said of exports that failed holds until they are written, and again
// when they fail anew.
func TestRetryOfExports(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	m := match{moments: []int64{1}}
	export := func() *ExportTask {
		x, err := h.s.LeaseExport(h.ctx)
		h.must(err)
		if x == nil {
			t.Fatal("there is no export to write")
		}
		return x
	}
	failExport := func() {
		x := export()
		h.must(h.s.Fail(h.ctx, h.uid, x.TaskID, api.TaskFailure{Token: x.Token, Message: "the time code cannot be written"}))
	}
	want := func(reason string, dead int64, exported bool) {
		t.Helper()
		e := h.event()
		if e.State != api.EventStateStateComplete || optionalName(e.Reason) != reason ||
			(e.Message != nil) != (reason != "") ||
			e.DeadLetters != dead || (e.ExportLocation != nil) != exported {
			t.Errorf("%s %q %q, %d dead letters, exports %v; want %q", e.State, optionalName(e.Reason),
				optionalName(e.Message), e.DeadLetters, e.ExportLocation, reason)
		}
	}
	retry := func(word string) {
		t.Helper()
		r, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: word})
		h.must(err)
		if r.Retried != 1 {
			t.Fatalf("%s: %+v", word, r)
		}
	}
	for _, pool := range []api.Pool{api.PoolWork, api.PoolRender} {
		for l := h.lease(pool); l != nil; l = h.lease(pool) {
			h.must(h.complete(l, m))
		}
	}
	failExport()
	want(reasonWithFailures, 1, false)
	retry("first")
	want(reasonWithFailures, 0, false)
	failExport()
	want(reasonWithFailures, 1, false)
	retry("second")
	if !h.exports() {
		t.Fatal("there is no export to write")
	}
	want("", 0, true)
}

// A segmenter cannot be tried again when later chunks have been segmented, an
// optimizer can: its marks then keep clear of both neighbours.
func TestRetryKeepsTheOrder(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(15)
	m := match{moments: []int64{4, 13, 23}}
	failed := 0
	h.drainBut(m, func(l *api.Lease, _ *api.TaskOutput) bool {
		if (l.Kind == api.TaskKindOptimizer && failed == 1) || (l.Kind == api.TaskKindSegmenter && l.Chunk == 2) {
			failed++
			h.must(h.fail(l, "boom"))
			return true
		}
		failed += map[bool]int{true: 1}[l.Kind == api.TaskKindOptimizer && failed == 0]
		return false
	})
	r, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: "x"})
	h.must(err)
	if r.Retried != 1 || len(r.Left) != 1 || !strings.Contains(r.Left[0],
		"segmenter of chunk 2: later chunks have been segmented") {
		t.Fatalf("%+v", r)
	}
	h.drain(m)
	// However late the answer is asked for, by whom, and whatever was asked in between, it is the same.
	other, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: "y"})
	h.must(err)
	if other.Retried != 0 || len(other.Left) != 1 {
		t.Errorf("a second word: %+v", other)
	}
	h.reopen()
	version := h.event().Version
	again, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: "x"})
	h.must(err)
	if !reflect.DeepEqual(again, r) || h.event().Version != version {
		t.Errorf("the first word again: %+v, want %+v; version %d, was %d", again, r, h.event().Version, version)
	}
	end := int64(0)
	for _, s := range h.segments() {
		if len(s.Optimized) != 1 || s.Optimized[0].In.Frame < end {
			t.Errorf("segment %s: %+v after %d", s.ID, s.Optimized, end)
			continue
		}
		end = s.Optimized[0].Out.Frame
	}
	if e := h.event(); e.Progress.ClipsRendered != e.Progress.ClipsWanted ||
		e.Progress.ClipsWanted != int64(2*len(h.segments())) {
		t.Errorf("%+v", e.Progress)
	}
}

func TestRetryOfAFailedEventIsRefused(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.must(h.s.FailSource(h.ctx, h.uid, api.Failure{Reason: api.FailureReasonNoVideo, Message: "no video"}))
	_, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: "x"})
	h.wantErr(err, ErrConflict, "no video")
}

// What became of each try is kept, and what a blocked task waits for is said.
func TestExplainChunk(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3)
	l := h.lease(api.PoolWork)
	h.must(h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "once", Retryable: true}))
	h.clock.Step(2 * time.Second)
	h.lease(api.PoolWork)
	h.clock.Step(31 * time.Second)
	l = h.lease(api.PoolWork)
	h.must(h.s.Release(h.ctx, h.uid, l.TaskID, l.Token))
	l = h.lease(api.PoolWork)
	h.must(h.s.GiveBack(h.ctx, h.uid, l.TaskID, l.Token))
	d, err := h.s.ExplainChunk(h.ctx, h.uid, 1)
	h.must(err)
	tries := ""
	for _, try := range d.Tasks[0].Tries {
		tries += fmt.Sprintf("%d %s %s %s %d\n", try.Attempt, try.Outcome, try.Holder,
			optionalName(try.Error), try.EndedAt.Sub(try.LeasedAt)/1e9)
	}
	if want := "1 Failed pod-1 once 0\n2 Lost pod-1 pod-1 fell silent while it held the task 31\n3 Released pod-1  0\n" +
		"4 Released pod-1 pod-1 was told to stop while it worked on the task 0\n"; tries != want {
		t.Errorf("tries:\n%swant\n%s", tries, want)
	}
	waits := map[string]string{}
	for _, task := range d.Tasks {
		waits[task.Task.Plugin] = strings.Join(task.WaitsFor, "; ")
	}
	if waits["moment"] != "framer of chunk 1 (ready); featurer peaks of track 1 of chunk 1 (blocked)" ||
		waits["segment"] != "featurer moment of chunk 1 (blocked)" || len(d.Units) != 3 {
		t.Errorf("waits: %v, %d units", waits, len(d.Units))
	}
	_, err = h.s.ExplainChunk(h.ctx, h.uid, 7)
	h.wantErr(err, ErrNotFound, "no chunk 7")
}

// An optimizer that listens runs once for each track; each track has its marks
// and clips, whichever comes first.
func TestOptimizerOfEachTrack(t *testing.T) {
	var stories [2]string
	for i, reverse := range []bool{false, true} {
		h := newHarness(t)
		p := testPlan(h.uid)
		p.Plugins[4].MediaType = api.PlanPluginMediaTypeAudio
		_, err := h.s.PutPlan(h.ctx, h.uid, p)
		h.must(err)
		tl := testTimeline()
		tl.AudioTracks = append(tl.AudioTracks,
			api.AudioTrack{Track: 2, StreamIndex: 2, Codec: "aac", SampleRate: 48000, Channels: 2})
		h.must(h.s.PutTimeline(h.ctx, h.uid, tl))
		h.ingest(12)
		var held []*api.Lease
		m := match{moments: []int64{4, 13}}
		for range 20 {
			h.drainBut(m, func(l *api.Lease, out *api.TaskOutput) bool {
				if l.Kind != api.TaskKindOptimizer {
					return false
				}
				if reverse && l.Input.Optimizer.Track == 1 && len(held) == 0 {
					held = append(held, l)
					return true
				}
				out.Optimized[0].EndMicros += int64(l.Input.Optimizer.Track) * second / 5
				return false
			})
			for _, l := range held {
				out := m.work(l)
				out.Optimized[0].EndMicros += int64(l.Input.Optimizer.Track) * second / 5
				h.must(h.completeTask(l.TaskID, out))
			}
			held = nil
		}
		if e := h.event(); e.State != api.EventStateStateComplete {
			t.Fatalf("%s %+v", e.State, e.Backlog)
		}
		for _, s := range h.segments() {
			if len(s.Optimized) != 2 || s.Optimized[0].Track != 1 || s.Optimized[1].Track != 2 ||
				s.Optimized[0].Out == s.Optimized[1].Out {
				t.Errorf("segment %s: %+v", s.ID, s.Optimized)
			}
		}
		for _, c := range h.clips() {
			if c.State != api.ClipStateRendered {
				t.Errorf("clip %+v", c)
			}
		}
		stories[i] = strings.Join(h.story(), "\n")
	}
	if stories[0] != stories[1] || strings.Count(stories[0], "optimized t2 m2") != 2 {
		t.Errorf("one order:\n%s\nthe other:\n%s", stories[0], stories[1])
	}
}
