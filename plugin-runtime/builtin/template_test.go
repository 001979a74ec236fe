// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestTemplate(t *testing.T) {
	reason := "Detected"
	seg := segmentAt("000001-0", 61*second+500_000, 70*second)
	seg.CloseReason = &reason
	seg.Attributes = map[string]any{"KeyMoment": true}
	deps := []api.PluginResults{
		{Plugin: "audio.v2", Track: 1, Results: []api.Result{
			resultAt(65*second, 66*second, map[string]any{"AudioPeak": true, "riseDb": 12.5}),
			resultAt(60*second, 62*second, map[string]any{"AudioPeak": true, "riseDb": 9.0}),
			resultAt(70*second, 72*second, map[string]any{"AudioPeak": true, "riseDb": 40.0}),
		}},
		{Plugin: "cuts", Results: []api.Result{resultAt(62*second, 62*second, map[string]any{"SceneChange": true})}},
	}
	tests := map[string]struct{ template, want string }{
		"times": {"{{.Start}} to {{.End}}, {{.Duration}}", "0:01:01.500 to 0:01:10.000, 0:00:08.500"},
		"count": {`{{.Count "audio.v2.AudioPeak"}} peaks, {{.Count "SceneChange"}} cuts, {{.Count "x.y"}}`,
			"2 peaks, 1 cuts, 0"},
		"first": {`{{.First "riseDb"}}{{.First "none"}}`, "9"},
		"max":   {`{{printf "%.1f dB" (.Max "audio.v2.riseDb")}}`, "12.5 dB"},
		"condition": {`{{if gt (.Max "riseDb") 10.0}}Big{{else}}Small{{end}} {{with .CloseReason}}{{.}}{{end}}`,
			"Big Detected"},
		"attributes": {"{{.Attributes.KeyMoment}}", "true"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			config := map[string]any{"template": tt.template}
			if err := (labelTemplate{}).Validate(config); err != nil {
				t.Fatal(err)
			}
			got, err := labelTemplate{}.Label(api.LabelerInput{Plugin: api.PlanPlugin{Configuration: config},
				Segments: []api.Segment{seg}, Dependencies: deps})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Label != tt.want || got[0].Code != codeSucceeded || got[0].SegmentID != seg.ID {
				t.Fatalf("got %+v, want %q", got, tt.want)
			}
		})
	}
}

func TestTemplateDefault(t *testing.T) {
	if err := (labelTemplate{}).Validate(nil); err != nil {
		t.Fatal(err)
	}
	got, err := labelTemplate{}.Label(api.LabelerInput{Segments: []api.Segment{segmentAt("a", 5*second, 9*second)}})
	if err != nil || got[0].Label != "Key moment at 0:00:05.000" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestTemplateValidate(t *testing.T) {
	for _, text := range []string{
		"{{.Start", "{{.NoSuchField}}", "{{nofunc 1}}", `{{.Count "a."}}`,
		"{{range 1000000000}}{{end}}", "{{if true}}{{range 9}}x{{end}}{{end}}",
		`{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`, `{{block "x" .}}{{end}}`,
		strings.Repeat("x", maxTemplate+1), `{{printf "%2000d" 1}}`,
	} {
		wantInvalid(t, labelTemplate{}, map[string]any{"template": text}, "configuration.template")
	}
	wantInvalid(t, labelTemplate{}, map[string]any{"template": 5}, "configuration.template")
	wantInvalid(t, labelTemplate{}, map[string]any{"text": "x"}, "configuration.text")
}
