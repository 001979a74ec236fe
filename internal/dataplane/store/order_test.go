// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// The eleventh segment of a chunk has a name that sorts before the third one's;
// its place is where its marks are.
func TestManySegmentsInAChunkDoNotOverlap(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(6)
	h.drainBut(match{}, func(l *api.Lease, out *api.TaskOutput) bool {
		if l.Kind == api.TaskKindSegmenter && l.Input.Segmenter.Chunk.Number == 1 {
			for i := range int64(12) {
				from := i * 480_000
				to := from + 400_000
				out.Segments = append(out.Segments,
					api.SegmentUpdate{StartMicros: from, EndMicros: &to, Attributes: map[string]any{}})
			}
		}
		return false
	})
	segments := h.segments()
	if len(segments) != 12 {
		t.Fatalf("%d segments", len(segments))
	}
	end := int64(0)
	for _, s := range segments {
		for _, o := range s.Optimized {
			if o.In.Frame < end {
				t.Errorf("segment %s is optimized to begin at frame %d, before %d", s.ID, o.In.Frame, end)
			}
			end = max(end, o.Out.Frame)
		}
	}
}

// Marks that have nothing to do with their segment are refused, and the segment
// goes on without.
func TestOptimizedMarksElsewhereAreRefused(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	h.drainBut(match{moments: []int64{5}}, func(l *api.Lease, out *api.TaskOutput) bool {
		if l.Kind == api.TaskKindOptimizer {
			out.Optimized[0].StartMicros, out.Optimized[0].EndMicros = 100*second, 102*second
		}
		return false
	})
	if e := h.event(); e.State != api.EventStateStateComplete || e.DeadLetters != 1 {
		t.Fatalf("%s with %d dead letters", e.State, e.DeadLetters)
	}
	for _, c := range h.clips() {
		if c.Variant != api.ClipVariantOriginal || c.Out.Frame <= c.In.Frame {
			t.Errorf("clip %s %s %d-%d", c.SegmentID, c.Variant, c.In.Frame, c.Out.Frame)
		}
	}
}

// A segment that was not optimized may begin before its neighbour's optimized
// end; a reel shows no frame twice all the same.
func TestReelPartsDoNotOverlap(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(12)
	rules := replayRules(1, 300)
	rules.Features = []api.FeatureRule{{Plugin: "name", Attribute: "Named", Weight: 1}}
	_, err := h.s.PutReplay(h.ctx, testReplay, rules)
	h.must(err)
	h.drainBut(match{moments: []int64{5, 16}}, func(l *api.Lease, out *api.TaskOutput) bool {
		switch l.Kind {
		case api.TaskKindSegmenter, api.TaskKindFinal:
			out.Segments = nil
			first, next := 9*second, 17*second
			switch l.Input.Segmenter.Chunk.Number {
			case 2:
				out.Segments = []api.SegmentUpdate{{StartMicros: 4 * second, EndMicros: &first, Attributes: map[string]any{}}}
			case 3:
				out.Segments = []api.SegmentUpdate{{StartMicros: 10 * second, EndMicros: &next, Attributes: map[string]any{}}}
			}
		case api.TaskKindOptimizer:
			if l.Input.Optimizer.Segments[0].In.Micros != 4*second {
				h.must(h.fail(l, "no luck"))
				return true
			}
			out.Optimized[0].StartMicros, out.Optimized[0].EndMicros = 4*second, 10*second+second/2
		}
		return false
	})
	r, err := h.s.Replay(h.ctx, testReplay)
	h.must(err)
	if len(r.Decisions) != 2 || !r.Decisions[0].Taken || !r.Decisions[1].Taken {
		t.Fatalf("decisions: %+v", r.Decisions)
	}
	if first, next := r.Decisions[0], r.Decisions[1]; next.In.Frame != first.Out.Frame {
		t.Errorf("parts %d-%d and %d-%d", first.In.Frame, first.Out.Frame, next.In.Frame, next.Out.Frame)
	}
}

// A labeler sees the results of the chunk that closed its segment, so it waits
// for them even when the segment ends before that chunk.
func TestLabelerWaitsForTheChunkThatCloses(t *testing.T) {
	h := newHarness(t)
	h.start(func(p *api.Plan) { p.Plugins[5].DependsOn = []string{"scene"} })
	h.register(0, 1, 2, 3, 4, 5, 6)
	var scene *api.Lease
	h.drainBut(match{}, func(l *api.Lease, out *api.TaskOutput) bool {
		switch {
		case l.Kind == api.TaskKindFeaturer && l.Input.Featurer.Plugin.Name == "scene" && l.Input.Featurer.Chunk.Number == 2:
			scene = l
			return true
		case l.Kind == api.TaskKindSegmenter && l.Input.Segmenter.Chunk.Number == 2:
			end := 4 * second
			out.Segments = []api.SegmentUpdate{{StartMicros: 2 * second, EndMicros: &end, Attributes: map[string]any{}}}
		case l.Kind == api.TaskKindLabeler:
			t.Errorf("the labeler runs while scene is open")
		}
		return false
	})
	h.must(h.completeTask(scene.TaskID, match{}.work(scene)))
	l := h.lease(api.PoolWork)
	for l != nil && l.Kind == api.TaskKindOptimizer {
		l = h.lease(api.PoolWork)
	}
	if l == nil || l.Kind != api.TaskKindLabeler || l.Input.Labeler.Timeline.Frames == nil ||
		*l.Input.Labeler.Timeline.Frames != 300 {
		t.Errorf("leased %+v", l)
	}
}

// A task whose input cannot be made fails with the reason; the others go on.
func TestInputThatCannotBeMade(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(6)
	if _, err := h.s.writer.Exec(`DELETE FROM units WHERE event_uid = $1 AND chunk = 1`, h.uid); err != nil {
		t.Fatal(err)
	}
	h.drain(match{})
	if e := h.event(); e.State != api.EventStateStateComplete || e.DeadLetters != 1 || e.Progress.ChunksFailed != 1 {
		t.Fatalf("%s, %d dead letters, %+v", e.State, e.DeadLetters, e.Progress)
	}
	d, err := h.s.ExplainChunk(h.ctx, h.uid, 1)
	h.must(err)
	if got := optionalName(d.Tasks[0].Task.Error); got != "none of the frames 0 to 150 was ever delivered" {
		t.Errorf("the framer's error: %q", got)
	}
}

// Units of a newer epoch may begin before the last one of an older epoch.
func TestUnitsOfOverlappingEpochs(t *testing.T) {
	h := newHarness(t)
	h.start()
	tl := timeline.Timeline{OriginTicks: origin, Rate: timeline.Rational{Num: 25, Den: 1}, Frames: timeline.Open}
	for _, u := range []struct {
		epoch         int32
		first, frames int64
	}{{0, 0, 50}, {0, 50, 10}, {1, 40, 200}, {1, 240, 60}} {
		unit := h.unit(u.first, u.frames)
		unit.Epoch, unit.Key = u.epoch, keys.Unit("sports", h.uid, u.epoch, tl.FrameStartTicks(u.first))
		h.must(h.s.RegisterUnit(h.ctx, h.uid, unit))
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 300}))
	h.drain(match{})
	if e := h.event(); e.State != api.EventStateStateComplete || e.DeadLetters != 0 {
		t.Errorf("%s, %d dead letters", e.State, e.DeadLetters)
	}
}

// An export may take longer than a lease, as long as it heartbeats.
func TestExportThatTakesLong(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		h.must(h.complete(l, match{}))
	}
	x, err := h.s.LeaseExport(h.ctx)
	h.must(err)
	for range 5 {
		h.clock.Step(x.Lease - time.Second)
		_, err := h.s.Housekeep(h.ctx)
		h.must(err)
		h.must(h.s.Heartbeat(h.ctx, x.EventUID, x.TaskID, x.Token))
	}
	h.must(h.s.CompleteExport(h.ctx, *x, "k", nil))
	if e := h.event(); e.State != api.EventStateStateComplete || e.Reason != nil {
		t.Errorf("%s %s", e.State, optionalName(e.Reason))
	}
}

// Whoever changes a Replay wants a reel that failed to be tried again.
func TestFailedReelAndANewGeneration(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(15)
	rules := replayRules(1, 60)
	_, err := h.s.PutReplay(h.ctx, testReplay, rules)
	h.must(err)
	failed := 0
	h.drainBut(match{moments: []int64{4, 13, 29}}, func(l *api.Lease, _ *api.TaskOutput) bool {
		if l.Kind != api.TaskKindReel {
			return false
		}
		failed++
		h.must(h.fail(l, "disk full"))
		return true
	})
	if state := h.replay().State; failed != 2 || state != api.ReplayStateStateFailed {
		t.Fatalf("%d reels failed; the Replay is %s", failed, state)
	}
	rules.Generation = 2
	_, err = h.s.PutReplay(h.ctx, testReplay, rules)
	h.must(err)
	h.drain(match{})
	if r := h.replay(); r.State != api.ReplayStateStateRendered {
		t.Errorf("after a new generation the Replay is %s: %s", r.State, optionalName(r.Message))
	}
}

// The Event's policy decides about reels when the Event goes with its Replay.
func TestReplayDeletedWithItsEvent(t *testing.T) {
	h := finished(t)
	h.must(h.s.Tombstone(h.ctx, h.uid, api.DeletionPolicyRetainOutputs))
	event, err := h.s.settleKept(h.ctx, h.uid)
	h.must(err)
	for _, table := range purgeOrder { // until it is killed
		h.must(h.s.write(h.ctx, func(x *txn) error {
			_, err := x.exec(table.statement(), h.uid, purgeBatch)
			return err
		}))
		if table.name == "reels" {
			break
		}
	}
	h.must(h.s.DeleteReplay(h.ctx, testReplay, api.DeletionPolicyDelete))
	d, err := h.s.Deletion(h.ctx, testReplay)
	h.must(err)
	if d.Phase != PhaseDone || d.Prefix != "" || len(event.Kept) == 0 {
		t.Errorf("the Replay's deletion is at %s with prefix %q; the Event keeps %d objects",
			d.Phase, d.Prefix, len(event.Kept))
	}
}

// What may be registered soon is not removed, and what is removed cannot be
// registered any more.
func TestDoomedObjectsAreNotRegistered(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0)
	second := h.nthUnit(1)
	stray := keys.Event("sports", h.uid) + "clips/stray.mp4"
	doomed, err := h.s.Doom(h.ctx, h.uid, []string{h.nthUnit(0).Key, second.Key, stray})
	h.must(err)
	if fmt.Sprint(doomed) != fmt.Sprint([]string{stray}) {
		t.Errorf("doomed while the source runs: %v", doomed)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 2 * unitFrames}))
	h.must(h.s.RegisterUnit(h.ctx, h.uid, second))
	h.drain(match{})
	doomed, err = h.s.Doom(h.ctx, h.uid, []string{second.Key, h.nthUnit(9).Key})
	h.must(err)
	if fmt.Sprint(doomed) != fmt.Sprint([]string{h.nthUnit(9).Key}) {
		t.Errorf("doomed in the end: %v", doomed)
	}
	err = h.s.write(h.ctx, func(x *txn) error {
		e, err := x.lockEvent(h.uid)
		h.must(err)
		return e.refuseDoomed(h.nthUnit(9).Key)
	})
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("registering it: %v", err)
	}
	h.clock.Step(3 * time.Minute)
	_, err = h.s.Doom(h.ctx, h.uid, nil)
	h.must(err)
	if n := h.rows("doomed"); len(n) != 0 {
		t.Errorf("left: %v", n)
	}
}

func TestOddRatesAndUnitsAreRefused(t *testing.T) {
	h := newHarness(t)
	_, err := h.s.PutPlan(h.ctx, h.uid, testPlan(h.uid))
	h.must(err)
	for _, rate := range []api.Rational{{Num: 1, Den: 1 << 40},
		{Num: 1 << 40, Den: 1}, {Num: 1001, Den: 1}, {Num: 1, Den: 11}} {
		tl := testTimeline()
		tl.Rate = rate
		h.wantErr(h.s.PutTimeline(h.ctx, h.uid, tl), ErrInvalid, "rate is")
	}
	h.must(h.s.PutTimeline(h.ctx, h.uid, testTimeline()))
	u := h.nthUnit(0)
	u.PayloadSHA256 = ""
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, u), ErrInvalid, "payloadSHA256")
	h.wantErr(h.s.RegisterUnit(h.ctx, h.uid, h.unit(0, 25*121)), ErrInvalid, "lasts at most")
}
