// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/testkit"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

func TestPluginTestReadsTheManifest(t *testing.T) {
	manifest := filepath.Join(t.TempDir(), "plugin.yaml")
	text := `apiVersion: mre.media/v1alpha1
kind: Plugin
metadata: {name: optimize}
spec:
  class: Optimizer
  mediaType: Audio
  dependsOn: [{name: detect}]
  runtime: {container: {image: "registry.example.com/optimize:v1", command: [python3], args: [-m, optimize],
    protocol: Exec, startTimeoutSeconds: 7}}
  configuration: {a: 1, b: "two"}
  outputs: [{name: Known, description: "what it is"}]
  policy: {timeoutSeconds: 9}
`
	if err := os.WriteFile(manifest, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := pluginTestFlags{manifest: manifest, configuration: []string{"b=2", "c=x=y"},
		o: testkit.Options{ChunkSeconds: 6, Chunks: 1, Timeout: 5 * time.Second}}
	if err := f.complete(nil); err != nil {
		t.Fatal(err)
	}
	want := api.PlanPlugin{
		Name: "optimize", Class: api.PlanPluginClassOptimizer, MediaType: api.PlanPluginMediaTypeAudio,
		DependsOn: []string{"detect"}, Outputs: []string{"Known"},
		OutputDescriptions: map[string]string{"Known": "what it is"},
		Configuration:      map[string]any{"a": 1.0, "b": 2.0, "c": "x=y"}, TimeoutSeconds: 5, MaxAttempts: 1,
	}
	if diff := cmp.Diff(want, f.o.Plugin); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"python3", "-m", "optimize"}, f.o.Command); diff != "" || !f.o.Exec ||
		f.o.Timeout != 5*time.Second || f.o.StartTimeout != 7*time.Second {
		t.Errorf("%s\n%+v", diff, f.o)
	}
}

// TestPluginTestReadsWhatImportWrites: of many documents, one Plugin is tested, and the others tell their names in MRE.
func TestPluginTestReadsWhatImportWrites(t *testing.T) {
	manifests := filepath.Join("..", "..", "internal", "mreimport", "testdata", "manifests.yaml")
	f := pluginTestFlags{manifest: manifests, name: "segment-goals", o: testkit.Options{ChunkSeconds: 6, Chunks: 1}}
	if err := f.complete([]string{"sh"}); err != nil {
		t.Fatal(err)
	}
	if f.o.Plugin.NameInMRE() != "SegmentGoals" || f.o.MRENames["detect-goals"] != "DetectGoals" {
		t.Errorf("%q, %v", f.o.Plugin.NameInMRE(), f.o.MRENames)
	}
	f = pluginTestFlags{manifest: manifests, name: "nobody", o: testkit.Options{ChunkSeconds: 6, Chunks: 1}}
	if err := f.complete([]string{"sh"}); err == nil || !strings.Contains(err.Error(), "no Plugin nobody") {
		t.Error(err)
	}
}

func TestPluginTestExits(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 2, Width: 160, Height: 90, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"broken":       {[]string{"--media", m.Path, "-o", "json", "--", "sh", "-c", "exit 7"}, errBroken.Error()},
		"nothing":      {[]string{"--media", m.Path}, "say what to test"},
		"class":        {[]string{"--media", m.Path, "--class", "Classifier", "--", "sh"}, "--class"},
		"pair":         {[]string{"--media", m.Path, "--configuration", "x", "--", "sh"}, "KEY=VALUE"},
		"form":         {[]string{"--media", m.Path, "-o", "yaml", "--", "sh"}, "json"},
		"chunks":       {[]string{"--media", m.Path, "--chunk-seconds", "1", "--", "sh"}, "--chunk-seconds"},
		"no recording": {[]string{"--", "sh"}, "media"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newPluginTestCommand()
			var out bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(&bytes.Buffer{})
			cmd.SilenceUsage, cmd.SilenceErrors = true, true
			cmd.SetArgs(tt.args)
			err := cmd.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v; want an error with %q", err, tt.want)
			}
			if errors.Is(err, errBroken) {
				var report testkit.Report
				if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Checks) != 1 ||
					!strings.Contains(report.Checks[0].Message, "exit code 7") {
					t.Errorf("%v in %s", err, out.String())
				}
			}
		})
	}
}
