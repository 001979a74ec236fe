// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// dependencies are the names that a Plugin depends on directly, in the Plugin's own order: MRE's plugins take the
// first of them for the one that matters.
func (c *Catalogue) dependencies(name string) []string {
	p, ok := c.Plugins[name]
	if !ok {
		return nil
	}
	names := make([]string, 0, len(p.Spec.DependsOn))
	for _, d := range p.Spec.DependsOn {
		names = append(names, d.Name)
	}
	return names
}

// cycle returns the first circle of dependencies that can be reached from name, as a path that ends
// where it begins (a, b, a), or nil.
func (c *Catalogue) cycle(name string) []string {
	var path []string
	done := map[string]bool{}
	var visit func(string) []string
	visit = func(n string) []string {
		if i := slices.Index(path, n); i >= 0 {
			return append(slices.Clone(path[i:]), n)
		}
		if done[n] {
			return nil
		}
		path = append(path, n)
		for _, d := range c.dependencies(n) {
			if found := visit(d); found != nil {
				return found
			}
		}
		path = path[:len(path)-1]
		done[n] = true
		return nil
	}
	return visit(name)
}

// closure lists the given Plugins and all they depend on, dependencies first and otherwise in the order
// given. Names that do not exist are listed too; a circle is followed once.
func (c *Catalogue) closure(names ...string) []string {
	var order []string
	seen := map[string]bool{}
	var visit func(string)
	visit = func(n string) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, d := range c.dependencies(n) {
			visit(d)
		}
		order = append(order, n)
	}
	for _, n := range names {
		visit(n)
	}
	return order
}

// dependents lists every Plugin that depends on the given one at any depth.
func (c *Catalogue) dependents(name string) []string {
	var found []string
	for other := range c.Plugins {
		if other != name && slices.Contains(c.closure(other), name) {
			found = append(found, other)
		}
	}
	slices.Sort(found)
	return found
}

// steps is the order in which the Plugins of a Profile run: those of one step side by side. The labeler
// and the optimizer come after the segmenter, whatever else they depend on. There must be no circle.
func (c *Catalogue) steps(p *mrev1.Profile) [][]string {
	level := map[string]int{}
	var depth func(string) int
	depth = func(n string) int {
		if l, ok := level[n]; ok {
			return l
		}
		l := 0
		for _, d := range c.dependencies(n) {
			l = max(l, depth(d)+1)
		}
		level[n] = l
		return l
	}
	for _, n := range c.closure(pluginNames(p)...) {
		depth(n)
	}
	segmenter := level[p.Spec.Segmenter.Plugin.Name]
	for n := range beforeSegmenter(p) {
		segmenter = max(segmenter, level[n]+1)
	}
	level[p.Spec.Segmenter.Plugin.Name] = segmenter
	for _, use := range []*mrev1.PluginUse{p.Spec.Labeler, p.Spec.Optimizer} {
		if use != nil {
			level[use.Plugin.Name] = max(level[use.Plugin.Name], segmenter+1)
		}
	}
	var out [][]string
	for n, l := range level {
		for len(out) <= l {
			out = append(out, nil)
		}
		out[l] = append(out[l], n)
	}
	for _, step := range out {
		slices.Sort(step)
	}
	return out
}
