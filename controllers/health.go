// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// illnesses are the states of a plugin's process that somebody should look at, the worst first.
var illnesses = []struct {
	state  api.PluginHealthState
	reason string
}{
	{api.PluginHealthStateStartFailed, mrev1.ReasonPluginStartFailed},
	{api.PluginHealthStateCrashed, mrev1.ReasonPluginCrashing},
	{api.PluginHealthStateTimedOut, mrev1.ReasonPluginTimingOut},
}

// checkHealth says which plugins' processes do not work as they should, and what each said. The Event goes on:
// what their tasks come to is up to their policies. said is what Kubernetes knows of their ends.
func checkHealth(plugins []api.PluginHealth, said map[string]string) *Finding {
	rank := func(p api.PluginHealth) int {
		for i, x := range illnesses {
			if x.state == p.State {
				return i
			}
		}
		return len(illnesses)
	}
	sick := slices.DeleteFunc(slices.Clone(plugins), func(p api.PluginHealth) bool { return rank(p) == len(illnesses) })
	if len(sick) == 0 {
		return nil
	}
	slices.SortFunc(sick, func(a, b api.PluginHealth) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Name, b.Name))
	})
	var texts []string
	for _, p := range sick {
		text := fmt.Sprintf("Plugin %s: %s", p.Name, p.Message)
		if words := said[p.Name]; words != "" && !strings.Contains(p.Message, words) {
			text += " (its container said last: " + words + ")"
		}
		texts = append(texts, text)
	}
	return waiting(illnesses[rank(sick[0])].reason, "%s", strings.Join(texts, "; "))
}

// checkPluginHealth looks at what the agents reported. It asks for pods only while a plugin is sick whose process
// Kubernetes starts: no supervisor of ours heard what that one said.
func (r *EventReconciler) checkPluginHealth(ctx context.Context, s *eventScope) (*Finding, error) {
	var said map[string]string
	if slices.ContainsFunc(s.state.Plugins, func(p api.PluginHealth) bool { return s.pods.startedByKubernetes(p.Name) }) {
		pods, err := listPods(ctx, r.Live, s.event)
		if err != nil {
			return nil, err
		}
		said = pluginLastWords(pods)
	}
	return checkHealth(s.state.Plugins, said), nil
}

// startedByKubernetes tells whether a plugin's command is known to its image alone.
func (n podNeeds) startedByKubernetes(plugin string) bool {
	return slices.ContainsFunc(n.Containers, func(c pluginContainer) bool {
		return c.Plugin == plugin && len(c.Container.Command) == 0
	})
}

// pluginLastWords are what plugins said when their containers ended in failure, by name.
func pluginLastWords(pods []corev1.Pod) map[string]string {
	out := map[string]string{}
	for i := range pods {
		for _, s := range pods[i].Status.InitContainerStatuses {
			if plugin, ok := pluginOfContainer(s.Name); ok {
				if text, failed := containerLastWords(s); failed {
					out[plugin] = text
				}
			}
		}
	}
	return out
}
