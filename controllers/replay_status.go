// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// replayRules are a Replay's spec as the data plane wants it.
func replayRules(r *mrev1.Replay, e *mrev1.Event) api.ReplayRules {
	rules := api.ReplayRules{
		EventUID: string(e.UID), Namespace: r.Namespace, Name: r.Name, Generation: r.Generation,
		AudioTrack:  r.Spec.AudioTrack,
		Resolutions: slices.Clone(r.Spec.Outputs.Resolutions),
		ByDuration: api.ByDuration{
			DurationSeconds:  r.Spec.Select.ByDuration.DurationSeconds,
			ToleranceSeconds: ptr.Deref(r.Spec.Select.ByDuration.ToleranceSeconds, 0),
			Distribution:     api.ByDurationDistribution(r.Spec.Select.ByDuration.Distribution),
		},
	}
	for _, f := range r.Spec.Select.Features {
		rules.Features = append(rules.Features, api.FeatureRule{Plugin: f.Plugin, Attribute: f.Attribute, Weight: f.Weight})
	}
	return rules
}

// setReplayStatus copies the data plane's state into the status.
func setReplayStatus(r *mrev1.Replay, c conditions, s api.ReplayState) {
	st := &r.Status
	st.PlanHash = ptr.Deref(s.PlanHash, "")
	st.Selected, st.DurationMilliseconds, st.Outputs = nil, nil, nil
	if st.PlanHash != "" {
		st.Selected = new(s.Selected)
		st.DurationMilliseconds = new(s.DurationMicros / 1000)
	}
	rendered := 0
	for _, o := range s.Outputs {
		out := mrev1.ReplayOutputStatus{
			Resolution: o.Resolution, MP4: ptr.Deref(o.Location, ""), Thumbnail: ptr.Deref(o.Thumbnail, ""),
		}
		if o.Proof != nil {
			out.Frames = new(o.Proof.Frames)
		}
		if o.State == api.ReelStateStateRendered {
			rendered++
		}
		st.Outputs = append(st.Outputs, out)
	}
	setReplayConditions(c, s, rendered)
}

func setReplayConditions(c conditions, s api.ReplayState, rendered int) {
	selected := fmt.Sprintf("%d segments of %d.%03d s", s.Selected, s.DurationMicros/1_000_000, s.DurationMicros/1000%1000)
	said := ptr.Deref(s.Message, "")
	brokenOff := ""
	if s.BrokenOff != nil {
		brokenOff = ". The Event's source broke off, and the reel is made of what it gave before: " + *s.BrokenOff
	}
	switch s.State {
	case api.ReplayStateStateRendering:
		message := fmt.Sprintf("%d of %d outputs are rendered", rendered, len(s.Outputs)) + brokenOff
		c.set(mrev1.ConditionSelected, metav1.ConditionTrue, mrev1.ReasonPlanned, selected)
		c.set(mrev1.ConditionRendered, metav1.ConditionFalse, mrev1.ReasonRendering, message)
		c.ready(mrev1.ReasonRendering, message)
	case api.ReplayStateStateRendered:
		c.set(mrev1.ConditionSelected, metav1.ConditionTrue, mrev1.ReasonPlanned, selected)
		c.set(mrev1.ConditionRendered, metav1.ConditionTrue, mrev1.ReasonRendered, "Every output is rendered"+brokenOff)
		c.ready(mrev1.ReasonRendered, "Every output is rendered"+brokenOff)
	case api.ReplayStateStateNoMatch:
		unselected(c, *stalled(mrev1.ReasonNoMatch, "%s%s",
			or(said, "no segment of the Event has one of the features"), brokenOff))
	case api.ReplayStateStateEventFailed:
		unselected(c, *stalled(mrev1.ReasonEventFailed, "%s", or(said, "the Event failed; there is nothing to render")))
	case api.ReplayStateStateFailed:
		f := *stalled(mrev1.ReasonRenderFailed, "%s", renderFailure(s))
		c.set(mrev1.ConditionSelected, metav1.ConditionTrue, mrev1.ReasonPlanned, selected)
		c.set(mrev1.ConditionRendered, metav1.ConditionFalse, f.Reason, f.Message)
		c.notReady(f)
	default:
		message := or(said, "the Event is still being processed")
		c.set(mrev1.ConditionSelected, metav1.ConditionFalse, mrev1.ReasonWaitingForEvent, message)
		c.set(mrev1.ConditionRendered, metav1.ConditionFalse, mrev1.ReasonWaitingForEvent, message)
		c.ready(mrev1.ReasonWaitingForEvent, message)
	}
}

// unselected says that the Replay has no plan, and why.
func unselected(c conditions, f Finding) {
	c.set(mrev1.ConditionSelected, metav1.ConditionFalse, f.Reason, f.Message)
	c.set(mrev1.ConditionRendered, metav1.ConditionFalse, f.Reason, f.Message)
	c.notReady(f)
}

// renderFailure names every output that failed.
func renderFailure(s api.ReplayState) string {
	var lost []string
	for _, o := range s.Outputs {
		if o.State == api.ReelStateStateFailed {
			lost = append(lost, fmt.Sprintf("output %s: %s", o.Resolution, or(ptr.Deref(o.Error, ""), "no reason given")))
		}
	}
	if len(lost) == 0 {
		return or(ptr.Deref(s.Message, ""), "an output could not be rendered")
	}
	return fmt.Sprintf("%d of %d outputs are lost: %s", len(lost), len(s.Outputs), strings.Join(lost, "; "))
}
