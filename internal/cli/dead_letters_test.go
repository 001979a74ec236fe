// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

// TestEqualDeadLettersAreOne: seven that are equal are one row, and a stack stays a stack.
func TestEqualDeadLettersAreOne(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	stack := "plugin segment: ValueError: no goal in sight\n  File \"/var/task/Segment.py\", line 30, in " +
		"lambda_handler\n    find(results)"
	var dead []api.Task
	letter := func(chunk int64, text string) {
		n := len(dead)
		dead = append(dead, api.Task{ID: int64(31 + n), Kind: api.TaskKindFeaturer, Plugin: "crowd", Chunk: chunk,
			State: api.TaskStateFailed, Attempts: 3, MaxAttempts: 3, Error: &text,
			FinishedAt: new(now.Add(time.Duration(n-10) * time.Minute))})
	}
	for _, chunk := range []int64{4, 2, 3, 9, 11, 12, 13} {
		letter(chunk, stack)
	}
	letter(5, "plugin crowd: the model is away")
	var out bytes.Buffer
	if err := deadLetterTable(dead, now).Write(&out, terminal.Palette{}, 0); err != nil {
		t.Fatal(err)
	}
	want := `TASK    WHAT             CHUNK           FAILURES   GAVE UP
31 +6   featurer crowd   2-4, 9, 11-13   3/3        4m ago
    plugin segment: ValueError: no goal in sight
      File "/var/task/Segment.py", line 30, in lambda_handler
        find(results)
38      featurer crowd   5               3/3        3m ago
    plugin crowd: the model is away
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAbridged(t *testing.T) {
	var lines []string
	for i := range 20 {
		lines = append(lines, fmt.Sprintf("line %d", i))
	}
	got := abridged(strings.Join(lines, "\n"))
	if want := "line 0\nline 1\nline 2\n… 12 more lines …\nline 15\nline 16\nline 17\nline 18\nline 19"; got != want {
		t.Error(got)
	}
	if short := strings.Join(lines[:9], "\n"); abridged(short) != short {
		t.Error("one line is left out in exchange for one")
	}
}
