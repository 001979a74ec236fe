// SPDX-License-Identifier: Apache-2.0

// Package tools_test tests the scripts beside it.
package tools_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// aptGet notes what it is called with and what PostgreSQL's packages would read while it runs. It fails as often as
// it is told to.
const aptGet = `#!/bin/sh
echo "$1 $(cat "$MRE_CREATECLUSTER"/*.conf 2>/dev/null | tr '\n' ' ')" >>"$CALLS"
[ "$1" = update ] || [ "$(grep -c ^install "$CALLS")" -gt "$FAILURES" ]
`

// PostgreSQL's packages make and start a server of their own, unless they are told not to when they are installed.
func TestPackagesStartNoServer(t *testing.T) {
	const quiet = "create_main_cluster = false"
	for name, tc := range map[string]struct {
		programs []string
		failures string
		// theirs is a setting that somebody else has made.
		theirs string
		calls  []string
		fails  bool
	}{
		"nothing missing": {programs: []string{"sh:dash"}},
		"another package": {programs: []string{"no-such-ffmpeg:ffmpeg"}, calls: []string{"install"}},
		"a server": {programs: []string{"sh:dash", "/no/such/postgres:postgresql-15"},
			calls: []string{"install " + quiet}},
		"a server, and more": {programs: []string{"no-such-ffmpeg:ffmpeg", "/no/such/postgres:postgresql-15"},
			calls: []string{"install " + quiet}},
		"lists that are old": {programs: []string{"/no/such/postgres:postgresql-15"}, failures: "1",
			calls: []string{"install " + quiet, "update " + quiet, "install " + quiet}},
		"no such package": {programs: []string{"/no/such/postgres:postgresql-15"}, failures: "9",
			calls: []string{"install " + quiet, "update " + quiet, "install " + quiet}, fails: true},
		"settings are theirs": {programs: []string{"/no/such/postgres:postgresql-15"}, theirs: "ssl = on",
			calls: []string{"install " + quiet + " ssl = on"}},
		"a server that is here": {programs: []string{"/bin/sh:postgresql-15"}, theirs: "ssl = on"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			settings, calls, bin := filepath.Join(dir, "etc", "createcluster.d"),
				filepath.Join(dir, "calls"), filepath.Join(dir, "bin")
			write(t, filepath.Join(dir, "etc-is-never-empty"), "")
			write(t, filepath.Join(bin, "apt-get"), aptGet)
			write(t, filepath.Join(bin, "id"), "#!/bin/sh\necho 0\n")
			if tc.theirs != "" {
				write(t, filepath.Join(settings, "theirs.conf"), tc.theirs+"\n")
			}
			failures := tc.failures
			if failures == "" {
				failures = "0"
			}
			run := exec.Command("./packages", tc.programs...)
			run.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"),
				"MRE_CREATECLUSTER="+settings, "CALLS="+calls, "FAILURES="+failures)
			if said, err := run.CombinedOutput(); (err != nil) != tc.fails {
				t.Fatalf("%v: %s", err, said)
			}
			body, err := os.ReadFile(calls)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(string(body)) {
				got = append(got, strings.TrimSpace(line))
			}
			if strings.Join(got, "; ") != strings.Join(tc.calls, "; ") {
				t.Errorf("apt-get was called %q, want %q", got, tc.calls)
			}
			left, err := os.ReadDir(settings)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if want := len(tc.theirs) > 0; want != (len(left) == 1) || !want && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
