// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// The tests' Event: 25 fps, chunks of 6 s, units of 2 s (50 frames).
const (
	testEvent  = "11111111-aaaa"
	testReplay = "22222222-bbbb"
	unitFrames = 50
	second     = int64(microsPerSecond)
	origin     = int64(126000)
)

type harness struct {
	t     testing.TB
	ctx   context.Context
	s     *Store
	clock *testclock.FakeClock
	path  string
	uid   string
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{t: t, ctx: context.Background(), uid: testEvent,
		clock: testclock.NewFakeClock(time.Date(2026, 6, 1, 14, 0, 0, 0, time.UTC)), path: database(t)}
	h.open()
	t.Cleanup(func() { _ = h.s.Close() })
	return h
}

func (h *harness) open() {
	h.t.Helper()
	s, err := Open(h.ctx, h.path, h.options())
	h.must(err)
	h.s = s
}

func (h *harness) options() Options {
	return Options{Clock: h.clock, LeaseDuration: 30 * time.Second, synchronous: "OFF", Location: func(k string) string {
		return "s3://bucket/" + k
	}}
}

// reopen is a restart of the data plane.
func (h *harness) reopen() {
	h.t.Helper()
	h.must(h.s.Close())
	h.open()
}

func (h *harness) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *harness) wantErr(err, kind error, words string) {
	h.t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		h.t.Fatalf("error is %v, want %v with %q", err, kind, words)
	}
}

// testPlan has a video and an audio featurer, one that depends on another,
// and every other class.
func testPlan(uid string) api.Plan {
	plugin := func(name string, class api.PlanPluginClass, media api.PlanPluginMediaType, deps ...string) api.PlanPlugin {
		return api.PlanPlugin{Name: name, Class: class, MediaType: media, Builtin: name, Configuration: map[string]any{},
			DependsOn: deps, Outputs: []string{}, TimeoutSeconds: 60, MaxAttempts: 3, OnFailure: api.PlanPluginOnFailureSkip}
	}
	p := api.Plan{
		Hash:         "plan-1",
		Event:        api.PlanEvent{UID: uid, Namespace: "sports", Name: "final", Program: "Open", Profile: "soccer"},
		Source:       api.PlanSource{FileURL: "s3://in/match.mp4"},
		ChunkSeconds: 6, UnitMicros: 2 * second, MaxSegmentSeconds: 60, GapTimeoutSeconds: 60, DrainTimeoutSeconds: 600,
		Clips:     api.PlanClips{Original: true, Optimized: true, Thumbnails: true},
		Segmenter: "segment", Optimizer: new("snap"), Labeler: new("name"),
		Plugins: []api.PlanPlugin{
			plugin("scene", api.PlanPluginClassFeaturer, api.PlanPluginMediaTypeVideo),
			plugin("peaks", api.PlanPluginClassFeaturer, api.PlanPluginMediaTypeAudio),
			plugin("moment", api.PlanPluginClassFeaturer, api.PlanPluginMediaTypeVideo, "peaks"),
			plugin("segment", api.PlanPluginClassSegmenter, api.PlanPluginMediaTypeVideo, "moment"),
			plugin("snap", api.PlanPluginClassOptimizer, api.PlanPluginMediaTypeVideo, "scene"),
			plugin("name", api.PlanPluginClassLabeler, api.PlanPluginMediaTypeVideo, "moment"),
		},
	}
	p.Plugins[0].LookbackChunks = 1
	return p
}

func testTimeline() api.Timeline {
	return api.Timeline{OriginTicks: origin, Rate: api.Rational{Num: 25, Den: 1}, Width: 1920, Height: 1080,
		Ingest:      api.TimelineIngestCopy,
		AudioTracks: []api.AudioTrack{{Track: 1, StreamIndex: 1, Codec: "aac", SampleRate: 48000, Channels: 2}}}
}

// start puts a plan and the timeline.
func (h *harness) start(change ...func(*api.Plan)) {
	h.t.Helper()
	p := testPlan(h.uid)
	for _, c := range change {
		c(&p)
	}
	_, err := h.s.PutPlan(h.ctx, h.uid, p)
	h.must(err)
	h.must(h.s.PutTimeline(h.ctx, h.uid, testTimeline()))
}

// unit is a unit of some frames.
func (h *harness) unit(first, frames int64) api.Unit {
	tl := timeline.Timeline{OriginTicks: origin, Rate: timeline.Rational{Num: 25, Den: 1}, Frames: timeline.Open}
	ticks := tl.FrameStartTicks(first)
	return api.Unit{FirstTicks: ticks, Key: keys.Unit("sports", h.uid, 0, ticks), StartMicros: tl.FrameStartMicros(first),
		EndMicros: tl.FrameStartMicros(first + frames), FirstFrame: first, Frames: frames, IdrFrames: []int64{0},
		PayloadSHA256: fmt.Sprintf("%064d", first), Bytes: 1000}
}

// nthUnit is the n-th unit of 2 s, from 0.
func (h *harness) nthUnit(n int64) api.Unit { return h.unit(n*unitFrames, unitFrames) }

func (h *harness) register(units ...int64) {
	h.t.Helper()
	for _, n := range units {
		h.must(h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(n)))
	}
}

// ingest registers n units from the first on, and ends the source.
func (h *harness) ingest(n int64) {
	h.t.Helper()
	for i := range n {
		h.register(i)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: n * unitFrames}))
}

func (h *harness) lease(pool api.Pool) *api.Lease {
	h.t.Helper()
	r, err := h.s.Lease(h.ctx, h.uid, api.LeaseRequest{Pool: pool, Holder: "pod-1"})
	h.must(err)
	return r.Lease
}

func (h *harness) outcome(pool api.Pool) api.LeaseResponseOutcome {
	h.t.Helper()
	r, err := h.s.Lease(h.ctx, h.uid, api.LeaseRequest{Pool: pool, Holder: "pod-1"})
	h.must(err)
	if r.Outcome == api.LeaseResponseOutcomeTask {
		h.must(h.s.Release(h.ctx, h.uid, r.Lease.TaskID, r.Lease.Token))
	}
	return r.Outcome
}

// match scripts what the plugins find: key moments by second.
type match struct{ moments []int64 }

// preroll and postroll surround a moment; the post-roll may lie beyond what is
// stored.
const preroll, postroll = 2 * second, 3 * second

// work does what a worker would do with a lease. It is a pure function of the
// lease, as plugins should be.
func (m match) work(l *api.Lease) api.TaskOutput {
	out := api.TaskOutput{Token: l.Token}
	in := l.Input
	switch l.Kind {
	case api.TaskKindFramer:
		s := json.RawMessage(fmt.Sprintf(`{"chunk":%d}`, in.Framer.Chunk.Number))
		out.Signals = &s
	case api.TaskKindFeaturer:
		for _, at := range m.moments {
			if us := at * second; us >= in.Featurer.Chunk.StartMicros && us < in.Featurer.Chunk.EndMicros {
				out.Results = append(out.Results,
					api.NewResult{StartMicros: us, EndMicros: us, Attributes: map[string]any{"Hit": true, "At": at}})
			}
		}
	case api.TaskKindSegmenter, api.TaskKindFinal:
		out.Segments = m.segment(in.Segmenter)
	case api.TaskKindOptimizer:
		for _, s := range in.Optimizer.Segments {
			out.Optimized = append(out.Optimized, api.OptimizedMarks{SegmentID: s.ID, StartMicros: s.In.Micros - second/2,
				EndMicros: s.Out.Micros + second/2, StartCode: "moved", EndCode: "moved"})
		}
	case api.TaskKindLabeler:
		for _, s := range in.Labeler.Segments {
			out.Labels = append(out.Labels, api.SegmentLabel{SegmentID: s.ID, Code: "OK",
				Label: "moment in " + s.ID, Attributes: map[string]any{"Named": true}})
		}
	case api.TaskKindClip:
		out.Media = &api.MediaProof{Key: in.Clip.Mp4.Key, ThumbnailKey: &in.Clip.Jpg.Key,
			Frames: in.Clip.Out.Frame - in.Clip.In.Frame, Method: api.MediaProofMethodReencode}
	case api.TaskKindReel:
		out.Media = &api.MediaProof{Key: in.Reel.Mp4.Key, ThumbnailKey: &in.Reel.Jpg.Key,
			Method: api.MediaProofMethodReencode}
		for _, p := range in.Reel.Parts {
			out.Media.Frames += p.Out.Frame - p.In.Frame
		}
	}
	return out
}

// segment opens a segment at a moment and closes it with the chunk after,
// where no other moment prolongs it.
func (m match) segment(in *api.SegmenterInput) []api.SegmentUpdate {
	var out []api.SegmentUpdate
	if len(in.Dependencies) == 0 {
		return nil // the test reports for it
	}
	var id *string
	end, from := in.PreviousEndMicros, int64(-1)
	if in.Open != nil {
		id, from = &in.Open.ID, in.Open.In.Micros
	}
	last := int64(-1)
	closeAt := func(us int64) {
		out = append(out, api.SegmentUpdate{ID: id, StartMicros: from, EndMicros: &us, Attributes: map[string]any{}})
		end, from, id = us, -1, nil
	}
	for _, r := range in.Dependencies[0].Results {
		at := r.Start.Micros
		if at < end || (from >= 0 && at < from) {
			continue
		}
		if from >= 0 && last >= 0 && at > last+preroll+postroll {
			closeAt(last + postroll)
		}
		if from < 0 {
			from = max(at-preroll, end)
		}
		last = at
	}
	if from < 0 {
		return out
	}
	switch {
	case in.Final:
		closeAt(in.Chunk.EndMicros)
	case last < in.Chunk.StartMicros:
		closeAt(last + postroll)
	case id == nil:
		out = append(out, api.SegmentUpdate{StartMicros: from, Attributes: map[string]any{}})
	}
	return out
}

// completeTask completes a task without asking for another.
func (h *harness) completeTask(id int64, out api.TaskOutput) error {
	_, err := h.s.Complete(h.ctx, h.uid, id, out)
	return err
}

// drain works until both pools have nothing left, and exports.
func (h *harness) drain(m match) {
	h.t.Helper()
	for {
		did := h.exports()
		for _, pool := range []api.Pool{api.PoolWork, api.PoolRender} {
			for l := h.lease(pool); l != nil; l = h.lease(pool) {
				did = true
				if err := h.completeTask(l.TaskID, m.work(l)); err != nil {
					h.t.Fatalf("complete %s of chunk: %v (%+v)", l.Kind, err, m.work(l))
				}
			}
		}
		if !did {
			return
		}
	}
}

// drainBut is drain with a say in what single leases put out; skip leaves a
// lease to the test.
func (h *harness) drainBut(m match, change func(l *api.Lease, out *api.TaskOutput) (skip bool)) {
	h.t.Helper()
	for {
		did := h.exports()
		for _, pool := range []api.Pool{api.PoolWork, api.PoolRender} {
			for l := h.lease(pool); l != nil; l = h.lease(pool) {
				did = true
				out := m.work(l)
				if change(l, &out) {
					continue
				}
				if err := h.completeTask(l.TaskID, out); errors.Is(err, ErrInvalid) {
					h.must(h.fail(l, err.Error()))
				} else {
					h.must(err)
				}
			}
		}
		if !did {
			return
		}
	}
}

// fail fails a lease for good.
func (h *harness) fail(l *api.Lease, why string) error {
	return h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: why})
}

func (h *harness) exports() bool {
	h.t.Helper()
	x, err := h.s.LeaseExport(h.ctx)
	h.must(err)
	if x == nil {
		return false
	}
	_, err = h.s.ExportData(h.ctx, x.EventUID)
	h.must(err)
	h.must(h.s.CompleteExport(h.ctx, *x, keys.EventExport(x.Namespace, x.EventUID),
		[]string{keys.EDLExport(x.Namespace, x.EventUID, 1)}))
	return true
}

func (h *harness) event() api.EventState {
	h.t.Helper()
	e, err := h.s.Event(h.ctx, h.uid)
	h.must(err)
	return e
}

func (h *harness) segments() []api.Segment {
	h.t.Helper()
	l, _, err := h.s.Segments(h.ctx, h.uid, 1000, "")
	h.must(err)
	return l
}

func (h *harness) clips() []api.Clip {
	h.t.Helper()
	l, _, err := h.s.Clips(h.ctx, h.uid, 1000, "")
	h.must(err)
	return l
}

// story is what must not depend on who did what when: marks, labels, codes.
func (h *harness) story() []string {
	h.t.Helper()
	var out []string
	for _, s := range h.segments() {
		line := fmt.Sprintf("%s %s %d", s.ID, s.State, s.In.Frame)
		if s.Out != nil {
			line += fmt.Sprintf("-%d", s.Out.Frame)
		}
		line += fmt.Sprintf(" %s %q", optionalName(s.CloseReason), s.Label)
		for _, o := range s.Optimized {
			line += fmt.Sprintf(" opt %d-%d %s %s", o.In.Frame, o.Out.Frame, o.StartCode, o.EndCode)
		}
		out = append(out, line)
	}
	for _, c := range h.clips() {
		out = append(out, fmt.Sprintf("%s %s t%d m%d %s %d-%d", c.SegmentID, c.Variant, c.Track,
			c.MarkVersion, c.State, c.In.Frame, c.Out.Frame))
	}
	return out
}
