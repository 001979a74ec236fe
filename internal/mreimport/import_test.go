// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what comes out to testdata")

const template = "registry.example.com/{name}:v1"

// imported is what comes of a folder with one of everything, and of what it warns.
func imported(t *testing.T) (string, string) {
	t.Helper()
	documents, warnings, err := Read([]string{filepath.Join("testdata", "mre")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Import(documents, Options{ImageTemplate: template})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(&out, got.Objects); err != nil {
		t.Fatal(err)
	}
	return out.String(), strings.Join(append(warnings, got.Warnings...), "\n") + "\n"
}

func TestFolder(t *testing.T) {
	manifests, warnings := imported(t)
	for file, got := range map[string]string{"manifests.yaml": manifests, "warnings.txt": warnings} {
		path := filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s:\n%s", file, diff)
		}
	}
	if strings.Contains(manifests+warnings, "hunter2") {
		t.Error("a password is in what comes out")
	}
}

const plugin = `{"Name": "P", "Class": "Featurer", "ExecutionType": "Sync", "ContentGroups": ["c"], ` +
	`"SupportedMediaType": "Video"}`

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		text, template, want string
	}{
		"no image":        {plugin, "", "--image-template"},
		"no class":        {strings.Replace(plugin, "Featurer", "Detector", 1), template, `Class is "Detector"`},
		"no model":        {strings.Replace(plugin, `"Sync"`, `"SyncModel"`, 1), template, "ModelEndpoints is empty"},
		"no name":         {strings.Replace(plugin, `"P"`, `""`, 1), template, "Name is empty"},
		"something else":  {`{"apiVersion": "v1"}`, template, "none of MRE's documents"},
		"a number":        {`7`, template, "none of MRE's documents"},
		"a wrapped other": {`{"MRE": {"Workflow": {}}}`, template, "none of MRE's documents"},
		"no classifier":   {`{"Name": "P", "Classifier": {}, "ChunkSize": 5}`, template, "Classifier is empty"},
		"no time":         {`{"Name": "E", "Program": "P", "Profile": "F", "Start": "noon"}`, template, `Start is "noon"`},
		"two texts": {`[{"Name": "T", "Template": "a"}, {"Name": "T", "Template": "b"}]`,
			template, "another text of version v1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			documents, err := Parse("x.json", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = Import(documents, Options{ImageTemplate: tt.template})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "x.json") {
				t.Errorf("%v; want an error with x.json and %q", err, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for original, want := range map[string]string{
		"DetectCameraScene":    "detect-camera-scene",
		"BasicGenAINews":       "basic-gen-ai-news",
		"DetectPassThrough100": "detect-pass-through100",
		"Open 2026 (Final)":    "open-2026-final",
		"already-a-label":      "already-a-label",
		"決勝":                   "x-8028f6",
		"A name that is much longer than the forty characters": "a-name-that-is-much-longer-than-t-b3bbcc",
	} {
		n := newNames()
		n.learn(kindPlugin, original)
		if got := n.of(kindPlugin, original); got != want || len(got) > maxName {
			t.Errorf("%q is %q, want %q", original, got, want)
		}
	}
	// Names that would be one are told apart, whichever comes first; those of another kind are none of theirs.
	n := newNames()
	n.learn(kindPlugin, "Detect Goals")
	n.learn(kindPlugin, "DetectGoals")
	n.learn(kindModel, "DetectGoals")
	a, b, c := n.of(kindPlugin, "Detect Goals"), n.of(kindPlugin, "DetectGoals"), n.of(kindModel, "DetectGoals")
	if a == b || a == "detect-goals" || b == "detect-goals" || c != "detect-goals" {
		t.Error(a, b, c)
	}
}

func TestNumbersStayNumbers(t *testing.T) {
	documents, err := Parse("x.json", []byte(strings.Replace(plugin, `"ContentGroups"`,
		`"Configuration": {"a": 0, "b": "0", "c": 1.5, "d": 90071992547409931, "e": "yes", "f": "1e3"}, "ContentGroups"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Import(documents, Options{ImageTemplate: template})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(&out, got.Objects); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(out.String(), "  configuration:\n")
	lines := strings.Join(strings.Split(rest, "\n")[:6], "\n")
	want := "    a: 0\n    b: \"0\"\n    c: 1.5\n    d: 90071992547409931\n    e: \"yes\"\n    f: \"1e3\""
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}
