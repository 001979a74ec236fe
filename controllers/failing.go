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

// maxLastWords keeps an annotation short.
const maxLastWords = 512

// checkFailing looks for slots whose Jobs end soon after their start, again and again, such as for a bucket or a
// key that is gone. It returns when a Job that runs now will have lived long enough to be believed.
func checkFailing(jobs []ObservedJob, now time.Time) (*Finding, time.Duration) {
	var failing []string
	var after time.Duration
	for _, j := range jobs {
		if j.Deleting || j.State == JobSucceeded {
			continue
		}
		failures, left := j.QuickFailures, j.Created.Add(quickFailure).Sub(now)
		if j.State == JobFailed && j.Finished.Sub(j.Created) < quickFailure {
			failures, left = failures+1, time.Second
		}
		if failures < quickFailuresForgiven || left <= 0 {
			continue
		}
		if after == 0 || left < after {
			after = left
		}
		text := fmt.Sprintf("%s %d", j.crew(), j.Ordinal)
		if j.LastWords != "" {
			text += ": " + j.LastWords
		}
		failing = append(failing, text)
	}
	if len(failing) == 0 {
		return nil, 0
	}
	slices.Sort(failing)
	return waiting(mrev1.ReasonJobsFailing, "Jobs end soon after their start, again and again; the last one said: %s",
		strings.Join(failing, "; ")), after
}

// lastWordsOf are what the pods of Jobs said at their end, by Job.
func lastWordsOf(pods []corev1.Pod) map[string]string {
	out := map[string]string{}
	for i := range pods {
		if text, ok := podLastWords(&pods[i]); ok {
			out[pods[i].Labels[jobNameLabel]] = text
		}
	}
	return out
}

// podLastWords are those of the main container, or of the agent beside plugins, whose end is the reason for that
// of the main container. Plugins say nothing here: they are started again by themselves.
func podLastWords(p *corev1.Pod) (string, bool) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if _, plugin := pluginOfContainer(s.Name); plugin {
			continue
		}
		if text, ok := containerLastWords(s); ok {
			return text, true
		}
	}
	return "", false
}

// containerLastWords are what a container said when it ended in failure. One that was started again since is
// ended by Kubernetes later, which says less than its first end.
func containerLastWords(s corev1.ContainerStatus) (string, bool) {
	for _, t := range []*corev1.ContainerStateTerminated{s.LastTerminationState.Terminated, s.State.Terminated} {
		if t != nil && t.ExitCode != 0 {
			text := strings.TrimSpace(or(t.Message, t.Reason))
			// The end of a log is what matters.
			return text[max(0, len(text)-maxLastWords):], true
		}
	}
	return "", false
}
