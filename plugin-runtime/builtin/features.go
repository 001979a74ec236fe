// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// feature names an attribute of a plugin, written "plugin.Attribute", or of
// every plugin, written "Attribute". A plugin's name may have dots, an
// attribute's may not.
type feature struct{ plugin, attribute string }

func parseFeature(s string) (feature, bool) {
	i := strings.LastIndex(s, ".")
	if i == 0 || i == len(s)-1 {
		return feature{}, false
	}
	return feature{s[:max(i, 0)], s[i+1:]}, true
}

// in says whether a result of the plugin carries the feature. One that is
// false or null does not count.
func (f feature) in(plugin string, res api.Result) bool {
	v := res.Attributes[f.attribute]
	return (f.plugin == "" || f.plugin == plugin) && v != nil && v != false
}

// features is the parameter that picks among the dependencies' results. None
// means all results.
func (r *reader) features(key string) []feature {
	var out []feature
	for _, word := range r.words(key) {
		f, ok := parseFeature(word)
		if !ok {
			r.fail(key, "%q is not of the form Attribute or plugin.Attribute", word)
			continue
		}
		out = append(out, f)
	}
	return out
}

// detection is a result of a dependency, with the reason it was picked.
type detection struct {
	start, end int64
	trigger    string
}

// pick returns the results of the dependencies that carry one of the
// features.
func pick(deps []api.PluginResults, wanted []feature) []detection {
	var out []detection
	for _, dep := range deps {
		for _, res := range dep.Results {
			if trigger, ok := triggerOf(dep.Plugin, res, wanted); ok {
				out = append(out, detection{res.Start.Micros, max(res.Start.Micros, res.End.Micros), trigger})
			}
		}
	}
	return out
}

func triggerOf(plugin string, res api.Result, wanted []feature) (string, bool) {
	if len(wanted) == 0 {
		return plugin, true
	}
	for _, f := range wanted {
		if f.in(plugin, res) {
			return plugin + "." + f.attribute, true
		}
	}
	return "", false
}
