// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarks(t *testing.T) {
	m := &marks{}
	in := strings.Join([]string{
		"spec:",
		"  replicas: " + m.value("{{ .Values.n }}"),
		"  args:",
		"  - --bucket=" + m.value("{{ .Values.bucket }}"),
		"  - " + m.line("{{- if .Values.x }}", "- --x", "{{- end }}"),
		"  resources: " + m.block(".Values.r"),
	}, "\n")
	want := strings.Join([]string{
		"spec:",
		"  replicas: {{ .Values.n }}",
		"  args:",
		"  - --bucket={{ .Values.bucket }}",
		"  {{- if .Values.x }}",
		"  - --x",
		"  {{- end }}",
		"  resources: {{- toYaml .Values.r | nindent 4 }}",
	}, "\n")
	if d := cmp.Diff(want, m.replace(in)); d != "" {
		t.Errorf("replaced (-want +got):\n%s", d)
	}
}

func TestApply(t *testing.T) {
	fresh := func() object {
		return object{"kind": "Deployment", "spec": map[string]any{"containers": []any{
			map[string]any{"name": "a", "image": "x"}, map[string]any{"name": "b", "image": "y"}}}}
	}
	for field, want := range map[string]string{
		"spec.containers.[name=b].image": "",
		"spec.containers.0.image":        "",
		"spec.containers.[name=c].image": "no item [name=c]",
		"spec.volumes.0":                 "no spec.volumes",
		"kind.of":                        "neither a map nor a list",
	} {
		o := fresh()
		err := edit{object: "Deployment/x", field: field, make: func(*marks, any) any { return "z" }}.apply(o, &marks{})
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", field, err)
			}
			if cmp.Equal(o, fresh()) {
				t.Errorf("%s changed nothing", field)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", field, err, want)
		}
	}
}

func TestGenerateRefusesWhatItDoesNotKnow(t *testing.T) {
	if _, err := generate(strings.NewReader("")); err == nil {
		t.Error("no manifests are taken for a chart")
	}
	if _, err := generate(strings.NewReader("kind: Namespace\nmetadata: {name: x}\n")); err == nil ||
		!strings.Contains(err.Error(), "matches nothing") {
		t.Errorf("edits that match nothing go unnoticed: %v", err)
	}
}
