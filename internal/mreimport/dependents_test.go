// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// imports imports one text, and gives its Plugins by name.
func imports(t *testing.T, text, template string) (map[string]*mrev1.Plugin, string) {
	t.Helper()
	documents, err := Parse("x.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Import(documents, Options{ImageTemplate: template})
	if err != nil {
		t.Fatal(err)
	}
	plugins := map[string]*mrev1.Plugin{}
	for _, o := range got.Objects {
		if p, ok := o.(*mrev1.Plugin); ok {
			plugins[p.Name] = p
		}
	}
	return plugins, strings.Join(got.Warnings, "\n")
}

func profileWith(name string, dependents ...string) string {
	var list []string
	for _, d := range dependents {
		list = append(list, fmt.Sprintf(`{"Name": %q, "DependentFor": ["S"]}`, d))
	}
	return fmt.Sprintf(`{"Name": %q, "ChunkSize": 20, "Classifier": {"Name": "S", "DependentPlugins": [%s]}}`,
		name, strings.Join(list, ", "))
}

// TestDependenciesOfProfiles: what a profile says of dependencies, and their order, is the Plugin's.
func TestDependenciesOfProfiles(t *testing.T) {
	const segmenter = `{"Name": "S", "Class": "Classifier", "ExecutionType": "Sync", "DependentPlugins": ["A", "B"]}`
	for name, tt := range map[string]struct {
		profiles []string
		want     []string
		warns    string
	}{
		"no profile":             {nil, []string{"a", "b"}, ""},
		"the profile's order":    {[]string{profileWith("P", "B", "A")}, []string{"b", "a"}, ""},
		"only the profile names": {[]string{profileWith("P", "C", "B", "A")}, []string{"c", "b", "a"}, ""},
		"profiles that agree": {[]string{profileWith("P", "B", "A"), profileWith("Q", "B", "C", "A")},
			[]string{"b", "a", "c"}, ""},
		"profiles that do not": {[]string{profileWith("P", "B", "A"), profileWith("Q", "A", "B")}, []string{"b", "a"},
			`DependentPlugins: names what the plugin "S" depends on in the order ["A" "B"]`},
	} {
		t.Run(name, func(t *testing.T) {
			plugins, warnings := imports(t, "["+strings.Join(append([]string{segmenter}, tt.profiles...), ",")+"]", template)
			var got []string
			for _, d := range plugins["s"].Spec.DependsOn {
				got = append(got, d.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("dependsOn (-want +got):\n%s", diff)
			}
			if strings.Contains(warnings, "DependentPlugins") != (tt.warns != "") || !strings.Contains(warnings, tt.warns) {
				t.Errorf("it warns: %s", warnings)
			}
		})
	}
}

// TestImageOfHandler: one function that is registered as two plugins has one image.
func TestImageOfHandler(t *testing.T) {
	const sample = `{"Lambda": {"Handler": %q}, "MRE": {"Plugin": {"Name": %q, "Class": ` +
		`"Featurer", "ExecutionType": "Sync"}}}`
	const body = `{"Name": %q, "Class": "Featurer", "ExecutionType": "Sync", "ExecuteLambdaQualifiedARN": %q}`
	plugins, warnings := imports(t, "["+strings.Join([]string{
		fmt.Sprintf(sample, "DetectAudioPeaks.lambda_handler", "DetectPeaksLeft"),
		fmt.Sprintf(sample, "DetectAudioPeaks.lambda_handler", "DetectPeaksRight"),
		fmt.Sprintf(body, "FromTheAPI", "arn:aws:lambda:us-east-1:123456789012:function:DetectFaces:$LATEST"),
		fmt.Sprintf(body, "Unknown", ""),
	}, ",")+"]", "registry.example.com/{handler}/{name}:v1")
	for name, want := range map[string]string{
		"detect-peaks-left":  "registry.example.com/detect-audio-peaks/detect-peaks-left:v1",
		"detect-peaks-right": "registry.example.com/detect-audio-peaks/detect-peaks-right:v1",
		"from-the-api":       "registry.example.com/detect-faces/from-the-api:v1",
		"unknown":            "registry.example.com/unknown/unknown:v1",
	} {
		if got := plugins[name].Spec.Runtime.Container.Image; got != want {
			t.Errorf("the image of %s is %s, want %s", name, got, want)
		}
	}
	if !strings.Contains(warnings, "{handler} in the name of the image becomes the Plugin's name, unknown") {
		t.Errorf("it warns: %s", warnings)
	}
}
