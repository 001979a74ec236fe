// SPDX-License-Identifier: Apache-2.0

package ffmpeg

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// waitChild waits until a process has a child called ffmpeg and returns its id.
func waitChild(t *testing.T, parent int) int {
	t.Helper()
	for range 200 {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			raw, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			var pid int
			open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
			if open < 0 || end < open || string(raw[open+1:end]) != "ffmpeg" {
				continue
			}
			fields := strings.Fields(string(raw[end+1:]))
			if ppid, _ := strconv.Atoi(fields[1]); ppid != parent {
				continue
			}
			if _, err := fmt.Sscan(string(raw), &pid); err == nil {
				return pid
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no ffmpeg child appeared")
	return 0
}

// isZombie says whether a process has ended but was not reaped: an init that
// does not reap must not fail the test.
func isZombie(pid int) bool {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.HasPrefix(string(raw[bytes.LastIndexByte(raw, ')')+1:]), " Z")
}
