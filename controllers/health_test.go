// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestCheckHealth(t *testing.T) {
	start := api.PluginHealth{Name: "faces", State: api.PluginHealthStateStartFailed,
		Message: "ModuleNotFoundError: No module named 'cv2'"}
	crash := api.PluginHealth{Name: "crowd", State: api.PluginHealthStateCrashed, Message: "exit code 139"}
	hang := api.PluginHealth{Name: "audio", State: api.PluginHealthStateTimedOut, Message: "no answer in 60 s on chunk 7"}
	for name, tc := range map[string]struct {
		plugins []api.PluginHealth
		said    map[string]string
		want    wantFinding
	}{
		"all well": {},
		"one hangs": {plugins: []api.PluginHealth{hang},
			want: wantFinding{mrev1.ReasonPluginTimingOut, Wait, []string{"Plugin audio: no answer in 60 s on chunk 7"}}},
		"one crashes": {plugins: []api.PluginHealth{crash},
			want: wantFinding{mrev1.ReasonPluginCrashing, Wait, []string{"Plugin crowd: exit code 139"}}},
		"the worst is why": {plugins: []api.PluginHealth{hang, crash, start},
			want: wantFinding{mrev1.ReasonPluginStartFailed, Wait,
				[]string{"Plugin faces: ModuleNotFoundError: No module named 'cv2'; Plugin crowd: " +
					"exit code 139; Plugin audio: no answer"}}},
		"what Kubernetes heard": {plugins: []api.PluginHealth{crash}, said: map[string]string{"crowd": "Segmentation fault"},
			want: wantFinding{mrev1.ReasonPluginCrashing, Wait,
				[]string{"Plugin crowd: exit code 139 (its container said last: Segmentation fault)"}}},
		"a state of a later version": {plugins: []api.PluginHealth{{Name: "x", State: "Bored"}}},
	} {
		t.Run(name, func(t *testing.T) { tc.want.check(t, checkHealth(tc.plugins, tc.said)) })
	}
}

func TestLastWords(t *testing.T) {
	ended := func(code int32, message string) *corev1.ContainerStateTerminated {
		return &corev1.ContainerStateTerminated{ExitCode: code, Message: message, Reason: "Error"}
	}
	pod := func(name string, init, main []corev1.ContainerStatus) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{jobNameLabel: name}},
			Status: corev1.PodStatus{InitContainerStatuses: init, ContainerStatuses: main}}
	}
	now := func(t *corev1.ContainerStateTerminated) corev1.ContainerState {
		return corev1.ContainerState{Terminated: t}
	}
	pods := []corev1.Pod{
		pod("alone", nil, []corev1.ContainerStatus{{Name: "worker", State: now(ended(1, "no such bucket\n"))}}),
		pod("silent", nil, []corev1.ContainerStatus{{Name: "worker", State: now(ended(137, ""))}}),
		pod("well", nil, []corev1.ContainerStatus{{Name: "worker", State: now(ended(0, ""))}}),
		pod("agent died",
			[]corev1.ContainerStatus{
				{Name: "install", State: now(ended(0, ""))},
				{Name: "agent", State: now(ended(143, "ended by a signal")),
					LastTerminationState: now(ended(2, "panic: index out of range"))},
				{Name: "plugin-crowd", State: now(ended(143, "bye")), LastTerminationState: now(ended(1, "cv2 is missing"))},
			},
			[]corev1.ContainerStatus{{Name: "follow", State: now(ended(1, "the agent died"))}}),
		pod("only followed",
			[]corev1.ContainerStatus{{Name: "agent", State: now(ended(0, ""))},
				{Name: "plugin-crowd", State: now(ended(137, ""))}},
			[]corev1.ContainerStatus{{Name: "follow", State: now(ended(1, "ended by a signal"))}}),
	}
	want := map[string]string{"alone": "no such bucket", "silent": "Error", "agent died": "panic: index out of range",
		"only followed": "ended by a signal"}
	if d := cmp.Diff(want, lastWordsOf(pods)); d != "" {
		t.Errorf("Jobs said (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"crowd": "cv2 is missing"}, pluginLastWords(pods[:4])); d != "" {
		t.Errorf("plugins said (-want +got):\n%s", d)
	}
	n := podNeeds{Containers: []pluginContainer{{Plugin: "known",
		Container: mrev1.ContainerRuntime{Command: []string{"x"}}}, {Plugin: "unknown"}}}
	if n.startedByKubernetes("known") || !n.startedByKubernetes("unknown") || n.startedByKubernetes("builtin") {
		t.Error("who starts a plugin is wrong")
	}
}
