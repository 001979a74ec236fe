// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

// A real API server takes every manifest as it stands.
func TestAPIServerTakesThem(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal(`KUBEBUILDER_ASSETS is not set: this test needs a real kube-apiserver and etcd. Run it with "make test"`)
	}
	manifests, _ := imported(t)
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")},
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
	for text := range strings.SplitSeq(manifests, "---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			t.Fatal(err)
		}
		object.SetNamespace("default")
		kinds[object.GetKind()]++
		if err := cluster.Create(t.Context(), &object, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	for _, kind := range []string{"ConfigMap", "Model", "Plugin", "Profile", "Event"} {
		if kinds[kind] == 0 {
			t.Errorf("no %s came out: %v", kind, kinds)
		}
	}
}
