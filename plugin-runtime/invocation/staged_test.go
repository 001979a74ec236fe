// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"strings"
	"testing"
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
	run = testRun(t, "scenes", 2, nil)
	for i := range int64(maxResults + 1) {
		run.Save([]Reported{{Span: Span{StartMillis: i}}})
	}
	if err := run.Reserve(1); err == nil {
		t.Error("more results than the data plane takes were let in")
	}
}
