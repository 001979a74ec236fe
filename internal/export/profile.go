// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Profile is MRE's shortened profile, as far as a plan holds it.
type Profile struct {
	Name                    string
	ChunkSize               int32
	MaxSegmentLengthSeconds int32
	Classifier              profilePlugin
	Optimizer               *profilePlugin  `json:",omitempty"`
	Labeler                 *profilePlugin  `json:",omitempty"`
	Featurers               []profilePlugin `json:",omitempty"`
}

type profilePlugin struct {
	Name             string
	Configuration    map[string]any
	ModelEndpoint    string `json:",omitempty"`
	DependentPlugins []dependentPlugin
}

type dependentPlugin struct {
	Name               string
	Configuration      map[string]any
	DependentFor       []string
	ModelEndpoint      string `json:",omitempty"`
	Level              int
	SupportedMediaType string
}

// ShortProfile writes a plan as MRE's shortened profile, with MRE's names. Featurers are those
// that no other plugin depends on; the others stand below their dependants.
func ShortProfile(plan api.Plan) Profile {
	plugins := map[string]api.PlanPlugin{}
	depended := map[string]bool{}
	for _, p := range plan.Plugins {
		plugins[p.Name] = p
		for _, d := range p.DependsOn {
			depended[d] = true
		}
	}
	role := func(name *string) *profilePlugin {
		if name == nil {
			return nil
		}
		p := withDependencies(plan, plugins, *name)
		return &p
	}
	short := Profile{
		Name:                    plan.Event.Profile,
		ChunkSize:               plan.ChunkSeconds,
		MaxSegmentLengthSeconds: plan.MaxSegmentSeconds,
		Classifier:              withDependencies(plan, plugins, plan.Segmenter),
		Optimizer:               role(plan.Optimizer),
		Labeler:                 role(plan.Labeler),
	}
	for _, p := range plan.Plugins {
		if p.Class == api.PlanPluginClassFeaturer && !depended[p.Name] {
			short.Featurers = append(short.Featurers, withDependencies(plan, plugins, p.Name))
		}
	}
	return short
}

func withDependencies(plan api.Plan, plugins map[string]api.PlanPlugin, name string) profilePlugin {
	p := plugins[name]
	return profilePlugin{
		Name:             plan.NameInMRE(name),
		Configuration:    configuration(p),
		ModelEndpoint:    model(p),
		DependentPlugins: dependencies(plan, plugins, name),
	}
}

// dependencies lists all that a plugin depends on in the order in which they
// are first named, the direct ones first: MRE keeps the order that people
// wrote, and its plugins go by it. A plugin that several others need has its
// deepest level, so that running the levels from the last to the first keeps
// what depends on what.
func dependencies(plan api.Plan, plugins map[string]api.PlanPlugin, root string) []dependentPlugin {
	level := map[string]int{}
	needs := map[string][]string{}
	var order []string
	current := []string{root}
	// A plan has no cycle; its number of plugins bounds the depth in any case.
	for depth := 1; depth <= len(plugins) && len(current) > 0; depth++ {
		var next []string
		for _, name := range current {
			for _, d := range plugins[name].DependsOn {
				if level[d] == 0 {
					order = append(order, d)
				}
				level[d] = depth
				if !slices.Contains(needs[d], name) {
					needs[d] = append(needs[d], name)
				}
				if !slices.Contains(next, d) {
					next = append(next, d)
				}
			}
		}
		current = next
	}
	list := make([]dependentPlugin, 0, len(order))
	for _, name := range order {
		p := plugins[name]
		list = append(list, dependentPlugin{
			Name:               plan.NameInMRE(name),
			Configuration:      configuration(p),
			DependentFor:       plan.NamesInMRE(needs[name]),
			ModelEndpoint:      model(p),
			Level:              level[name],
			SupportedMediaType: string(p.MediaType),
		})
	}
	return list
}

func configuration(p api.PlanPlugin) map[string]any {
	if p.Configuration == nil {
		return map[string]any{}
	}
	return p.Configuration
}

func model(p api.PlanPlugin) string {
	if p.Model == nil {
		return ""
	}
	return *p.Model
}

// outputAttributes are the names of what the plugins put out, in MRE's order:
// optimizer, labeler, featurers, segmenter. MRE leaves out Label, as it is a
// text and no feature.
func outputAttributes(plan api.Plan) []string {
	names := []string{}
	for _, class := range []api.PlanPluginClass{
		api.PlanPluginClassOptimizer, api.PlanPluginClassLabeler, api.PlanPluginClassFeaturer, api.PlanPluginClassSegmenter,
	} {
		for _, p := range plan.Plugins {
			if p.Class != class {
				continue
			}
			for _, o := range p.Outputs {
				if o != "Label" && !slices.Contains(names, o) {
					names = append(names, o)
				}
			}
		}
	}
	return names
}
