// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// summary writes conditions as TYPE=STATUS:REASON.
func summary(list []metav1.Condition) map[string]string {
	out := map[string]string{}
	for _, c := range list {
		out[c.Type] = string(c.Status) + ":" + c.Reason
	}
	return out
}

func TestReadyAndKstatus(t *testing.T) {
	var list []metav1.Condition
	c := conditions{list: &list, generation: 3, now: now0}
	c.notReady(*waiting(mrev1.ReasonReferenceNotFound, "x"))
	if d := cmp.Diff(map[string]string{"Ready": "False:ReferenceNotFound", "Reconciling": "True:ReferenceNotFound"},
		summary(list)); d != "" {
		t.Errorf("waiting (-want +got):\n%s", d)
	}
	c.notReady(*stalled(mrev1.ReasonWrongClass, "x"))
	if d := cmp.Diff(map[string]string{"Ready": "False:WrongClass", "Stalled": "True:WrongClass"},
		summary(list)); d != "" {
		t.Errorf("stalled (-want +got):\n%s", d)
	}
	c.now = now0.Add(time.Minute)
	c.ready(mrev1.ReasonAccepted, strings.Repeat("long ", 1000))
	if d := cmp.Diff(map[string]string{"Ready": "True:Accepted"}, summary(list)); d != "" {
		t.Errorf("ready (-want +got):\n%s", d)
	}
	ready := meta.FindStatusCondition(list, mrev1.ConditionReady)
	if ready.ObservedGeneration != 3 || !ready.LastTransitionTime.Time.Equal(c.now) || len(ready.Message) > maxMessage {
		t.Errorf("generation %d, transition %v, %d characters", ready.ObservedGeneration,
			ready.LastTransitionTime, len(ready.Message))
	}
}

func TestTransitions(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: "m"}
	}
	for name, tc := range map[string]struct {
		before, after []metav1.Condition
		want          []announcement
	}{
		"nothing new": {
			before: []metav1.Condition{condition("Ready", "True", "Accepted")},
			after:  []metav1.Condition{condition("Ready", "True", "Accepted")},
		},
		"waiting is normal": {
			after: []metav1.Condition{condition("Ready", "False", mrev1.ReasonReferenceNotFound)},
			want:  []announcement{{corev1.EventTypeNormal, mrev1.ReasonReferenceNotFound, "m"}},
		},
		"a mistake is a warning": {
			after: []metav1.Condition{condition("Ready", "False", mrev1.ReasonWrongClass)},
			want:  []announcement{{corev1.EventTypeWarning, mrev1.ReasonWrongClass, "m"}},
		},
		"what Ready repeats is told once": {
			before: []metav1.Condition{condition("Ready", "True", "Progressing")},
			after: []metav1.Condition{condition("Complete", "True", "Completed"),
				condition("Ready", "True", "Completed"), condition("Failed", "False", "Completed")},
			want: []announcement{{corev1.EventTypeNormal, "Completed", "m"}},
		},
		"what Ready comes back to was told": {
			before: []metav1.Condition{condition("Complete", "True", "Completed"),
				condition("Ready", "False", "DataPlaneUnavailable")},
			after: []metav1.Condition{condition("Complete", "True", "Completed"), condition("Ready", "True", "Completed")},
		},
		"what is missing is a warning": {
			before: []metav1.Condition{condition("Complete", "False", "Progressing"), condition("Ready", "True", "Progressing")},
			after: []metav1.Condition{condition("Complete", "True", mrev1.ReasonCompletedWithFailures),
				condition("Ready", "True", mrev1.ReasonCompletedWithFailures)},
			want: []announcement{{corev1.EventTypeWarning, mrev1.ReasonCompletedWithFailures, "m"}},
		},
		"a failure is a warning": {
			after: []metav1.Condition{condition("Failed", "True", "NoVideo"), condition("Ready", "False", "NoVideo")},
			want:  []announcement{{corev1.EventTypeWarning, "NoVideo", "m"}},
		},
		"what is not yet so is not told": {
			after: []metav1.Condition{condition("SourceReady", "False", "SourcePending"),
				condition("Ready", "True", "Progressing")},
			want: []announcement{{corev1.EventTypeNormal, "Progressing", "m"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, transitions(tc.before, tc.after)); d != "" {
				t.Errorf("told (-want +got):\n%s", d)
			}
		})
	}
}

func TestEventStatus(t *testing.T) {
	timeline := &api.Timeline{Rate: api.Rational{Num: 30000, Den: 1001}, Width: 1280, Height: 720,
		Ingest: api.TimelineIngestMezzanine, IngestReason: "IDRs are 10 s apart"}
	for name, tc := range map[string]struct {
		state   api.EventState
		finding *Finding
		want    map[string]string
	}{
		"pending": {
			state: api.EventState{State: api.EventStateStatePending, PlanHash: "h"},
			want: map[string]string{"Ready": "True:Progressing", "SourceReady": "False:SourcePending",
				"ReferencesResolved": "True:Resolved", "Complete": "False:Progressing", "Failed": "False:Progressing"},
		},
		"active, but a pod does not start": {
			state:   api.EventState{State: api.EventStateStateActive, PlanHash: "h", Timeline: timeline},
			finding: waiting(mrev1.ReasonStartDeadlineExceeded, "x"),
			want: map[string]string{"Ready": "False:StartDeadlineExceeded", "Reconciling": "True:StartDeadlineExceeded",
				"SourceReady": "True:SourceOpened", "ReferencesResolved": "True:Resolved",
				"Complete": "False:Progressing", "Failed": "False:Progressing"},
		},
		"pending, and ingest is tried again": {
			state: api.EventState{State: api.EventStateStatePending, PlanHash: "h",
				IngestProblem: new("the filters cannot be built")},
			want: map[string]string{"Ready": "False:IngestFailing", "Reconciling": "True:IngestFailing",
				"SourceReady": "False:IngestFailing", "ReferencesResolved": "True:Resolved",
				"Complete": "False:Progressing", "Failed": "False:Progressing"},
		},
		"active, and ingest is tried again": {
			state: api.EventState{State: api.EventStateStateActive, PlanHash: "h",
				Timeline: timeline, IngestProblem: new("the line is dead")},
			want: map[string]string{"Ready": "False:IngestFailing", "Reconciling": "True:IngestFailing",
				"SourceReady": "False:IngestFailing", "ReferencesResolved": "True:Resolved",
				"Complete": "False:Progressing", "Failed": "False:Progressing"},
		},
		"complete, with results given up": {
			state: api.EventState{State: api.EventStateStateComplete, PlanHash: "h", Timeline: timeline,
				Reason: new("CompletedWithFailures"), Message: new("2 chunks")},
			want: map[string]string{"Ready": "True:CompletedWithFailures", "SourceReady": "True:SourceOpened",
				"ReferencesResolved": "True:Resolved", "Complete": "True:CompletedWithFailures", "Failed": "False:Completed"},
		},
		"complete, with clips lost": {
			state: api.EventState{State: api.EventStateStateComplete, PlanHash: "h", Timeline: timeline,
				Reason: new("CompletedWithFailures"), Message: new("2 clips"), OutputsLost: new(true)},
			want: map[string]string{"Ready": "False:CompletedWithFailures", "Stalled": "True:CompletedWithFailures",
				"SourceReady": "True:SourceOpened", "ReferencesResolved": "True:Resolved",
				"Complete": "True:CompletedWithFailures", "Failed": "False:Completed"},
		},
		"failed": {
			state: api.EventState{State: api.EventStateStateFailed, PlanHash: "h",
				Reason: new("SourceNotFound"), Message: new("404")},
			want: map[string]string{"Ready": "False:SourceNotFound", "Stalled": "True:SourceNotFound",
				"SourceReady": "False:SourceNotFound", "ReferencesResolved": "True:Resolved",
				"Complete": "False:SourceNotFound", "Failed": "True:SourceNotFound"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &eventScope{before: makeEvent(), event: makeEvent(), now: now0, state: &tc.state,
				finding: firstOf(checkIngest(&tc.state), tc.finding)}
			setEventStatus(s)
			setEventReady(s)
			if d := cmp.Diff(tc.want, summary(s.event.Status.Conditions)); d != "" {
				t.Errorf("conditions (-want +got):\n%s", d)
			}
		})
	}
	source := sourceStatus(timeline)
	if source.FrameRate != "30000/1001" || source.Resolution != "1280x720" || ptr.Deref(source.AudioTracks, -1) != 0 {
		t.Errorf("source %+v", source)
	}
}

// What the data plane says after the end changes counters and nothing else.
func TestTheEndIsFinal(t *testing.T) {
	for _, end := range []api.EventStateState{api.EventStateStateComplete, api.EventStateStateFailed} {
		first := &eventScope{before: makeEvent(), event: makeEvent(), now: now0,
			state: &api.EventState{State: end, PlanHash: "h"}}
		setEventStatus(first)
		setEventReady(first)
		first.event.Status.ObservedGeneration = 1
		for _, later := range []api.EventStateState{api.EventStateStatePending, api.EventStateStateActive,
			api.EventStateStateComplete, api.EventStateStateFailed} {
			s := &eventScope{before: first.event.DeepCopy(), event: first.event.DeepCopy(), now: now0.Add(time.Hour),
				finding: waiting("X", "x"), state: &api.EventState{State: later,
					PlanHash: "h", Progress: api.Progress{ClipsRendered: 9}}}
			setEventStatus(s)
			setEventReady(s)
			if d := cmp.Diff(first.event.Status.Conditions, s.event.Status.Conditions); d != "" {
				t.Errorf("%s, then %s (-want +got):\n%s", end, later, d)
			}
			if s.event.Status.Progress.Clips.Rendered != 9 {
				t.Errorf("%s, then %s: the counters stand still", end, later)
			}
		}
	}
}

// What is missing may be made after all, and the other way round: the Event stays Complete.
func TestTheReasonOfTheEndIsThePresentOne(t *testing.T) {
	state := func(reason string) *api.EventState {
		s := &api.EventState{State: api.EventStateStateComplete, PlanHash: "h"}
		if reason != "" {
			s.Reason, s.Message, s.OutputsLost = &reason, new("2 of 6 clips"), new(true)
		}
		return s
	}
	e := makeEvent()
	for i, said := range []string{"CompletedWithFailures", "", "CompletedWithFailures"} {
		s := &eventScope{before: e.DeepCopy(), event: e, now: now0.Add(time.Duration(i) * time.Hour), state: state(said)}
		setEventStatus(s)
		setEventReady(s)
		e.Status.ObservedGeneration = 1
		want := or(said, mrev1.ReasonCompleted)
		conditions := map[string]string{"Ready": "True:" + want, "SourceReady": "False:SourcePending",
			"ReferencesResolved": "True:Resolved", "Complete": "True:" + want, "Failed": "False:Completed"}
		if said != "" {
			conditions["Ready"], conditions["Stalled"] = "False:"+want, "True:"+want
		}
		if d := cmp.Diff(conditions, summary(e.Status.Conditions)); d != "" {
			t.Errorf("pass %d (-want +got):\n%s", i, d)
		}
		if c := ending(e); !c.LastTransitionTime.Time.Equal(now0) {
			t.Errorf("pass %d: the Event ended again at %s", i, c.LastTransitionTime)
		}
		if told := transitions(s.before.Status.Conditions, e.Status.Conditions); len(told) != 1 || told[0].Reason != want {
			t.Errorf("pass %d tells %+v", i, told)
		}
	}
}

func TestReplayStatus(t *testing.T) {
	reel := func(resolution string, state api.ReelStateState) api.ReelState {
		return api.ReelState{Resolution: resolution, State: state,
			Location: new("s3://b/" + resolution), Error: new("no room")}
	}
	for name, tc := range map[string]struct {
		state api.ReplayState
		want  map[string]string
		says  string
	}{
		"waiting": {api.ReplayState{State: api.ReplayStateStateWaiting},
			map[string]string{"Ready": "True:WaitingForEvent", "Selected": "False:WaitingForEvent",
				"Rendered": "False:WaitingForEvent"}, "being processed"},
		"rendering": {api.ReplayState{State: api.ReplayStateStateRendering, PlanHash: new("p"), Selected: 3,
			Outputs: []api.ReelState{reel("640x360", api.ReelStateStateRendered), reel("360x640", api.ReelStateStatePending)}},
			map[string]string{"Ready": "True:Rendering", "Selected": "True:Planned", "Rendered": "False:Rendering"}, "1 of 2"},
		"rendered": {api.ReplayState{State: api.ReplayStateStateRendered, PlanHash: new("p"),
			Outputs: []api.ReelState{reel("640x360", api.ReelStateStateRendered)}},
			map[string]string{"Ready": "True:Rendered", "Selected": "True:Planned",
				"Rendered": "True:Rendered"}, "Every output"},
		"rendered of a part": {api.ReplayState{State: api.ReplayStateStateRendered, PlanHash: new("p"),
			BrokenOff: new("the line is dead"), Outputs: []api.ReelState{reel("640x360", api.ReelStateStateRendered)}},
			map[string]string{"Ready": "True:Rendered", "Selected": "True:Planned", "Rendered": "True:Rendered"},
			"what it gave before: the line is dead"},
		"lost in part": {api.ReplayState{State: api.ReplayStateStateFailed, PlanHash: new("p"),
			Outputs: []api.ReelState{reel("1x1", api.ReelStateStateFailed),
				reel("2x2", api.ReelStateStateRendered), reel("3x3", api.ReelStateStateFailed)}},
			map[string]string{"Ready": "False:RenderFailed", "Stalled": "True:RenderFailed",
				"Selected": "True:Planned", "Rendered": "False:RenderFailed"},
			"2 of 3 outputs are lost: output 1x1: no room; output 3x3: no room"},
		"no match": {api.ReplayState{State: api.ReplayStateStateNoMatch},
			map[string]string{"Ready": "False:NoMatch", "Stalled": "True:NoMatch", "Selected": "False:NoMatch",
				"Rendered": "False:NoMatch"}, "no segment"},
		"failed": {api.ReplayState{State: api.ReplayStateStateFailed, PlanHash: new("p"),
			Outputs: []api.ReelState{reel("640x360", api.ReelStateStateFailed)}},
			map[string]string{"Ready": "False:RenderFailed", "Stalled": "True:RenderFailed", "Selected": "True:Planned",
				"Rendered": "False:RenderFailed"}, "output 640x360: no room"},
		"event failed": {api.ReplayState{State: api.ReplayStateStateEventFailed},
			map[string]string{"Ready": "False:EventFailed", "Stalled": "True:EventFailed", "Selected": "False:EventFailed",
				"Rendered": "False:EventFailed"}, "Event failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := makeReplay()
			setReplayStatus(r, conditions{list: &r.Status.Conditions, generation: 1, now: now0}, tc.state)
			if d := cmp.Diff(tc.want, summary(r.Status.Conditions)); d != "" {
				t.Errorf("conditions (-want +got):\n%s", d)
			}
			if got := meta.FindStatusCondition(r.Status.Conditions,
				mrev1.ConditionReady).Message; !strings.Contains(got, tc.says) {
				t.Errorf("Ready says %q, not %q", got, tc.says)
			}
			if (r.Status.Selected != nil) != (tc.state.PlanHash != nil) {
				t.Errorf("selected %v with plan %v", r.Status.Selected, tc.state.PlanHash)
			}
		})
	}
}

func TestPace(t *testing.T) {
	var p pace
	if p.wait("u", 5*time.Second, now0) != 0 {
		t.Error("the first write waits")
	}
	p.put("u", now0)
	if got := p.wait("u", 5*time.Second, now0.Add(2*time.Second)); got != 3*time.Second {
		t.Errorf("waits %s, want 3s", got)
	}
	if p.wait("u", 5*time.Second, now0.Add(time.Minute)) != 0 || p.wait("other", 5*time.Second, now0) != 0 {
		t.Error("waits for nothing")
	}

	base := &mrev1.EventStatus{PlanHash: "h", Progress: eventProgress(api.Progress{}),
		Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Progressing", Message: "a"}}}
	change := func(f func(*mrev1.EventStatus)) *mrev1.EventStatus {
		out := base.DeepCopy()
		f(out)
		return out
	}
	for name, tc := range map[string]struct {
		after *mrev1.EventStatus
		want  statusChange
	}{
		"same":     {change(func(*mrev1.EventStatus) {}), statusSame},
		"counters": {change(func(s *mrev1.EventStatus) { s.Progress.Chunks.Processed++ }), statusCounts},
		"message":  {change(func(s *mrev1.EventStatus) { s.Conditions[0].Message = "b" }), statusCounts},
		"reason":   {change(func(s *mrev1.EventStatus) { s.Conditions[0].Reason = "Completed" }), statusMatters},
		"artifacts": {change(func(s *mrev1.EventStatus) {
			s.Artifacts = &mrev1.EventArtifacts{Export: "s3://b/k"}
		}), statusMatters},
		"source": {change(func(s *mrev1.EventStatus) { s.Source = &mrev1.SourceStatus{Ingest: "Copy"} }), statusMatters},
	} {
		if got := compareStatus(base, tc.after); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestClockTime(t *testing.T) {
	for micros, want := range map[int64]string{0: "00:00:00.000", 1_999: "00:00:00.001",
		3_723_456_789: "01:02:03.456", 360_000_000_000: "100:00:00.000"} {
		if got := clockTime(micros); got != want {
			t.Errorf("%d µs are %s, want %s", micros, got, want)
		}
	}
}
