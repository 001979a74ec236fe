// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// checkStarts looks for Jobs whose pods do not come to run within the deadline, such as for an image
// that cannot be pulled or a quota. Kubernetes itself would wait for ever.
func checkStarts(jobs []ObservedJob, pods []corev1.Pod, deadline time.Duration, now time.Time) *Finding {
	var late []string
	for _, j := range jobs {
		if j.State != JobRunning || j.Deleting || now.Sub(j.Created) < deadline {
			continue
		}
		i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Labels["batch.kubernetes.io/job-name"] == j.Name })
		if i < 0 {
			late = append(late, fmt.Sprintf("Job %s has no pod", j.Name))
			continue
		}
		if pods[i].Status.Phase == corev1.PodPending {
			late = append(late, fmt.Sprintf("the pod of Job %s waits: %s", j.Name, waitingFor(&pods[i])))
		}
	}
	if len(late) == 0 {
		return nil
	}
	slices.Sort(late)
	return waiting(mrev1.ReasonStartDeadlineExceeded, "not running after %s: %s", deadline, strings.Join(late, "; "))
}

// waitingFor is what Kubernetes says about a pod that does not start.
func waitingFor(p *corev1.Pod) string {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if w := s.State.Waiting; w != nil && w.Reason != "" {
			return strings.TrimSuffix(w.Reason+": "+w.Message, ": ")
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return strings.TrimSuffix(c.Reason+": "+c.Message, ": ")
		}
	}
	return "no reason given"
}

// anyLate tells whether a Job has passed the deadline without a ready pod.
func anyLate(jobs []ObservedJob, deadline time.Duration, now time.Time) bool {
	return slices.ContainsFunc(jobs, func(j ObservedJob) bool {
		return j.State == JobRunning && !j.Ready && !j.Deleting && now.Sub(j.Created) >= deadline
	})
}
