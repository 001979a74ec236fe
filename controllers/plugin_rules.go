// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/builtin"
)

// checkPlugin is the verdict on one Plugin: its runtime, its configuration, its references.
func (c *Catalogue) checkPlugin(p *mrev1.Plugin) *Finding {
	for _, rule := range []func(*mrev1.Plugin) *Finding{
		c.checkRuntime, c.checkDependencies, c.checkModels,
	} {
		if f := rule(p); f != nil {
			return f
		}
	}
	return nil
}

// checkRuntime: the plugin can be run.
func (c *Catalogue) checkRuntime(p *mrev1.Plugin) *Finding {
	switch {
	case p.Spec.Runtime.Builtin != nil:
		return checkBuiltin(p)
	case p.Spec.Runtime.Container != nil:
		return checkContainer(p)
	}
	return stalled(mrev1.ReasonUnknownBuiltin, "spec.runtime: neither builtin nor container is set")
}

// checkBuiltin: the built-in exists, is of the class and media type that the Plugin says, and takes
// the configuration.
func checkBuiltin(p *mrev1.Plugin) *Finding {
	name := p.Spec.Runtime.Builtin.Name
	b, ok := builtin.Lookup(name)
	if !ok {
		return stalled(mrev1.ReasonUnknownBuiltin, "spec.runtime.builtin.name: there is no built-in plugin %q; there are %s",
			name, strings.Join(builtin.Names(), ", "))
	}
	if class := mrev1.PluginClass(b.Class()); class != p.Spec.Class {
		return stalled(mrev1.ReasonWrongClass,
			"spec.class: the built-in plugin %s is a %s, not a %s", name, class, p.Spec.Class)
	}
	if !slices.Contains(b.MediaTypes(), api.PlanPluginMediaType(p.Spec.MediaType)) {
		return stalled(mrev1.ReasonWrongMediaType,
			"spec.mediaType: the built-in plugin %s does not look at %s", name, p.Spec.MediaType)
	}
	configuration, err := decodeConfiguration(p.Spec.Configuration)
	if err != nil {
		return stalled(mrev1.ReasonInvalidConfiguration, "spec.configuration: %v", err)
	}
	if err := b.Validate(configuration); err != nil {
		return invalidConfiguration("spec.", err)
	}
	return nil
}

// invalidConfiguration says what a built-in has against its configuration. Its error has a line for each
// key, which begins with "configuration.KEY".
func invalidConfiguration(path string, err error) *Finding {
	return stalled(mrev1.ReasonInvalidConfiguration, "%s%s", path, strings.ReplaceAll(err.Error(), "\n", "; "+path))
}

// checkDependencies: what the Plugin depends on exists, is a Featurer and does not lead back to it.
func (c *Catalogue) checkDependencies(p *mrev1.Plugin) *Finding {
	var missing, wrong []string
	for _, name := range c.dependencies(p.Name) {
		d, ok := c.Plugins[name]
		switch {
		case !ok:
			missing = append(missing, name)
		case d.Spec.Class != mrev1.ClassFeaturer:
			wrong = append(wrong, name+" is a "+string(d.Spec.Class))
		}
	}
	if len(wrong) > 0 {
		return stalled(mrev1.ReasonWrongClass,
			"spec.dependsOn: only Featurers can be depended on; %s", strings.Join(wrong, ", "))
	}
	if path := c.cycle(p.Name); path != nil {
		return stalled(mrev1.ReasonDependencyCycle, "spec.dependsOn: circle %s", strings.Join(path, " → "))
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return waiting(mrev1.ReasonReferenceNotFound, "spec.dependsOn: Plugin %s not found", strings.Join(missing, ", "))
	}
	return nil
}

// checkModels: the Models that the Plugin lists exist and are for its class.
func (c *Catalogue) checkModels(p *mrev1.Plugin) *Finding {
	var missing []string
	for _, ref := range p.Spec.Models {
		m, ok := c.Models[ref.Name]
		if !ok {
			missing = append(missing, ref.Name)
			continue
		}
		if m.Spec.PluginClass != p.Spec.Class {
			return stalled(mrev1.ReasonModelNotAllowed,
				"spec.models: Model %s is for a %s, not for a %s", m.Name, m.Spec.PluginClass, p.Spec.Class)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return waiting(mrev1.ReasonReferenceNotFound, "spec.models: Model %s not found", strings.Join(missing, ", "))
	}
	return nil
}
