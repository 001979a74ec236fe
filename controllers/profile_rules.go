// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/plugin-runtime/builtin"
)

// role is a Plugin in its place in a Profile.
type role struct {
	field string
	class mrev1.PluginClass
	use   *mrev1.PluginUse
}

// roles lists the uses of a Profile in the order of its fields.
func roles(p *mrev1.Profile) []role {
	out := []role{{"spec.segmenter", mrev1.ClassSegmenter, &p.Spec.Segmenter}}
	if p.Spec.Optimizer != nil {
		out = append(out, role{"spec.optimizer", mrev1.ClassOptimizer, p.Spec.Optimizer})
	}
	if p.Spec.Labeler != nil {
		out = append(out, role{"spec.labeler", mrev1.ClassLabeler, p.Spec.Labeler})
	}
	for i := range p.Spec.Featurers {
		out = append(out, role{fmt.Sprintf("spec.featurers[%d]", i), mrev1.ClassFeaturer, &p.Spec.Featurers[i].PluginUse})
	}
	return out
}

// pluginNames lists the Plugins that a Profile names itself: featurers first, as they run first.
func pluginNames(p *mrev1.Profile) []string {
	var names []string
	for _, f := range p.Spec.Featurers {
		names = append(names, f.Plugin.Name)
	}
	names = append(names, p.Spec.Segmenter.Plugin.Name)
	if p.Spec.Labeler != nil {
		names = append(names, p.Spec.Labeler.Plugin.Name)
	}
	if p.Spec.Optimizer != nil {
		names = append(names, p.Spec.Optimizer.Plugin.Name)
	}
	return names
}

// beforeSegmenter are the featurers that a Profile's segmenter waits for though it does not read them.
func beforeSegmenter(p *mrev1.Profile) map[string]bool {
	out := map[string]bool{}
	for _, f := range p.Spec.Featurers {
		if ptr.Deref(f.BeforeSegmenter, false) {
			out[f.Plugin.Name] = true
		}
	}
	return out
}

// checkProfile is the verdict on one Profile. Mistakes that waiting cannot heal come first, so that
// their author learns of them even while something else is still missing.
func (c *Catalogue) checkProfile(p *mrev1.Profile) *Finding {
	c, unpinned := c.pinned(p)
	for _, rule := range []func(*mrev1.Profile) *Finding{
		c.checkRoles, c.checkPickedModels, c.checkMergedConfigurations, c.checkPodTemplates, c.checkCycles, c.checkMRENames,
		c.checkFound, func(*mrev1.Profile) *Finding { return unpinned }, c.checkPluginsReady,
	} {
		if f := rule(p); f != nil {
			return f
		}
	}
	return nil
}

// checkRoles: each Plugin is of the class that its place asks for.
func (c *Catalogue) checkRoles(p *mrev1.Profile) *Finding {
	for _, r := range roles(p) {
		if plugin, ok := c.Plugins[r.use.Plugin.Name]; ok && plugin.Spec.Class != r.class {
			return stalled(mrev1.ReasonWrongClass, "%s.plugin: Plugin %s is a %s, not a %s",
				r.field, plugin.Name, plugin.Spec.Class, r.class)
		}
	}
	return nil
}

// checkPickedModels: a picked Model is one that the Plugin lists and is for the Plugin's class.
func (c *Catalogue) checkPickedModels(p *mrev1.Profile) *Finding {
	for _, r := range roles(p) {
		plugin, ok := c.Plugins[r.use.Plugin.Name]
		if !ok || r.use.Model == nil {
			continue
		}
		name := r.use.Model.Name
		if !slices.ContainsFunc(plugin.Spec.Models, func(m mrev1.LocalReference) bool { return m.Name == name }) {
			return stalled(mrev1.ReasonModelNotAllowed,
				"%s.model: Plugin %s does not list Model %s in spec.models", r.field, plugin.Name, name)
		}
		if m, ok := c.Models[name]; ok && m.Spec.PluginClass != plugin.Spec.Class {
			return stalled(mrev1.ReasonModelNotAllowed, "%s.model: Model %s is for a %s, not for a %s", r.field,
				name, m.Spec.PluginClass, plugin.Spec.Class)
		}
	}
	return nil
}

// checkMergedConfigurations: each built-in takes its defaults with the Profile's overrides.
func (c *Catalogue) checkMergedConfigurations(p *mrev1.Profile) *Finding {
	for _, r := range roles(p) {
		plugin, ok := c.Plugins[r.use.Plugin.Name]
		if !ok || r.use.Configuration == nil || plugin.Spec.Runtime.Builtin == nil {
			continue
		}
		b, ok := builtin.Lookup(plugin.Spec.Runtime.Builtin.Name)
		if !ok {
			continue
		}
		merged, err := mergeConfiguration(plugin.Spec.Configuration, r.use.Configuration)
		if err != nil {
			return stalled(mrev1.ReasonInvalidConfiguration, "%s.configuration: %v", r.field, err)
		}
		if err := b.Validate(merged); err != nil {
			return invalidConfiguration(r.field+".", err)
		}
	}
	return nil
}

// checkCycles: no Plugin of the Profile depends on itself by way of others.
func (c *Catalogue) checkCycles(p *mrev1.Profile) *Finding {
	for _, name := range pluginNames(p) {
		if path := c.cycle(name); path != nil {
			return stalled(mrev1.ReasonDependencyCycle,
				"Plugins depend on each other in a circle: %s", strings.Join(path, " → "))
		}
	}
	return nil
}

// checkMRENames: MRE's plugins can tell the Plugins of the Profile apart. What MRE calls one of them is nobody else's
// name, neither in MRE nor here.
func (c *Catalogue) checkMRENames(p *mrev1.Profile) *Finding {
	owner := map[string]string{}
	plugins := c.closure(pluginNames(p)...)
	for _, name := range plugins {
		owner[name] = name
	}
	for _, name := range plugins {
		plugin, ok := c.Plugins[name]
		if !ok {
			continue
		}
		original, annotated := plugin.Annotations[mrev1.AnnotationMREName]
		if !annotated {
			continue
		}
		if n := utf8.RuneCountInString(original); n < 1 || n > maxMREName ||
			strings.ContainsFunc(original, unicode.IsControl) {
			return stalled(mrev1.ReasonInvalidMREName,
				"Plugin %s: the annotation %s is %q; a name of MRE's has 1 to %d characters in one line",
				name, mrev1.AnnotationMREName, original, maxMREName)
		}
		if other, taken := owner[original]; taken && other != name {
			return stalled(mrev1.ReasonInvalidMREName,
				"Plugins %s and %s: MRE's plugins would see both as %q; change the annotation %s of one of them",
				other, name, original, mrev1.AnnotationMREName)
		}
		owner[original] = name
	}
	return nil
}

// maxMREName is how long MRE's names may be.
const maxMREName = 150

// checkFound: everything that the Profile names, and that its Plugins depend on, exists.
func (c *Catalogue) checkFound(p *mrev1.Profile) *Finding {
	var missing []string
	named := map[string]bool{}
	for _, r := range roles(p) {
		name := r.use.Plugin.Name
		named[name] = true
		if _, ok := c.Plugins[name]; !ok {
			missing = append(missing, fmt.Sprintf("%s.plugin: Plugin %s", r.field, name))
		}
		if r.use.Model != nil {
			if _, ok := c.Models[r.use.Model.Name]; !ok {
				missing = append(missing, fmt.Sprintf("%s.model: Model %s", r.field, r.use.Model.Name))
			}
		}
	}
	for _, name := range c.closure(pluginNames(p)...) {
		if _, ok := c.Plugins[name]; !ok && !named[name] {
			missing = append(missing, fmt.Sprintf("Plugin %s, which others depend on", name))
		}
	}
	if len(missing) > 0 {
		return waiting(mrev1.ReasonReferenceNotFound, "not found: %s", strings.Join(missing, "; "))
	}
	return nil
}

// checkPluginsReady: every Plugin that will run is accepted itself.
func (c *Catalogue) checkPluginsReady(p *mrev1.Profile) *Finding {
	for _, name := range c.closure(pluginNames(p)...) {
		if f := c.checkPlugin(c.Plugins[name]); f != nil {
			return &Finding{Reason: mrev1.ReasonReferenceNotReady, Next: f.Next,
				Message: fmt.Sprintf("Plugin %s is not ready: %s: %s", name, f.Reason, f.Message)}
		}
	}
	return nil
}
