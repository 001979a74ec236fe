// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

// eventState is an Event's conditions in a word, and why.
type eventState struct {
	word    string
	tone    terminal.Tone
	reason  string
	message string
}

func (s eventState) cell() terminal.Cell { return terminal.Cell{Text: s.word, Tone: s.tone} }

// ended says that nothing more will happen.
func (s eventState) ended() bool { return s.word == "Complete" || s.word == "Failed" }

func stateOf(e *mrev1.Event) eventState {
	of := func(kind string) *metav1.Condition {
		if c := meta.FindStatusCondition(e.Status.Conditions, kind); c != nil {
			return c
		}
		return &metav1.Condition{}
	}
	s := func(word string, tone terminal.Tone, c *metav1.Condition) eventState {
		return eventState{word, tone, c.Reason, c.Message}
	}
	ready := of(mrev1.ConditionReady)
	switch {
	case !e.DeletionTimestamp.IsZero():
		return s("Deleting", terminal.Busy, ready)
	case of(mrev1.ConditionFailed).Status == metav1.ConditionTrue:
		return s("Failed", terminal.Bad, of(mrev1.ConditionFailed))
	case of(mrev1.ConditionComplete).Status == metav1.ConditionTrue:
		c := of(mrev1.ConditionComplete)
		if c.Reason == mrev1.ReasonCompletedWithFailures {
			return s("Complete", terminal.Bad, c)
		}
		return s("Complete", terminal.Good, c)
	case ready.Reason == "Suspended":
		return s("Suspended", terminal.Busy, ready)
	case ready.Status == metav1.ConditionTrue:
		return s("Running", terminal.Plain, ready)
	case of(mrev1.ConditionStalled).Status == metav1.ConditionTrue:
		return s("Stalled", terminal.Bad, ready)
	case ready.Reason != "":
		return s("Waiting", terminal.Busy, ready)
	default:
		return eventState{word: "New", tone: terminal.Busy, message: "the manager has not looked at it yet"}
	}
}

// outputsLost says what a complete Event lacks of what it is for, its clips or segments; empty when it has them.
func outputsLost(e *mrev1.Event) string {
	c := meta.FindStatusCondition(e.Status.Conditions, mrev1.ConditionStalled)
	if c == nil || c.Status != metav1.ConditionTrue || c.Reason != mrev1.ReasonCompletedWithFailures {
		return ""
	}
	return c.Message
}

// replayEnd tells whether a Replay of a complete Event has come to its end, and what went wrong.
func replayEnd(r *mrev1.Replay) (problem string, ended bool) {
	rendered := meta.FindStatusCondition(r.Status.Conditions, mrev1.ConditionRendered)
	if rendered == nil {
		return "", false
	}
	switch {
	case rendered.Status == metav1.ConditionTrue, rendered.Reason == mrev1.ReasonNoMatch:
		return "", true
	case rendered.Reason == mrev1.ReasonRenderFailed, rendered.Reason == mrev1.ReasonEventFailed:
		return fmt.Sprintf("Replay %s: %s: %s", r.Name, rendered.Reason, rendered.Message), true
	}
	return "", false
}

// conditionTone shows at a glance whether a condition is as it should be.
func conditionTone(c metav1.Condition) terminal.Tone {
	bad := c.Type == mrev1.ConditionFailed || c.Type == mrev1.ConditionStalled ||
		c.Reason == mrev1.ReasonCompletedWithFailures
	switch {
	case c.Status == metav1.ConditionTrue && bad:
		return terminal.Bad
	case c.Status == metav1.ConditionTrue && c.Type != mrev1.ConditionReconciling:
		return terminal.Good
	case c.Status == metav1.ConditionTrue, c.Status == metav1.ConditionFalse && c.Type == mrev1.ConditionReady:
		return terminal.Busy
	}
	return terminal.Plain
}
