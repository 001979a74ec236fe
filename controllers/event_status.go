// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// setEventWaiting says which reference keeps the Event from starting.
func setEventWaiting(s *eventScope, f Finding) {
	s.conditions().set(mrev1.ConditionReferencesResolved, metav1.ConditionFalse, f.Reason, f.Message)
	f.Reason = mrev1.ReasonWaitingForReferences
	s.finding = &f
	s.conditions().notReady(f)
}

// setEventStatus copies the data plane's state into the status, all but Ready. Complete and Failed, once
// true, stay as they are.
func setEventStatus(s *eventScope) {
	st := &s.event.Status
	st.Source = sourceStatus(s.state.Timeline)
	st.Progress = eventProgress(s.state.Progress)
	st.DeadLetters = new(s.state.DeadLetters)
	if s.state.ExportLocation != nil || len(s.state.EdlLocations) > 0 {
		st.Artifacts = &mrev1.EventArtifacts{Export: ptr.Deref(s.state.ExportLocation, ""), EDL: s.state.EdlLocations}
	}
	c := s.conditions()
	if s.ended() >= 0 {
		if stillComplete(s) {
			setComplete(c, s.state)
		}
		return
	}
	c.set(mrev1.ConditionReferencesResolved, metav1.ConditionTrue, mrev1.ReasonResolved,
		"The Profile and its Plugins were copied into plan "+s.state.PlanHash[:min(len(s.state.PlanHash), 12)])
	setSourceReady(c, s.state)
	reason, message := ptr.Deref(s.state.Reason, ""), ptr.Deref(s.state.Message, "")
	switch s.state.State {
	case api.EventStateStateComplete:
		setComplete(c, s.state)
		c.set(mrev1.ConditionFailed, metav1.ConditionFalse, mrev1.ReasonCompleted, "The Event was processed to its end")
	case api.EventStateStateFailed:
		c.set(mrev1.ConditionComplete, metav1.ConditionFalse,
			or(reason, mrev1.ReasonIngestFailed), or(message, "The Event failed"))
		c.set(mrev1.ConditionFailed, metav1.ConditionTrue, or(reason, mrev1.ReasonIngestFailed),
			or(message, "The Event failed"))
	default:
		c.set(mrev1.ConditionComplete, metav1.ConditionFalse, mrev1.ReasonProgressing, stateInWords(s.state.State))
		c.set(mrev1.ConditionFailed, metav1.ConditionFalse, mrev1.ReasonProgressing, stateInWords(s.state.State))
	}
}

func setComplete(c conditions, state *api.EventState) {
	c.set(mrev1.ConditionComplete, metav1.ConditionTrue,
		or(ptr.Deref(state.Reason, ""), mrev1.ReasonCompleted), or(ptr.Deref(state.Message, ""), "All work is done"))
}

// stillComplete tells that a Complete Event is that for the data plane, too. Then its reason is the present one:
// what was missing may have been made since.
func stillComplete(s *eventScope) bool {
	return s.state.State == api.EventStateStateComplete &&
		meta.IsStatusConditionTrue(s.before.Status.Conditions, mrev1.ConditionComplete)
}

func setSourceReady(c conditions, state *api.EventState) {
	switch {
	case state.IngestProblem != nil:
		c.set(mrev1.ConditionSourceReady, metav1.ConditionFalse, mrev1.ReasonIngestFailing, checkIngest(state).Message)
	case state.Timeline != nil:
		c.set(mrev1.ConditionSourceReady, metav1.ConditionTrue, mrev1.ReasonSourceOpened, "The source was opened ("+
			string(state.Timeline.Ingest)+"): "+or(state.Timeline.IngestReason, "no reason given"))
	case state.State == api.EventStateStateFailed:
		c.set(mrev1.ConditionSourceReady, metav1.ConditionFalse,
			or(ptr.Deref(state.Reason, ""), mrev1.ReasonIngestFailed),
			or(ptr.Deref(state.Message, ""), "The source was not opened"))
	default:
		c.set(mrev1.ConditionSourceReady, metav1.ConditionFalse, mrev1.ReasonSourcePending, "Ingest has not reported yet")
	}
}

// checkIngest says that ingest is tried again, and why. It may be of no use: then the Event fails with the same words.
func checkIngest(state *api.EventState) *Finding {
	if state.IngestProblem == nil {
		return nil
	}
	return waiting(mrev1.ReasonIngestFailing,
		"Ingest ended before the source did and is tried again: %s", *state.IngestProblem)
}

// setEventReady computes Ready from the terminal conditions, the findings and the state.
func setEventReady(s *eventScope) {
	c := s.conditions()
	reason, message := ptr.Deref(s.state.Reason, ""), ptr.Deref(s.state.Message, "")
	switch {
	case s.before.Status.ObservedGeneration > 0 && endedBefore(s) && !stillComplete(s):
		// What was said at the end still holds.
	case s.state.State == api.EventStateStateComplete && ptr.Deref(s.state.OutputsLost, false):
		c.notReady(Finding{Reason: reason, Message: message, Next: Stall})
	case s.state.State == api.EventStateStateComplete:
		c.ready(or(reason, mrev1.ReasonCompleted), or(message, "All work is done"))
	case s.state.State == api.EventStateStateFailed:
		c.notReady(Finding{Reason: or(reason, mrev1.ReasonIngestFailed),
			Message: or(message, "The Event failed"), Next: Stall})
	case s.finding != nil:
		c.notReady(*s.finding)
	case suspended(s.event):
		c.ready(mrev1.ReasonSuspended, "The Event rests, as spec.suspend is true")
	case finished(s.event):
		c.ready(mrev1.ReasonFinishing, "spec.finish ended the source; the rest is being processed")
	default:
		c.ready(mrev1.ReasonProgressing, stateInWords(s.state.State))
	}
}

// endedBefore tells whether the Event had ended before this pass.
func endedBefore(s *eventScope) bool {
	earlier := eventScope{event: s.before, now: s.now}
	return earlier.ended() >= 0
}

func stateInWords(state api.EventStateState) string {
	switch state {
	case api.EventStateStatePending:
		return "Ingest is starting; no media is stored yet"
	case api.EventStateStateActive:
		return "The source is being ingested and processed"
	case api.EventStateStateDraining:
		return "The source has ended; the rest is being processed"
	}
	return string(state)
}

func sourceStatus(t *api.Timeline) *mrev1.SourceStatus {
	if t == nil {
		return nil
	}
	rate := strconv.FormatInt(t.Rate.Num, 10)
	if t.Rate.Den != 1 {
		rate += "/" + strconv.FormatInt(t.Rate.Den, 10)
	}
	s := &mrev1.SourceStatus{
		Ingest:          string(t.Ingest),
		Reason:          cut(t.IngestReason, 1024),
		Resolution:      fmt.Sprintf("%dx%d", t.Width, t.Height),
		FrameRate:       rate,
		AudioTracks:     new(int32(len(t.AudioTracks))),
		LeftOut:         t.LeftOut,
		PartsTotal:      t.PartsTotal,
		PicturesDropped: t.PicturesDropped,
		Incomplete:      cut(ptr.Deref(t.Incomplete, ""), 1024),
	}
	for _, p := range t.Parts {
		s.Parts = append(s.Parts, mrev1.SourcePart{
			From: clockTime(t.Clock().FrameStartMicros(p.FirstFrame)), Ingest: string(p.Ingest), Reason: cut(p.Reason, 1024)})
	}
	return s
}

func eventProgress(p api.Progress) *mrev1.EventProgress {
	return &mrev1.EventProgress{
		Chunks: mrev1.ChunkProgress{
			Ingested: p.ChunksIngested, Processed: p.ChunksProcessed, Failed: p.ChunksFailed, Missing: p.ChunksMissing,
			Late: p.ChunksLate,
		},
		Segments: mrev1.SegmentProgress{
			Open: p.SegmentsOpen, Complete: p.SegmentsComplete, Optimized: p.SegmentsOptimized,
		},
		Clips:    mrev1.ClipProgress{Wanted: p.ClipsWanted, Rendered: p.ClipsRendered, Failed: p.ClipsFailed},
		Timeline: clockTime(p.TimelineMicros),
		Summary: fmt.Sprintf("%d/%d chunks, %d segments, %d/%d clips",
			p.ChunksProcessed, p.ChunksIngested, p.SegmentsComplete, p.ClipsRendered, p.ClipsWanted),
	}
}

// clockTime writes microseconds as HH:MM:SS.mmm, rounded down.
func clockTime(micros int64) string {
	ms := micros / 1000
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return text[:n]
}
