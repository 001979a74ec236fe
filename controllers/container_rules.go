// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// checkContainer looks at what the types of Kubernetes themselves let through, and what would be refused only
// when an Event makes its pods. What the plugin makes of its configuration nobody knows but the plugin.
func checkContainer(p *mrev1.Plugin) *Finding {
	c := p.Spec.Runtime.Container
	if _, err := decodeConfiguration(p.Spec.Configuration); err != nil {
		return stalled(mrev1.ReasonInvalidConfiguration, "spec.configuration: %v", err)
	}
	const path = "spec.runtime.container"
	for _, e := range c.Env {
		if problems := validation.IsRelaxedEnvVarName(e.Name); problems != nil {
			return stalled(mrev1.ReasonInvalidPod, "%s.env: %q is no name of a variable: %s", path, e.Name, problems[0])
		}
		if e.Value != "" && e.ValueFrom != nil {
			return stalled(mrev1.ReasonInvalidPod, "%s.env: %s has both value and valueFrom", path, e.Name)
		}
	}
	for i, rule := range c.Egress {
		for _, to := range rule.To {
			if to.IPBlock == nil {
				continue
			}
			for _, cidr := range append([]string{to.IPBlock.CIDR}, to.IPBlock.Except...) {
				if _, err := netip.ParsePrefix(cidr); err != nil {
					return stalled(mrev1.ReasonInvalidPod,
						"%s.egress[%d]: %q is no range of addresses, such as 192.0.2.0/24", path, i, cidr)
				}
			}
		}
	}
	if c.Resources != nil {
		return checkResources(path+".resources", *c.Resources)
	}
	return nil
}

// checkResources: Kubernetes takes no request above its limit, and devices only whole and by limits.
func checkResources(path string, r corev1.ResourceRequirements) *Finding {
	for _, list := range []struct {
		name   string
		values corev1.ResourceList
	}{{"limits", r.Limits}, {"requests", r.Requests}} {
		for _, name := range slices.Sorted(maps.Keys(list.values)) {
			field := fmt.Sprintf("%s.%s[%s]", path, list.name, name)
			q := list.values[name]
			if problems := validation.IsQualifiedName(string(name)); problems != nil {
				return stalled(mrev1.ReasonInvalidPod, "%s: no name of a resource: %s", field, problems[0])
			}
			if q.Sign() < 0 {
				return stalled(mrev1.ReasonInvalidPod, "%s: %s must not be negative", field, q.String())
			}
			if device(name) && q.MilliValue()%1000 != 0 {
				return stalled(mrev1.ReasonInvalidPod, "%s: %s must be a whole number", field, q.String())
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		request, limit := r.Requests[name], r.Limits[name]
		_, limited := r.Limits[name]
		switch {
		case device(name) && (!limited || request.Cmp(limit) != 0):
			return stalled(mrev1.ReasonInvalidPod, "%s.requests[%s]: must be the same as the limit; leave it out", path, name)
		case limited && request.Cmp(limit) > 0:
			return stalled(mrev1.ReasonInvalidPod, "%s.requests[%s]: %s is more than the limit of %s",
				path, name, request.String(), limit.String())
		}
	}
	return nil
}

// device tells a resource that a device plugin offers from Kubernetes' own.
func device(name corev1.ResourceName) bool { return strings.Contains(string(name), "/") }

// checkPodTemplates: the pod templates of a Profile make valid pods.
func (c *Catalogue) checkPodTemplates(p *mrev1.Profile) *Finding {
	if t := p.Spec.Processing.PodTemplate; t != nil {
		if f := checkPodTemplate("spec.processing.podTemplate", *t); f != nil {
			return f
		}
	}
	for i, pool := range p.Spec.Processing.Pools {
		if pool.PodTemplate != nil {
			if f := checkPodTemplate(fmt.Sprintf("spec.processing.pools[%d].podTemplate", i), *pool.PodTemplate); f != nil {
				return f
			}
		}
	}
	return nil
}

func checkPodTemplate(path string, t mrev1.PodTemplate) *Finding {
	for _, key := range slices.Sorted(maps.Keys(t.NodeSelector)) {
		for _, problems := range [][]string{validation.IsQualifiedName(key),
			validation.IsValidLabelValue(t.NodeSelector[key])} {
			if problems != nil {
				return stalled(mrev1.ReasonInvalidPod,
					"%s.nodeSelector[%s]: no label that a node can have: %s", path, key, problems[0])
			}
		}
	}
	for i, toleration := range t.Tolerations {
		if problem := tolerationProblem(toleration); problem != "" {
			return stalled(mrev1.ReasonInvalidPod, "%s.tolerations[%d]: %s", path, i, problem)
		}
	}
	if t.Resources != nil {
		return checkResources(path+".resources", *t.Resources)
	}
	return nil
}

func tolerationProblem(t corev1.Toleration) string {
	switch t.Operator {
	case "", corev1.TolerationOpEqual:
		if t.Key == "" {
			return "key is missing; only operator Exists goes without one"
		}
	case corev1.TolerationOpExists:
		if t.Value != "" {
			return "value must be empty with operator Exists"
		}
	}
	if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
		return "tolerationSeconds is for the effect NoExecute"
	}
	switch t.Effect {
	case "", corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
	default:
		return fmt.Sprintf("effect %q is none of NoSchedule, PreferNoSchedule and NoExecute", t.Effect)
	}
	if t.Key != "" {
		if problems := validation.IsQualifiedName(t.Key); problems != nil {
			return "key " + t.Key + ": " + problems[0]
		}
	}
	return ""
}

// unusedPools are pools that a Profile sizes and no Plugin of it names.
func (c *Catalogue) unusedPools(p *mrev1.Profile) []string {
	used := c.podNeeds(p).namedPools()
	var out []string
	for _, pool := range p.Spec.Processing.Pools {
		if !slices.Contains(used, pool.Name) {
			out = append(out, pool.Name)
		}
	}
	return out
}
