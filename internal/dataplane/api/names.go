// SPDX-License-Identifier: Apache-2.0

package api

import "slices"

// NameInMRE is the name under which MRE's plugins see a plugin.
func (p *PlanPlugin) NameInMRE() string {
	if p.MREName != nil && *p.MREName != "" {
		return *p.MREName
	}
	return p.Name
}

// NameInMRE is the name under which MRE's plugins see a plugin of the plan. A name that is none of the plan's stays.
func (p *Plan) NameInMRE(name string) string {
	i := slices.IndexFunc(p.Plugins, func(q PlanPlugin) bool { return q.Name == name })
	if i < 0 {
		return name
	}
	return p.Plugins[i].NameInMRE()
}

// NamesInMRE are the names under which MRE's plugins see plugins of the plan, in the order given.
func (p *Plan) NamesInMRE(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, p.NameInMRE(n))
	}
	return out
}

// NameHere is the name of the plugin that MRE's plugins call so; its own name names it, too. A name that is none of the
// plan's stays.
func (p *Plan) NameHere(name string) string {
	for i := range p.Plugins {
		if p.Plugins[i].NameInMRE() == name {
			return p.Plugins[i].Name
		}
	}
	return name
}
