// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// A plugin that goes astray may not fill the agent's memory.
func TestReserve(t *testing.T) {
	run := testRun(t, "scenes", 2, nil)
	for i := range 48 {
		if err := run.Reserve(1 << 20); err != nil {
			t.Fatalf("after %d MiB: %v", i, err)
		}
	}
	if err := run.Reserve(1); err == nil || !strings.Contains(err.Error(), "48 MiB") {
		t.Errorf("more than 48 MiB: %v", err)
	}
}

// What the data plane would refuse is refused where the plugin hears of it, and takes nothing else with it.
func TestSaveBounds(t *testing.T) {
	run := testRun(t, "scenes", 2, nil)
	at := func(ms int64) []Reported { return []Reported{{Span: Span{StartMillis: ms}}} }
	for i := range int64(api.MaxResults) {
		if err := run.Save(at(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := run.Save(at(0)); err != nil {
		t.Errorf("one in the place of another: %v", err)
	}
	if err := run.Save(append(at(20_000), at(5)...)); err == nil || !strings.Contains(err.Error(), "10001 results") {
		t.Errorf("one more: %v", err)
	}
	for name, astray := range map[string]Span{
		"far ahead": {StartMillis: 1e15}, "far behind": {StartMillis: -1e6},
		"ends far ahead": {StartMillis: 7, EndMillis: new(int64(1e7))},
	} {
		if err := run.Save([]Reported{{Span: astray}}); err == nil ||
			!strings.Contains(err.Error(), "more than 10 minutes away") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := run.Save([]Reported{{Span: Span{StartMillis: 3, EndMillis: new(int64(-1e7))}}}); err != nil {
		t.Errorf("an end that does not count: %v", err)
	}
	if err := run.Save([]Reported{{Span: Span{StartMillis: 3},
		Fields: map[string]any{"Blob": strings.Repeat("x", 300<<10)}}}); err == nil ||
		!strings.Contains(err.Error(), "Results[0]: its attributes take") {
		t.Errorf("attributes beyond bounds: %v", err)
	}
	if n := len(run.Saved()); n != api.MaxResults {
		t.Errorf("%d results are saved", n)
	}
}
