// SPDX-License-Identifier: Apache-2.0

// Package samples tests that a real API server and the built-in plugins take
// every manifest that users are shown: the samples and the examples in docs.
package samples

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/plugin-runtime/builtin"
)

func TestManifests(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal(`KUBEBUILDER_ASSETS is not set: this test needs a real kube-apiserver and etcd. Run it with "make test"`)
	}
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "crd", "bases")},
		ErrorIfCRDPathMissing: true}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	cluster, err := client.New(config, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, m := range append(samples(t), examples(t)...) {
		t.Run(m.file, func(t *testing.T) {
			var object unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(m.text), &object.Object); err != nil {
				t.Fatalf("%v in\n%s", err, m.text)
			}
			kinds[object.GetKind()]++
			object.SetNamespace("default")
			if err := cluster.Create(t.Context(), object.DeepCopy(), client.DryRunAll,
				client.FieldValidation("Strict")); err != nil {
				t.Fatal(err)
			}
			if object.GetKind() == "Plugin" {
				checkPlugin(t, object)
			}
		})
	}
	for _, kind := range []string{"Plugin", "Model", "Profile", "Event", "Replay"} {
		if kinds[kind] < 2 {
			t.Errorf("%d manifests of kind %s, want one in the samples and one in docs", kinds[kind], kind)
		}
	}
}

// checkPlugin asks the built-in whether it takes the configuration, and whether
// the outputs that the manifest describes exist.
func checkPlugin(t *testing.T, object unstructured.Unstructured) {
	var plugin mrev1.Plugin
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &plugin); err != nil {
		t.Fatal(err)
	}
	if plugin.Spec.Runtime.Container != nil {
		// Only the plugin itself knows its settings.
		return
	}
	b, ok := builtin.Lookup(plugin.Spec.Runtime.Builtin.Name)
	if !ok {
		t.Fatalf("there is no built-in plugin %s", plugin.Spec.Runtime.Builtin.Name)
	}
	if string(b.Class()) != string(plugin.Spec.Class) {
		t.Errorf("class is %s, the built-in is a %s", plugin.Spec.Class, b.Class())
	}
	configuration := map[string]any{}
	if c := plugin.Spec.Configuration; c != nil {
		if err := yaml.Unmarshal(c.Raw, &configuration); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Validate(configuration); err != nil {
		t.Error(err)
	}
	for _, o := range plugin.Spec.Outputs {
		if !slices.Contains(b.Outputs(), o.Name) {
			t.Errorf("output %s is none of the built-in's: %v", o.Name, b.Outputs())
		}
	}
}

// manifest is one object and where it stands.
type manifest struct{ file, text string }

func samples(t *testing.T) []manifest {
	var list []manifest
	for _, file := range files(t, "*.yaml") {
		if file == "kustomization.yaml" {
			continue
		}
		for text := range strings.SplitSeq(read(t, file), "\n---\n") {
			list = append(list, manifest{file, text})
		}
	}
	return list
}

// examples are the blocks of YAML on the pages of the kinds and the plugins.
func examples(t *testing.T) []manifest {
	var list []manifest
	for _, file := range files(t, filepath.Join("..", "..", "docs", "*", "*.md")) {
		for i, part := range strings.Split(read(t, file), "```yaml\n") {
			if i > 0 {
				text, _, _ := strings.Cut(part, "```")
				list = append(list, manifest{filepath.Base(file), text})
			}
		}
	}
	return list
}

func files(t *testing.T, pattern string) []string {
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return found
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
