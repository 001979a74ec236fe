// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Next is what has to happen before an object that is not Ready can become so.
type Next int

const (
	// Wait means that the world may change by itself, as when a referenced object is applied later.
	Wait Next = iota
	// Stall means that somebody has to change something.
	Stall
)

// Finding is why an object is not Ready. A nil *Finding means that nothing is wrong.
type Finding struct {
	Reason  string
	Message string
	Next    Next
}

func stalled(reason, format string, args ...any) *Finding {
	return &Finding{Reason: reason, Message: fmt.Sprintf(format, args...), Next: Stall}
}

func waiting(reason, format string, args ...any) *Finding {
	return &Finding{Reason: reason, Message: fmt.Sprintf(format, args...), Next: Wait}
}

// aboutReferences tells whether the finding speaks of other objects rather than of the spec itself.
func (f *Finding) aboutReferences() bool {
	switch f.Reason {
	case mrev1.ReasonReferenceNotFound, mrev1.ReasonRevisionNotFound,
		mrev1.ReasonReferenceNotReady, mrev1.ReasonWrongClass,
		mrev1.ReasonModelNotAllowed, mrev1.ReasonDependencyCycle, mrev1.ReasonInvalidMREName:
		return true
	}
	return false
}
