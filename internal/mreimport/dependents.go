// SPDX-License-Identifier: Apache-2.0

package mreimport

import "slices"

// dependents are the plugins that one depends on, as profiles name them.
type dependents struct {
	names []string
	// first is the profile that named the first of them.
	first *document
}

// learnDependents reads from all profiles which plugins depend on which. In MRE it is the profile that says so, and in
// which order; what a plugin lists itself must be among them. Here the Plugin says it, so that the first profile's
// order holds.
func (im *importer) learnDependents() {
	for _, profile := range im.profiles {
		here := map[string][]string{}
		var parents []string
		for _, use := range uses(profile) {
			for _, d := range use.objects("DependentPlugins") {
				for _, parent := range d.texts("DependentFor") {
					if !slices.Contains(parents, parent) {
						parents = append(parents, parent)
					}
					if name := d.text("Name"); !slices.Contains(here[parent], name) {
						here[parent] = append(here[parent], name)
					}
				}
			}
		}
		for _, parent := range parents {
			im.learnOrder(profile, parent, here[parent])
		}
	}
}

func (im *importer) learnOrder(profile *document, parent string, names []string) {
	known := im.dependents[parent]
	if known == nil {
		im.dependents[parent] = &dependents{names: names, first: profile}
		return
	}
	shared := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return !slices.Contains(other, n) })
	}
	if a, b := shared(known.names, names), shared(names, known.names); !slices.Equal(a, b) {
		profile.warn("DependentPlugins",
			"names what the plugin %q depends on in the order %q; that of %s, %q, holds, as a Plugin has one order",
			parent, b, known.first.Source, a)
	}
	for _, n := range names {
		if !slices.Contains(known.names, n) {
			known.names = append(known.names, n)
		}
	}
}

// dependencies are the names of the plugins that one depends on, in the order of the profiles that use it.
func (im *importer) dependencies(d *document) []string {
	own := d.texts("DependentPlugins")
	known := im.dependents[d.text("Name")]
	if known == nil {
		return own
	}
	names := slices.Clone(known.names)
	for _, n := range own {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}
