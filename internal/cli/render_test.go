// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

var update = flag.Bool("update", false, "write the golden files of this package anew")

// golden compares a text with testdata/NAME.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (go test ./internal/cli -update writes it anew):\n%s", name, diff)
	}
}

// draw is what a page writes.
func draw(t *testing.T, write func(*page)) string {
	t.Helper()
	var out bytes.Buffer
	p := &program{Options: Options{Name: "kubectl mre", Streams: genericiooptions.IOStreams{Out: &out}},
		install: "mre-system"}
	g := p.page()
	write(g)
	if g.err != nil {
		t.Fatal(g.err)
	}
	return out.String()
}

// noon is now; ago is before it.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time { return new(noon.Add(-d)) }

func condition(kind string, status metav1.ConditionStatus,
	reason, message string, since time.Duration) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message,
		LastTransitionTime: metav1.NewTime(*ago(since))}
}

func event(name string, created time.Duration, conditions ...metav1.Condition) mrev1.Event {
	return mrev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: name, CreationTimestamp: metav1.NewTime(*ago(created))},
		Spec: mrev1.EventSpec{
			Program: "Cup", ProfileRef: mrev1.RevisionReference{Name: "soccer"},
			Source: mrev1.EventSource{File: &mrev1.FileSource{URL: "https://example.com/final.mp4?X-Amz-Signature=secret"}},
		},
		Status: mrev1.EventStatus{Conditions: conditions},
	}
}

// running is an Event in the middle of its work, with a dead letter.
func running() *eventView {
	e := event("final", 5*time.Minute,
		condition(mrev1.ConditionReady, metav1.ConditionTrue,
			mrev1.ReasonProgressing, "7 of 9 chunks processed", 4*time.Minute),
		condition(mrev1.ConditionReferencesResolved, metav1.ConditionTrue, mrev1.ReasonResolved, "", 5*time.Minute),
		condition(mrev1.ConditionSourceReady, metav1.ConditionTrue, mrev1.ReasonSourceOpened, "", 4*time.Minute),
		condition(mrev1.ConditionComplete, metav1.ConditionFalse, mrev1.ReasonProgressing, "", 5*time.Minute),
		condition(mrev1.ConditionFailed, metav1.ConditionFalse, mrev1.ReasonProgressing, "", 5*time.Minute))
	e.Status.Source = &mrev1.SourceStatus{Ingest: "Copy", Reason: "H.264 and AAC with a key frame every second",
		Resolution: "1920x1080", FrameRate: "30000/1001", AudioTracks: new(int32(2)),
		LeftOut: []string{"stream 3 (apac): no decoder here knows this codec"}, PicturesDropped: new(int64(7)),
		PartsTotal: new(int32(1)), Parts: []mrev1.SourcePart{{From: "00:02:08.000", Ingest: "Mezzanine",
			Reason: "the picture size changes from 1920x1080 to 1280x720 at 0:02:10"}}}
	e.Status.Progress = &mrev1.EventProgress{
		Chunks:   mrev1.ChunkProgress{Ingested: 9, Processed: 7, Failed: 1},
		Segments: mrev1.SegmentProgress{Complete: 3, Open: 1},
		Clips:    mrev1.ClipProgress{Wanted: 6, Rendered: 4}, Timeline: "00:00:54.000",
	}
	task := func(id int64, kind api.TaskKind, plugin string, chunk int64, state api.TaskState) api.Task {
		t := api.Task{ID: id, Kind: kind, Plugin: plugin, Chunk: chunk, State: state, MaxAttempts: 3}
		switch state {
		case api.TaskStateLeased:
			t.Holder, t.LeasedAt = new("final-6f1c2a-worker-0-0-x7k2p"), ago(12*time.Second)
		case api.TaskStateDone, api.TaskStateFailed:
			t.FinishedAt = ago(90 * time.Second)
		}
		return t
	}
	dead := task(31, api.TaskKindFeaturer, "crowd", 7, api.TaskStateFailed)
	dead.Track, dead.Attempts, dead.Losses = 1, 3, 1
	dead.Error = new("the model at http://models.example.com/v2 answers 503 Service Unavailable:\n\t" +
		"upstream connect error")
	later := task(40, api.TaskKindFeaturer, "crowd", 9, api.TaskStateReady)
	later.Track, later.Attempts, later.DueAt, later.Error = 1, 1,
		new(noon.Add(20*time.Second)), new("the model answers 503")
	clip := task(50, api.TaskKindClip, "", 0, api.TaskStateReady)
	clip.Subject = "000007-0 optimized"
	tasks := []api.Task{
		task(1, api.TaskKindFramer, "", 8, api.TaskStateDone), task(2, api.TaskKindFramer, "", 9, api.TaskStateDone),
		task(3, api.TaskKindFeaturer, "cuts", 8, api.TaskStateDone),
		task(4, api.TaskKindFeaturer, "cuts", 9, api.TaskStateLeased),
		dead, later, task(6, api.TaskKindSegmenter, "moments", 8, api.TaskStateDone),
		task(7, api.TaskKindSegmenter, "moments", 9, api.TaskStateBlocked),
		task(8, api.TaskKindOptimizer, "cutter", 9, api.TaskStateReady), clip,
	}
	state := api.EventState{
		UID: "u", Namespace: "football", Name: "final", DeadLetters: 1,
		Timeline: &api.Timeline{Rate: api.Rational{Num: 30000, Den: 1001}},
		Progress: api.Progress{ChunksIngested: 9, ChunksProcessed: 7, ClipsWanted: 6, ClipsRendered: 4,
			TimelineMicros: 54_000_000, ReelsWanted: 2},
	}
	v := &eventView{
		Event: e, State: &state, tasks: tasks, Stages: stagesOf(state, tasks, true), DeadLetters: deadLetters(tasks),
		oldest: &api.ChunkDetail{Tasks: []api.TaskDetail{{Task: tasks[7],
			WaitsFor: []string{"featurer cuts of chunk 9 (leased)", "featurer crowd of track 1 of chunk 9 (ready)"}}}},
		Replays: []mrev1.Replay{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "best-of"},
			Status: mrev1.ReplayStatus{Conditions: []metav1.Condition{
				condition(mrev1.ConditionRendered, metav1.ConditionFalse,
					mrev1.ReasonWaitingForEvent, "the Event is not Complete", time.Minute),
			}},
		}},
	}
	v.Jobs = jobRows([]batchv1.Job{
		job("final-6f1c2a-worker-0-0", "worker", nil), job("final-6f1c2a-render-0-1", "render", nil),
		job("final-6f1c2a-ingest-0-0", "ingest", nil), job("final-6f1c2a-render-0-0", "render",
			&batchv1.JobCondition{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}),
	}, []corev1.Pod{
		pod("final-6f1c2a-worker-0-0", corev1.PodRunning, corev1.ContainerState{}),
		pod("final-6f1c2a-ingest-0-0", corev1.PodRunning, corev1.ContainerState{}),
		pod("final-6f1c2a-render-0-0", corev1.PodFailed,
			corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}),
		pod("final-6f1c2a-render-0-1", corev1.PodPending,
			corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff",
				Message: "Back-off pulling image mre:1"}}),
	})
	v.WaitsFor = waitsFor(v, noon)
	return v
}

func job(name, role string, c *batchv1.JobCondition) batchv1.Job {
	j := batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(*ago(4 * time.Minute)),
		Labels: map[string]string{mrev1.LabelRole: role}}}
	if c != nil {
		j.Status.Conditions = []batchv1.JobCondition{*c}
	}
	return j
}

func pod(job string, phase corev1.PodPhase, state corev1.ContainerState) corev1.Pod {
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: job + "-x7k2p", Labels: map[string]string{batchv1.JobNameLabel: job}},
		Spec:       corev1.PodSpec{NodeName: "node-1"},
		Status:     corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{State: state}}},
	}
}

func TestStatusOfAnEvent(t *testing.T) {
	golden(t, "status-event", draw(t, func(g *page) { g.event(running(), noon) }))
	golden(t, "status-event-coloured", draw(t, func(g *page) {
		g.palette, g.width = terminal.Coloured(), 100
		g.event(running(), noon)
	}))
}

func TestStatusOfANewEvent(t *testing.T) {
	v := &eventView{Event: event("final", time.Second)}
	v.WaitsFor = waitsFor(v, noon)
	golden(t, "status-new", draw(t, func(g *page) { g.event(v, noon) }))
}

// lacking is an Event that is complete, without two of its clips.
func lacking() mrev1.Event {
	const why = "Missing: 2 of 62 clips. First failed clip 000012-0/original/m1 of track 1: ffmpeg: unit 12 ends early"
	return event("semi", 26*time.Hour,
		condition(mrev1.ConditionReady, metav1.ConditionFalse, mrev1.ReasonCompletedWithFailures, why, time.Hour),
		condition(mrev1.ConditionStalled, metav1.ConditionTrue, mrev1.ReasonCompletedWithFailures, why, time.Hour),
		condition(mrev1.ConditionComplete, metav1.ConditionTrue, mrev1.ReasonCompletedWithFailures, why, time.Hour))
}

func TestStatusOfAnEventThatLacksClips(t *testing.T) {
	v := &eventView{Event: lacking()}
	v.WaitsFor = waitsFor(v, noon)
	golden(t, "status-lacking", draw(t, func(g *page) {
		g.palette, g.width = terminal.Coloured(), 100
		g.event(v, noon)
	}))
	w := &watched{event: &v.Event}
	if problem, ended := w.outcome(); !ended || !strings.Contains(problem, "not whole. Missing: 2 of 62 clips") {
		t.Errorf("a watcher ends %t with %q", ended, problem)
	}
	v.Event.Status.Conditions = v.Event.Status.Conditions[2:] // what is missing is neither clips nor segments
	if problem, ended := w.outcome(); !ended || problem != "" {
		t.Errorf("a watcher ends %t with %q", ended, problem)
	}
}

func TestStatusTable(t *testing.T) {
	complete := lacking()
	complete.Status.Progress = &mrev1.EventProgress{
		Chunks: mrev1.ChunkProgress{Ingested: 1200, Processed: 1200}, Segments: mrev1.SegmentProgress{Complete: 31},
		Clips: mrev1.ClipProgress{Wanted: 62, Rendered: 60, Failed: 2}, Timeline: "02:00:00.000",
	}
	failed := event("broken", time.Hour, condition(mrev1.ConditionFailed, metav1.ConditionTrue, mrev1.ReasonSourceNotFound,
		"https://example.com/x.mp4 answers 404", time.Hour))
	waiting := event("next", time.Minute,
		condition(mrev1.ConditionReady, metav1.ConditionFalse, mrev1.ReasonWaitingForReferences,
			`Profile "soccer" does not exist`, time.Minute))
	stalled := event("stuck", time.Minute,
		condition(mrev1.ConditionReady, metav1.ConditionFalse, mrev1.ReasonPlanConflict, "", time.Minute),
		condition(mrev1.ConditionStalled, metav1.ConditionTrue, mrev1.ReasonPlanConflict, "", time.Minute))
	deleting := event("old", time.Hour)
	deleting.DeletionTimestamp = new(metav1.NewTime(noon))
	replays := []mrev1.Replay{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "a"},
			Spec: mrev1.ReplaySpec{EventRef: mrev1.LocalReference{Name: "semi"}},
			Status: mrev1.ReplayStatus{Conditions: []metav1.Condition{condition(mrev1.ConditionRendered,
				metav1.ConditionTrue, mrev1.ReasonRendered, "", 0)}}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "b"},
			Spec: mrev1.ReplaySpec{EventRef: mrev1.LocalReference{Name: "semi"}},
			Status: mrev1.ReplayStatus{Conditions: []metav1.Condition{condition(mrev1.ConditionRendered, metav1.ConditionFalse,
				mrev1.ReasonRenderFailed, "608x1080", 0)}}},
	}
	rows := rowsOf([]mrev1.Event{complete, running().Event, failed, waiting, stalled, deleting, event("new", 0)}, replays)
	golden(t, "status", draw(t, func(g *page) { g.table(eventTable(rows, noon, false, false)) }))
	golden(t, "status-wide", draw(t, func(g *page) { g.table(eventTable(rows, noon, true, true)) }))
}

func mark(frame int64) api.Mark {
	c := timeline.Timeline{Rate: timeline.Rational{Num: 30000, Den: 1001}}
	return api.Mark{Frame: frame, Micros: c.FrameStartMicros(frame)}
}

var dropFrame = clock{timeline.Rational{Num: 30000, Den: 1001}}

func TestSegmentTable(t *testing.T) {
	segments := []api.Segment{
		{ID: "000007-0", State: api.SegmentStateComplete, In: mark(1206), Out: new(mark(1500)), OpenedChunk: 7,
			ClosedChunk: new(int64(9)), CloseReason: new("Detected"), Label: "Big moment, 23 dB",
			Optimized: []api.SegmentOptimized{{Track: 0, In: mark(1190), Out: mark(1510)},
				{Track: 2, In: mark(1200), Out: mark(1510)}}},
		{ID: "000310-0", State: api.SegmentStateOpen, In: mark(53946), OpenedChunk: 310},
	}
	golden(t, "segments", draw(t, func(g *page) { g.table(segmentTable(segments, dropFrame)) }))
}

func clips() []api.Clip {
	at := "s3://mre/football/6f1c2a7e/clips/000007-0/"
	return []api.Clip{
		{SegmentID: "000007-0", Variant: api.ClipVariantOriginal, Track: 1, State: api.ClipStateRendered, In: mark(1206),
			Out: mark(1500), Location: new(at + "original-t1-m1-a1.mp4"), Thumbnail: new(at + "original-t1-m1-a1.jpg"),
			Proof: &api.MediaProof{Bytes: 4_312_044}, RenderedAt: ago(time.Second)},
		{SegmentID: "000007-0", Variant: api.ClipVariantOptimized, Track: 1,
			State: api.ClipStatePending, In: mark(1190), Out: mark(1510)},
		{SegmentID: "000310-0", Variant: api.ClipVariantOriginal, Track: 1, State: api.ClipStateFailed, In: mark(53946),
			Out: mark(54000), Error: new("ffmpeg: unit 12 ends early")},
	}
}

func TestClipTable(t *testing.T) {
	golden(t, "clips", draw(t, func(g *page) { g.table(clipTable(clips(), dropFrame, commonFolder(clips()))) }))
}

func TestResultTable(t *testing.T) {
	results := []api.StoredResult{
		{Plugin: "cuts", Chunk: 1, Result: api.Result{Start: mark(90), End: mark(90),
			Attributes: map[string]any{"SceneChange": true, "score": 31.5}}},
		{Plugin: "crowd", Track: 1, Chunk: 2, Result: api.Result{Start: mark(200), End: mark(260),
			Attributes: map[string]any{"Label": "cheer", "levels": []any{1, 2}}}},
	}
	golden(t, "results", draw(t, func(g *page) { g.table(resultTable(results, dropFrame)) }))
}

func TestExplainChunk(t *testing.T) {
	detail := api.ChunkDetail{
		Chunk: api.Chunk{Extent: api.ChunkExtent{Number: 9, FirstFrame: 1438, Frames: 180, StartMicros: 48_000_000,
			EndMicros: 54_000_000}, State: api.ChunkStateClosed},
		Units: []api.Unit{{Epoch: 0, FirstFrame: 1438, Frames: 180, Bytes: 2_400_000,
			Key: "football/6f1c2a7e/units/0/0000004446000.ts"}},
		Tasks: []api.TaskDetail{
			{Task: api.Task{ID: 40, Kind: api.TaskKindFramer, Chunk: 9, State: api.TaskStateDone, MaxAttempts: 3,
				Holder: new("worker-0"), ReadyAt: ago(10 * time.Second),
				LeasedAt: ago(9 * time.Second), FinishedAt: ago(7500 * time.Millisecond)}},
			{Task: api.Task{ID: 39, Kind: api.TaskKindFeaturer, Plugin: "cuts", Chunk: 9, State: api.TaskStateDone,
				MaxAttempts: 3, Holder: new("worker-0"), ReadyAt: ago(7 * time.Second),
				LeasedAt: ago(6 * time.Second), FinishedAt: ago(5 * time.Second)},
				Notes: []string{"results[2] from 52 s to 55 s reaches over the end of the chunk and is cut there, at 54 s"}},
			{Task: api.Task{ID: 41, Kind: api.TaskKindFeaturer, Plugin: "crowd", Track: 1, Chunk: 9, State: api.TaskStateReady,
				Attempts: 1, MaxAttempts: 3, Losses: 1, ReadyAt: ago(4 * time.Second), DueAt: new(noon.Add(20 * time.Second))},
				Tries: []api.Try{
					{Attempt: 1, Holder: "worker-0", Outcome: api.TryOutcomeLost,
						LeasedAt: *ago(60 * time.Second), EndedAt: *ago(40 * time.Second)},
					{Attempt: 2, Holder: "worker-1", Outcome: api.TryOutcomeFailed, Error: new("the model answers 503"),
						LeasedAt: *ago(6 * time.Second), EndedAt: *ago(4 * time.Second)},
					{Attempt: 3, Holder: "worker-1", Outcome: api.TryOutcomeReleased,
						LeasedAt: *ago(3 * time.Second), EndedAt: *ago(2 * time.Second)},
				}},
			{Task: api.Task{ID: 42, Kind: api.TaskKindSegmenter, Plugin: "moments", Chunk: 9, State: api.TaskStateBlocked,
				MaxAttempts: 3}, WaitsFor: []string{"featurer crowd of track 1 of chunk 9 (ready)"}},
		},
	}
	golden(t, "explain", draw(t, func(g *page) { g.chunk(detail, dropFrame, noon) }))
}

func TestWatchSection(t *testing.T) {
	v := running()
	w := &watched{event: &v.Event, replays: v.Replays, state: v.State, stages: stagesOf(*v.State, v.tasks, false),
		timeline: "00:00:54.000", latencies: []latency{{chunk: 8, closed: time.Date(2026, 6, 1, 11, 59, 50, 0, time.Local),
			segmented: 800 * time.Millisecond, clips: 2, rendered: 1}}}
	var text string
	for _, line := range terminal.Draw([]terminal.Section{w.section(false)}, terminal.Palette{}, 0) {
		text += line + "\n"
	}
	golden(t, "watch", text)
}
