// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// maxMessage keeps a condition's message readable; the API allows 32768 characters.
const maxMessage = 1024

// conditions edits an object's conditions at one generation and one time.
type conditions struct {
	list       *[]metav1.Condition
	generation int64
	now        time.Time
}

func (c conditions) set(kind string, status metav1.ConditionStatus, reason, message string) {
	if len(message) > maxMessage {
		message = message[:maxMessage-3] + "..."
	}
	meta.SetStatusCondition(c.list, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: c.generation, LastTransitionTime: metav1.NewTime(c.now),
	})
}

func (c conditions) remove(kind string) {
	meta.RemoveStatusCondition(c.list, kind)
}

// ready says that the object is accepted and healthy.
func (c conditions) ready(reason, message string) {
	c.set(mrev1.ConditionReady, metav1.ConditionTrue, reason, message)
	c.remove(mrev1.ConditionReconciling)
	c.remove(mrev1.ConditionStalled)
}

// notReady says why the object is not Ready, and for kstatus whether waiting can help. The absence of
// Reconciling and Stalled is their False, as kstatus wants it.
func (c conditions) notReady(f Finding) {
	c.set(mrev1.ConditionReady, metav1.ConditionFalse, f.Reason, f.Message)
	if f.Next == Stall {
		c.set(mrev1.ConditionStalled, metav1.ConditionTrue, f.Reason, f.Message)
		c.remove(mrev1.ConditionReconciling)
		return
	}
	c.set(mrev1.ConditionReconciling, metav1.ConditionTrue, f.Reason, f.Message)
	c.remove(mrev1.ConditionStalled)
}

// verdict sets Ready from a finding; nil means accepted.
func (c conditions) verdict(f *Finding, accepted string) {
	if f == nil {
		c.ready(mrev1.ReasonAccepted, accepted)
		return
	}
	c.notReady(*f)
}
