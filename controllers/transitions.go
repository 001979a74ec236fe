// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// announcement is a Kubernetes Event that waits for its status patch to be stored.
type announcement struct {
	Type    string
	Reason  string
	Message string
}

// announced are the conditions whose transitions are worth a Kubernetes Event; the more telling one
// comes first, as Ready often repeats it.
var announced = []string{
	mrev1.ConditionFailed, mrev1.ConditionComplete, mrev1.ConditionSourceReady,
	mrev1.ConditionSuspended, mrev1.ConditionRendered, mrev1.ConditionSelected, mrev1.ConditionReady,
}

// transitions compares conditions before and after a reconcile. A transition is a new status or a new
// reason; each reason is told once.
func transitions(before, after []metav1.Condition) []announcement {
	var out []announcement
	told := map[string]bool{}
	for _, kind := range announced {
		now := meta.FindStatusCondition(after, kind)
		if now == nil || told[now.Reason] {
			continue
		}
		was := meta.FindStatusCondition(before, kind)
		if was != nil && was.Status == now.Status && was.Reason == now.Reason {
			// Ready may come back to what another condition has said all the time.
			told[now.Reason] = told[now.Reason] || now.Status == metav1.ConditionTrue
			continue
		}
		if kind != mrev1.ConditionReady && now.Status != metav1.ConditionTrue {
			continue
		}
		told[now.Reason] = true
		out = append(out, announcement{Type: importance(*now), Reason: now.Reason, Message: now.Message})
	}
	return out
}

// importance is Warning for what somebody should look at. Waiting for another object is normal.
func importance(c metav1.Condition) string {
	if c.Type == mrev1.ConditionFailed || c.Reason == mrev1.ReasonCompletedWithFailures {
		return corev1.EventTypeWarning
	}
	if c.Status == metav1.ConditionTrue {
		return corev1.EventTypeNormal
	}
	switch c.Reason {
	case mrev1.ReasonReferenceNotFound, mrev1.ReasonReferenceNotReady, mrev1.ReasonEventNotFound,
		mrev1.ReasonRevisionNotFound, mrev1.ReasonWaitingForReferences,
		mrev1.ReasonWaitingForEvent, mrev1.ReasonWaitingForWorkers,
		mrev1.ReasonDeleting:
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}
