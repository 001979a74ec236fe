// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// TestDependentsKeepTheirOrder: dependants stand in the order in which plugins name them, the direct ones first.
func TestDependentsKeepTheirOrder(t *testing.T) {
	featurer := func(name string, depends ...string) api.PlanPlugin {
		return api.PlanPlugin{Name: name, Class: api.PlanPluginClassFeaturer,
			MediaType: api.PlanPluginMediaTypeVideo, DependsOn: depends}
	}
	plan := api.Plan{Segmenter: "segment", Plugins: []api.PlanPlugin{
		featurer("a"), featurer("b"), featurer("y", "b", "a"), featurer("x", "a"), featurer("c"),
		{Name: "segment", Class: api.PlanPluginClassSegmenter, DependsOn: []string{"y", "a", "x", "c"}},
	}}
	type dependent struct {
		Name  string
		Level int
		For   []string
	}
	var got []dependent
	for _, d := range ShortProfile(plan).Classifier.DependentPlugins {
		got = append(got, dependent{d.Name, d.Level, d.DependentFor})
	}
	want := []dependent{
		{"y", 1, []string{"segment"}}, {"a", 2, []string{"segment", "y", "x"}}, {"x", 1, []string{"segment"}},
		{"c", 1, []string{"segment"}}, {"b", 2, []string{"y"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dependants (-want +got):\n%s", diff)
	}
}
