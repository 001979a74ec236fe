// SPDX-License-Identifier: Apache-2.0

// Package mreimport turns what the AWS Media Replay Engine is given, as JSON, into manifests of ours.
//
// Documents are known by their shape: the bodies of MRE's API for plugins, models, profiles, events and prompts, and
// the samples' config.json, which wraps a plugin. Whatever has no place in a manifest is a warning that names it.
package mreimport

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	// AnnotationName keeps the name that MRE had for an object.
	AnnotationName = mrev1.AnnotationMREName
	// annotationVersion keeps the version that was imported.
	annotationVersion = "mre.media/mre-version"
	// annotationLambda keeps the function that ran a plugin.
	annotationLambda      = "mre.media/mre-lambda"
	annotationDescription = "mre.media/description"
	// annotationGroups keeps all content groups; the label holds one.
	annotationGroups = "mre.media/content-groups"
	labelGroup       = "mre.media/content-group"
)

// Options of an import.
type Options struct {
	// ImageTemplate makes the image of a plugin: {name} stands for the Plugin's name, {handler} for its function's
	// handler, which several plugins may share. MRE knows functions, not images.
	ImageTemplate string
}

// Result is what came of an import.
type Result struct {
	// Objects are ordered so that each stands behind those it refers to.
	Objects []any
	// Warnings name what was left out or changed.
	Warnings []string
}

// importer is one run.
type importer struct {
	options  Options
	warnings []string

	plugins, models, profiles, events, prompts []*document
	names                                      names
	// pluginOf and promptNames find documents by MRE's names.
	pluginOf    map[string]*document
	promptNames map[string]bool
	// usedPrompts were named in a plugin's configuration.
	usedPrompts map[string]bool
	// dependents are what profiles say of plugins' dependencies, by the plugin's name in MRE.
	dependents map[string]*dependents
}

// Import makes manifests of documents. Its error names the document that makes no sense.
func Import(documents []Document, o Options) (Result, error) {
	im := &importer{options: o, names: newNames(), pluginOf: map[string]*document{}, promptNames: map[string]bool{},
		usedPrompts: map[string]bool{}, dependents: map[string]*dependents{}}
	for _, d := range documents {
		if err := im.sort(d); err != nil {
			return Result{}, err
		}
	}
	im.newest(&im.plugins)
	im.newest(&im.profiles)
	im.learnNames()
	im.learnDependents()
	if len(im.plugins) > 0 && o.ImageTemplate == "" {
		return Result{}, fmt.Errorf("%s declares a plugin: say which images hold the plugins, such as --image-template "+
			"'registry.example.com/{name}:v1'; MRE names functions, not images", im.plugins[0].Source)
	}
	var out Result
	models, err := each(im.models, im.model)
	if err != nil {
		return Result{}, err
	}
	plugins, err := each(im.plugins, im.plugin)
	if err != nil {
		return Result{}, err
	}
	profiles, err := each(im.profiles, im.profile)
	if err != nil {
		return Result{}, err
	}
	events, err := each(im.events, im.event)
	if err != nil {
		return Result{}, err
	}
	// Prompts come after plugins, which say who uses them, and stand before them.
	prompts, err := im.configMaps()
	if err != nil {
		return Result{}, err
	}
	out.Objects = slices.Concat(sorted(prompts), sorted(models), ordered(plugins), sorted(profiles), sorted(events))
	out.Warnings = im.warnings
	return out, nil
}

// each converts documents. What gives no object has said why in a warning.
func each[T any](documents []*document, convert func(*document) (*T, error)) ([]*T, error) {
	var out []*T
	for _, d := range documents {
		object, err := convert(d)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.Source, err)
		}
		if object != nil {
			d.leftovers()
			out = append(out, object)
		}
	}
	return out, nil
}

type named interface{ GetName() string }

func sorted[T any, P interface {
	*T
	named
}](list []*T) []any {
	slices.SortFunc(list, func(a, b *T) int { return cmp.Compare(P(a).GetName(), P(b).GetName()) })
	out := make([]any, 0, len(list))
	for _, object := range list {
		out = append(out, object)
	}
	return out
}

// ordered puts Plugins behind those they depend on; by name where that leaves a choice. The operator reports cycles.
func ordered(list []*mrev1.Plugin) []any {
	byName := map[string]*mrev1.Plugin{}
	for _, p := range list {
		byName[p.Name] = p
	}
	var out []any
	placed := map[string]bool{}
	var place func(p *mrev1.Plugin)
	place = func(p *mrev1.Plugin) {
		if p == nil || placed[p.Name] {
			return
		}
		placed[p.Name] = true
		for _, d := range p.Spec.DependsOn {
			place(byName[d.Name])
		}
		out = append(out, p)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		place(byName[name])
	}
	return out
}

// configMaps are prompts: an object for each, with a key for each version.
func (im *importer) configMaps() ([]*corev1.ConfigMap, error) {
	byName := map[string]*corev1.ConfigMap{}
	for _, d := range im.prompts {
		name, version := d.text("Name"), d.version()
		meta := im.meta(d, kindPrompt, name)
		delete(meta.Annotations, annotationVersion)
		cm := byName[name]
		if cm == nil {
			cm = &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
				ObjectMeta: meta, Data: map[string]string{}}
			byName[name] = cm
		}
		template := d.text("Template")
		if before, ok := cm.Data[version]; ok && before != template {
			return nil, fmt.Errorf("%s: prompt %q has another text of version %s than a document before it",
				d.Source, name, version)
		}
		cm.Data[version] = template
		d.leftovers()
		if !im.usedPrompts[name] {
			im.usedPrompts[name] = true
			d.warn("Name", "no plugin's configuration names the prompt %q: add it to spec.prompts of the "+
				"Plugins that ask for it", name)
		}
	}
	return slices.Collect(maps.Values(byName)), nil
}

// meta is an object's name with what MRE knew besides.
func (im *importer) meta(d *document, kind kind, name string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: im.names.of(kind, name), Annotations: map[string]string{AnnotationName: name}}
	if kind == kindEvent {
		m.Annotations[AnnotationName] = d.text("Name")
	}
	if d.text("Version") != "" {
		m.Annotations[annotationVersion] = d.version()
	}
	if description := d.text("Description"); description != "" && kind != kindModel {
		m.Annotations[annotationDescription] = description
	}
	groups := d.texts("ContentGroups")
	if group := d.text("ContentGroup"); group != "" {
		groups = append(groups, group)
	}
	if len(groups) > 0 {
		m.Labels = map[string]string{labelGroup: labelValue(groups[0])}
		if len(groups) > 1 || labelValue(groups[0]) != groups[0] {
			m.Annotations[annotationGroups] = strings.Join(groups, ", ")
		}
	}
	if enabled, ok := d.boolean("Enabled"); ok && !enabled {
		d.warn("Enabled", "it is disabled in MRE; here it is not: leave the object out if it must not be used")
	}
	return m
}

func (im *importer) warn(format string, args ...any) {
	im.warnings = append(im.warnings, fmt.Sprintf(format, args...))
}
