// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"net/http"
	"strings"
	"testing"
)

// TestWhatBecomesOfResultsIsKept looks at what people are told of results that were refused, merged or changed: the
// plugin itself may not care, and its pod is gone soon.
func TestWhatBecomesOfResultsIsKept(t *testing.T) {
	w := newWorld(t, testPlan())
	w.ingest(t, eventUID, 1, 1, 1)
	others := says(nil)
	save := func(results string) string {
		return scoped(`"PluginName":"scenes","PluginClass":"Featurer","Results":` + results)
	}
	w.work(map[string]handler{"noise": others, "volley": others, "moments": others, "cutter": others, "namer": others,
		"scenes": func(p *port, _ []byte) ([]byte, error) {
			expect(t, p.url, []request{
				{call: "POST plugin/result", body: save(`[{"Start":5,"End":3,"Label":"backwards"}]`)},
				{call: "POST plugin/result", body: save(`[{"Start":5,"End":6,"Label":"again"}]`)},
				{call: "POST plugin/result", body: save(`[{"Start":4,"End":2}]`)},
				{call: "POST plugin/result", body: save(`[{"Start":"soon"}]`), status: http.StatusBadRequest},
			})
			return answer("[]"), nil
		}})
	detail, err := w.manager.ExplainChunk(t.Context(), eventUID, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a second result starts at 5 s", "the call POST plugin/result was refused: ValidationError: " +
		"Results[0]: Start is \"soon\"", "the result at 4 s ends before it starts"}
	for _, task := range detail.Tasks {
		if task.Task.Plugin != "scenes" {
			if len(task.Notes) > 0 {
				t.Errorf("%s: %q", task.Task.Plugin, task.Notes)
			}
			continue
		}
		if len(task.Notes) != len(want) {
			t.Fatalf("notes %q", task.Notes)
		}
		for i, n := range task.Notes {
			if !strings.HasPrefix(n, want[i]) {
				t.Errorf("note %d: %q, want %q", i, n, want[i])
			}
		}
	}
}
