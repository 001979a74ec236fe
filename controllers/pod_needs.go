// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"slices"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// podNeeds is what an Event's pods are made of besides the install's own settings. The Event keeps a copy, so that
// a worker that is replaced in mid-event runs what the first one ran.
type podNeeds struct {
	// Template places and sizes all pods, Pools those of the named pools that have a template of their own.
	Template *mrev1.PodTemplate           `json:"template,omitempty"`
	Pools    map[string]mrev1.PodTemplate `json:"pools,omitempty"`
	// Containers are the plugins that run in one, in the order of the plan, which numbers their ports.
	Containers []pluginContainer `json:"containers,omitempty"`
}

// pluginContainer is a plugin that runs in a container of its own.
type pluginContainer struct {
	Plugin         string                 `json:"plugin"`
	TimeoutSeconds int32                  `json:"timeoutSeconds"`
	Container      mrev1.ContainerRuntime `json:"container"`
	// Prompts are the ConfigMaps of its prompt templates.
	Prompts []string `json:"prompts,omitempty"`
	// Service is in front of the Model that the Profile picked, when it is one of the cluster's.
	Service *mrev1.ModelService `json:"service,omitempty"`
}

// podNeeds are those of an Event with this Profile.
func (c *Catalogue) podNeeds(p *mrev1.Profile) podNeeds {
	c, _ = c.pinned(p)
	out := podNeeds{Template: p.Spec.Processing.PodTemplate}
	for _, pool := range p.Spec.Processing.Pools {
		if pool.PodTemplate != nil {
			if out.Pools == nil {
				out.Pools = map[string]mrev1.PodTemplate{}
			}
			out.Pools[pool.Name] = *pool.PodTemplate
		}
	}
	services := map[string]*mrev1.ModelService{}
	for _, r := range roles(p) {
		if r.use.Model == nil {
			continue
		}
		if m, ok := c.Models[r.use.Model.Name]; ok && m.Spec.OpenInference != nil {
			services[r.use.Plugin.Name] = m.Spec.OpenInference.Service
		}
	}
	for _, name := range c.closure(pluginNames(p)...) {
		plugin, ok := c.Plugins[name]
		if !ok || plugin.Spec.Runtime.Container == nil {
			continue
		}
		n := pluginContainer{
			Plugin: name, TimeoutSeconds: plugin.Spec.Policy.TimeoutSeconds,
			Container: *plugin.Spec.Runtime.Container, Service: services[name],
		}
		for _, prompt := range plugin.Spec.Prompts {
			n.Prompts = append(n.Prompts, prompt.ConfigMap)
		}
		out.Containers = append(out.Containers, n)
	}
	return out
}

// namedPools are the pools that plugins name, sorted.
func (n podNeeds) namedPools() []string {
	named := map[string]bool{}
	for _, c := range n.Containers {
		if c.Container.Pool != "" {
			named[c.Container.Pool] = true
		}
	}
	return slices.Sorted(maps.Keys(named))
}

// of are the plugins that run in the pod of a slot, in the order of their ports.
func (n podNeeds) of(s Slot) []pluginContainer {
	if s.Role != RoleWorker {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.Containers), func(c pluginContainer) bool {
		return c.Container.Pool != s.Pool
	})
}

// templateOf is the pod template of a slot, or nil.
func (n podNeeds) templateOf(s Slot) *mrev1.PodTemplate {
	if t, ok := n.Pools[s.Pool]; ok {
		return &t
	}
	return n.Template
}

// images are those of the plugins, by the name of their container.
func (n podNeeds) images() map[string]string {
	out := map[string]string{}
	for _, c := range n.Containers {
		out[pluginContainerName(c.Plugin)] = c.Container.Image
	}
	return out
}
