// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Catalogue is everything of one namespace that the rules look at. Rules read it and nothing else,
// so that they are pure and an object's verdict does not lag behind the status of another.
type Catalogue struct {
	Plugins map[string]*mrev1.Plugin
	Models  map[string]*mrev1.Model
	// Revisions are those of Plugins and Profiles, by name.
	Revisions map[string]*appsv1.ControllerRevision
}

// loadCatalogue reads the Plugins and Models of a namespace from the cache.
func loadCatalogue(ctx context.Context, c client.Reader, namespace string) (*Catalogue, error) {
	var plugins mrev1.PluginList
	if err := c.List(ctx, &plugins, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing Plugins: %w", err)
	}
	var models mrev1.ModelList
	if err := c.List(ctx, &models, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing Models: %w", err)
	}
	revisions, err := listRevisions(ctx, c, namespace, nil)
	if err != nil {
		return nil, err
	}
	cat := &Catalogue{
		Plugins:   make(map[string]*mrev1.Plugin, len(plugins.Items)),
		Models:    make(map[string]*mrev1.Model, len(models.Items)),
		Revisions: make(map[string]*appsv1.ControllerRevision, len(revisions)),
	}
	for i := range plugins.Items {
		if p := &plugins.Items[i]; p.DeletionTimestamp.IsZero() {
			cat.Plugins[p.Name] = p
		}
	}
	for i := range models.Items {
		if m := &models.Items[i]; m.DeletionTimestamp.IsZero() {
			cat.Models[m.Name] = m
		}
	}
	for i := range revisions {
		cat.Revisions[revisions[i].Name] = &revisions[i]
	}
	return cat, nil
}

// pinned is the catalogue as a Profile sees it: Plugins whose revision it names are as they were then.
func (c *Catalogue) pinned(p *mrev1.Profile) (*Catalogue, *Finding) {
	out := &Catalogue{Plugins: maps.Clone(c.Plugins), Models: c.Models, Revisions: c.Revisions}
	var first *Finding
	for _, r := range roles(p) {
		plugin, ok := c.Plugins[r.use.Plugin.Name]
		if !ok || r.use.Plugin.Revision == "" {
			continue
		}
		spec, f := pinnedSpec[mrev1.PluginSpec](c, r.field+".plugin.revision", kindPlugin, r.use.Plugin)
		if f != nil {
			first = firstOf(first, f)
			continue
		}
		then := plugin.DeepCopy()
		then.Spec = spec
		out.Plugins[plugin.Name] = then
	}
	return out, first
}

// pinnedSpec is the spec that a reference's revision holds.
func pinnedSpec[T any](c *Catalogue, field, kind string, ref mrev1.RevisionReference) (T, *Finding) {
	var none T
	r, ok := c.Revisions[ref.Revision]
	if !ok {
		return none, waiting(mrev1.ReasonRevisionNotFound,
			"%s: %s %s has no revision %s", field, kind, ref.Name, ref.Revision)
	}
	spec, err := specOf[T](r, kind, ref.Name)
	if err != nil {
		return none, waiting(mrev1.ReasonRevisionNotFound, "%s: %s is no revision of %s %s: %v", field,
			ref.Revision, kind, ref.Name, err)
	}
	return spec, nil
}
