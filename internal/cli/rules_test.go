// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestLatency(t *testing.T) {
	closed := time.Date(2026, 6, 1, 12, 0, 0, 0, time.Local)
	chunk := func(n int64) api.Chunk {
		return api.Chunk{Extent: api.ChunkExtent{Number: n}, ClosedAt: new(closed.Add(time.Duration(n) * time.Minute))}
	}
	segmenter := func(n int64, after time.Duration) api.Task {
		return api.Task{Kind: api.TaskKindSegmenter, Chunk: n, State: api.TaskStateDone,
			FinishedAt: new(closed.Add(time.Duration(n)*time.Minute + after))}
	}
	clip := func(segment string, n int64, after time.Duration) api.Clip {
		return api.Clip{SegmentID: segment, State: api.ClipStateRendered,
			RenderedAt: new(closed.Add(time.Duration(n)*time.Minute + after))}
	}
	chunks := []api.Chunk{chunk(1), chunk(2), chunk(3), chunk(4)}
	tasks := []api.Task{segmenter(1, time.Second), segmenter(2, 800*time.Millisecond), segmenter(3, 2*time.Second),
		{Kind: api.TaskKindSegmenter, Chunk: 4, State: api.TaskStateLeased}}
	segments := []api.Segment{{ID: "a", ClosedChunk: new(int64(2))}, {ID: "b", ClosedChunk: new(int64(3))}, {ID: "c"}}
	for name, c := range map[string]struct {
		segments []api.Segment
		clips    []api.Clip
		want     []string
	}{
		"nothing ended": {nil, nil, []string{"chunk 3: closed 12:03:00, segmented after 2.0s, no segment ended in it"}},
		"clips to come": {segments, []api.Clip{clip("a", 2, 3*time.Second), clip("a", 2, 4500*time.Millisecond),
			clip("b", 3, time.Second), {SegmentID: "b", State: api.ClipStatePending}}, []string{
			"chunk 3: closed 12:03:00, segmented after 2.0s, 1 of 2 clips rendered",
			"chunk 2: closed 12:02:00, segmented after 0.8s, its 2 clips rendered after 4.5s",
		}},
		"all there": {segments, []api.Clip{clip("a", 2, 3*time.Second), clip("b", 3, 5*time.Second)}, []string{
			"chunk 3: closed 12:03:00, segmented after 2.0s, its clip rendered after 5.0s",
		}},
	} {
		var got []string
		for _, l := range latencyOf(chunks, tasks, c.segments, c.clips) {
			got = append(got, l.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if got := latencyOf(chunks, nil, nil, nil); got != nil {
		t.Errorf("of nothing segmented: %v", got)
	}
}

func TestChunkArgs(t *testing.T) {
	for _, c := range []struct {
		args   []string
		event  string
		number int64
		ok     bool
	}{
		{[]string{"final", "12"}, "final", 12, true},
		{[]string{"chunk", "final", "12"}, "final", 12, true},
		{[]string{"chunk", "3"}, "chunk", 3, true},
		{[]string{"segment", "final", "12"}, "", 0, false},
		{[]string{"final", "-1"}, "", 0, false},
		{[]string{"final", "1.5"}, "", 0, false},
	} {
		event, number, err := chunkArgs(c.args)
		if event != c.event || number != c.number || (err == nil) != c.ok {
			t.Errorf("%v: got %q, %d, %v", c.args, event, number, err)
		}
	}
}

func TestRevived(t *testing.T) {
	at := time.Now()
	dead := func(id int64, finished time.Time) api.Task {
		return api.Task{ID: id, State: api.TaskStateFailed, FinishedAt: &finished}
	}
	before := []api.Task{dead(1, at), dead(2, at), dead(3, at)}
	for name, c := range map[string]struct {
		now  []api.Task
		want int
	}{
		"nothing":             {before, 0},
		"one runs":            {[]api.Task{dead(1, at), dead(2, at), {ID: 3, State: api.TaskStateReady}}, 1},
		"one died anew":       {[]api.Task{dead(1, at.Add(time.Second)), dead(2, at), dead(3, at)}, 1},
		"one is done already": {[]api.Task{dead(1, at), {ID: 2, State: api.TaskStateDone}, dead(3, at), dead(4, at)}, 1},
	} {
		if got := revived(before, c.now); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestSlug(t *testing.T) {
	for label, want := range map[string]string{
		"": "", "Big moment, 23 dB": "big-moment-23-db", "../../etc/passwd": "etc-passwd", "Größe 日本": "größe-日本", "!!!": "",
		"a very long label that goes on and on and on": "a-very-long-label-that-goes-on-and-on-an",
	} {
		if got := slugOf(label); got != want {
			t.Errorf("%q: got %q, want %q", label, got, want)
		}
	}
}

func TestWatchOutcome(t *testing.T) {
	complete := condition(mrev1.ConditionComplete, "True", mrev1.ReasonCompleted, "", 0)
	rendered := func(status, reason string) mrev1.Replay {
		r := mrev1.Replay{}
		r.Name = "r"
		r.Status.Conditions = append(r.Status.Conditions, condition(mrev1.ConditionRendered, "True", reason, "why", 0))
		r.Status.Conditions[0].Status = "False"
		if status == "True" {
			r.Status.Conditions[0].Status = "True"
		}
		return r
	}
	for name, c := range map[string]struct {
		event   mrev1.Event
		replays []mrev1.Replay
		problem string
		ended   bool
	}{
		"running": {event("a", 0, condition(mrev1.ConditionReady, "True", mrev1.ReasonProgressing, "", 0)),
			nil, "", false},
		"complete": {event("a", 0, complete), nil, "", true},
		"complete, reel to come": {event("a", 0, complete),
			[]mrev1.Replay{rendered("True", mrev1.ReasonRendered), rendered("False", mrev1.ReasonRendering)}, "", false},
		"complete, no match": {event("a", 0, complete), []mrev1.Replay{rendered("False", mrev1.ReasonNoMatch)}, "", true},
		"complete, reel failed": {event("a", 0, complete), []mrev1.Replay{rendered("False", mrev1.ReasonRenderFailed)},
			"Replay r: RenderFailed: why", true},
		"failed": {event("a", 0, condition(mrev1.ConditionFailed, "True", mrev1.ReasonNoVideo, "no video", 0)),
			nil, "Event a failed: NoVideo: no video", true},
	} {
		w := &watched{event: &c.event, replays: c.replays}
		if problem, ended := w.outcome(); problem != c.problem || ended != c.ended {
			t.Errorf("%s: got %q, %t", name, problem, ended)
		}
	}
}
