// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

type statusChange int

const (
	// statusSame: nothing to write.
	statusSame statusChange = iota
	// statusCounts: only counters and messages moved; that can wait.
	statusCounts
	// statusMatters: a condition, the plan, the source or an artifact changed.
	statusMatters
)

// compareStatus weighs the difference between two statuses of an Event.
func compareStatus(before, after *mrev1.EventStatus) statusChange {
	if equality.Semantic.DeepEqual(before, after) {
		return statusSame
	}
	if equality.Semantic.DeepEqual(withoutCounts(before), withoutCounts(after)) {
		return statusCounts
	}
	return statusMatters
}

func withoutCounts(s *mrev1.EventStatus) *mrev1.EventStatus {
	out := s.DeepCopy()
	out.Progress = nil
	out.DeadLetters = nil
	out.Slots.WorkersWanted, out.Slots.WorkersLowSince, out.Slots.RenderersLowSince = 0, nil, nil
	for i := range out.Slots.Pools {
		out.Slots.Pools[i].WorkersWanted, out.Slots.Pools[i].WorkersLowSince = 0, nil
	}
	for i := range out.Conditions {
		out.Conditions[i].Message = ""
		out.Conditions[i].LastTransitionTime = metav1.Time{}
	}
	return out
}

// pace remembers when each object's status was written last. Forgetting it costs one early patch.
type pace struct{ memory[time.Time] }

// wait is how long the next unimportant write has to wait.
func (p *pace) wait(uid types.UID, interval time.Duration, now time.Time) time.Duration {
	last, ok := p.get(uid)
	if !ok {
		return 0
	}
	return max(0, last.Add(interval).Sub(now))
}
