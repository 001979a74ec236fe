// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/builtin"
)

// planOfSamples is the pipeline of the Profile that our side runs, as a plan without an Event behind it: the
// peer is driven by the benchmark, not by the manager.
func (b *bench) planOfSamples(ctx context.Context, uid, url string) (api.Plan, error) {
	plan := api.Plan{
		Hash: "job-per-step",
		Event: api.PlanEvent{
			UID: uid, Namespace: b.events, Name: "job-per-step", Program: "Benchmark",
			Profile: "highlights", Start: time.Now().UTC(),
		},
		Source:            api.PlanSource{FileURL: url},
		ChunkSeconds:      chunkSeconds,
		UnitMicros:        timeline.NewUnitGrid(0, chunkSeconds).PeriodMicros(),
		MaxSegmentSeconds: 60,
		GapTimeoutSeconds: 60, DrainTimeoutSeconds: 1800,
		Segmenter: "segment-key-moment",
		Optimizer: new("optimize-snap"),
		Labeler:   new("label-template"),
	}
	for _, name := range []string{"detect-scene-change", "detect-audio-peaks",
		plan.Segmenter, *plan.Optimizer, *plan.Labeler} {
		var p mrev1.Plugin
		if err := b.cluster.Get(ctx, client.ObjectKey{Namespace: b.events, Name: name}, &p); err != nil {
			return plan, fmt.Errorf("read Plugin %s: %w", name, err)
		}
		compiled, err := compile(&p)
		if err != nil {
			return plan, err
		}
		plan.Plugins = append(plan.Plugins, compiled)
	}
	return plan, nil
}

func compile(p *mrev1.Plugin) (api.PlanPlugin, error) {
	b, ok := builtin.Lookup(p.Spec.Runtime.Builtin.Name)
	if !ok {
		return api.PlanPlugin{}, fmt.Errorf("compile Plugin %s: no built-in plugin %q", p.Name, p.Spec.Runtime.Builtin.Name)
	}
	configuration := map[string]any{}
	if p.Spec.Configuration != nil {
		if err := json.Unmarshal(p.Spec.Configuration.Raw, &configuration); err != nil {
			return api.PlanPlugin{}, fmt.Errorf("compile Plugin %s: spec.configuration: %w", p.Name, err)
		}
	}
	dependsOn := []string{}
	for _, d := range p.Spec.DependsOn {
		dependsOn = append(dependsOn, d.Name)
	}
	return api.PlanPlugin{
		Name: p.Name, Class: api.PlanPluginClass(p.Spec.Class), MediaType: api.PlanPluginMediaType(p.Spec.MediaType),
		Builtin: p.Spec.Runtime.Builtin.Name, Configuration: configuration, DependsOn: dependsOn, Outputs: b.Outputs(),
		TimeoutSeconds: p.Spec.Policy.TimeoutSeconds, MaxAttempts: p.Spec.Policy.MaxAttempts,
		OnFailure: api.PlanPluginOnFailureSkip, LookbackChunks: b.LookbackChunks(configuration, chunkSeconds),
		Generation: p.Generation,
	}, nil
}
