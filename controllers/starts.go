// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// jobNameLabel is on a Job's pods.
const jobNameLabel = "batch.kubernetes.io/job-name"

// checkStarts looks for Jobs whose pods do not come to run within the deadline, such as for an image
// that cannot be pulled or a quota. Kubernetes itself would wait for ever.
//
// images are those of the plugins, by the name of their container.
func checkStarts(jobs []ObservedJob, pods []corev1.Pod, images map[string]string,
	deadline time.Duration, now time.Time) *Finding {
	var late []string
	for _, j := range jobs {
		if j.State != JobRunning || j.Deleting || now.Sub(j.Created) < deadline {
			continue
		}
		i := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Labels[jobNameLabel] == j.Name })
		if i < 0 {
			late = append(late, fmt.Sprintf("Job %s has no pod", j.Name))
			continue
		}
		if pods[i].Status.Phase == corev1.PodPending {
			late = append(late, fmt.Sprintf("the pod of Job %s waits: %s", j.Name, waitingFor(&pods[i], images)))
		}
	}
	if len(late) == 0 {
		return nil
	}
	slices.Sort(late)
	return waiting(mrev1.ReasonStartDeadlineExceeded, "not running after %s: %s", deadline, strings.Join(late, "; "))
}

// waitingFor is what Kubernetes says about a pod that does not start. Containers start one after the other: the
// first that does not come up keeps the others, which wait for PodInitializing and say nothing of their own.
func waitingFor(p *corev1.Pod, images map[string]string) string {
	idle := "no reason given"
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch w := s.State.Waiting; {
		case w != nil && (w.Reason == "PodInitializing" || w.Reason == "ContainerCreating"):
			idle = strings.TrimSuffix(w.Reason+": "+w.Message, ": ")
		case w != nil && w.Reason != "":
			text := strings.TrimSuffix(w.Reason+": "+w.Message, ": ")
			if said, ok := containerLastWords(s); ok {
				text += "; it said last: " + said
			}
			return containerInWords(s.Name, images) + text
		case s.Name == containerAgent && s.State.Running != nil && !ptr.Deref(s.Started, true):
			return "the agent runs and is not ready yet; its log says why"
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return strings.TrimSuffix(c.Reason+": "+c.Message, ": ")
		}
	}
	return idle
}

// containerInWords names a container of a pod that has several.
func containerInWords(name string, images map[string]string) string {
	if plugin, ok := pluginOfContainer(name); ok {
		return fmt.Sprintf("Plugin %s, image %s: ", plugin, images[name])
	}
	if name == containerAgent || name == containerInstall {
		return "container " + name + ": "
	}
	return ""
}

// anyLate tells whether a Job has passed the deadline without a ready pod.
func anyLate(jobs []ObservedJob, deadline time.Duration, now time.Time) bool {
	return slices.ContainsFunc(jobs, func(j ObservedJob) bool {
		return j.State == JobRunning && !j.Ready && !j.Deleting && now.Sub(j.Created) >= deadline
	})
}
