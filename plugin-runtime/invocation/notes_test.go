// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Notes keep their order and stay within what the data plane takes, however often a run says them.
func TestNotesAreBounded(t *testing.T) {
	run := testRun(t, "scenes", 2, nil)
	if got := run.Told(nil); len(got) != 0 {
		t.Errorf("nothing was noted: %q", got)
	}
	run.Note("the first of %d", 2)
	if got := run.Told([]string{"at the end", strings.Repeat("ä", api.MaxNote)}); len(got) != 3 ||
		got[0] != "the first of 2" || got[1] != "at the end" ||
		len(got[2]) > api.MaxNote || !strings.HasSuffix(got[2], "ä…") {
		t.Errorf("%q", got)
	}
	for i := range 2 * api.MaxNotes {
		run.Note("note %d", i)
	}
	// 2001 notes, and 2 at the end: 999 stay.
	got := run.Told([]string{"a", "b"})
	if last := got[len(got)-1]; len(got) != api.MaxNotes || got[1] != "note 0" ||
		last != fmt.Sprintf("%d more of this kind", 2003-999) {
		t.Errorf("%d notes, the last one %q", len(got), last)
	}
}
