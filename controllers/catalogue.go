// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Catalogue is everything of one namespace that the rules look at. Rules read it and nothing else,
// so that they are pure and an object's verdict does not lag behind the status of another.
type Catalogue struct {
	Plugins map[string]*mrev1.Plugin
	Models  map[string]*mrev1.Model
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
	cat := &Catalogue{
		Plugins: make(map[string]*mrev1.Plugin, len(plugins.Items)),
		Models:  make(map[string]*mrev1.Model, len(models.Items)),
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
	return cat, nil
}
