// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Builtin is what the controllers need to know of a built-in plugin.
type Builtin interface {
	Class() api.PlanPluginClass
	MediaType() api.PlanPluginMediaType
	// Validate refuses a configuration with a message that begins with the field's name.
	Validate(configuration map[string]any) error
	LookbackChunks(configuration map[string]any, chunkSeconds int32) int32
	Outputs() []string
}

// Builtins finds a built-in plugin by name.
type Builtins func(name string) (Builtin, bool)

// Catalogue is everything of one namespace that the rules look at. Rules read it and nothing else,
// so that they are pure and an object's verdict does not lag behind the status of another.
type Catalogue struct {
	Plugins  map[string]*mrev1.Plugin
	Models   map[string]*mrev1.Model
	Builtins Builtins
}

// loadCatalogue reads the Plugins and Models of a namespace from the cache.
func loadCatalogue(ctx context.Context, c client.Reader, namespace string, builtins Builtins) (*Catalogue, error) {
	var plugins mrev1.PluginList
	if err := c.List(ctx, &plugins, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing Plugins: %w", err)
	}
	var models mrev1.ModelList
	if err := c.List(ctx, &models, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing Models: %w", err)
	}
	cat := &Catalogue{
		Plugins:  make(map[string]*mrev1.Plugin, len(plugins.Items)),
		Models:   make(map[string]*mrev1.Model, len(models.Items)),
		Builtins: builtins,
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
