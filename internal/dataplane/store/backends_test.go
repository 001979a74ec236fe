// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	flags "flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/store/pgtest"
)

// backend is the engine that the tests run on now.
var backend = sqliteDialect.name

// TestMain runs every test on each engine: what a verb does must not depend on
// where the rows are. Fuzzing, which never ends by itself, has the first alone.
func TestMain(m *testing.M) {
	flags.Parse()
	backends := []string{sqliteDialect.name, postgresDialect.name}
	if flags.Lookup("test.fuzz").Value.String() != "" {
		backends = backends[:1]
	}
	code := 0
	for _, backend = range backends {
		if c := m.Run(); c != 0 {
			fmt.Fprintln(os.Stderr, "these tests failed on", backend)
			code = c
		}
	}
	os.Exit(code)
}

// database is an empty database of the backend. Its commits do not wait for the
// disk, on both engines alike: these tests end processes, not machines.
func database(t testing.TB) string {
	t.Helper()
	if backend == sqliteDialect.name {
		return filepath.Join(t.TempDir(), "store.db")
	}
	address := pgtest.Database(t, func(address string) error {
		s, err := Open(context.Background(), address, Options{})
		if err != nil {
			return err
		}
		// A copy must not find that somebody was alive a moment ago.
		if _, err := s.writer.Exec(`UPDATE counters SET value = 0 WHERE name = 'alive'`); err != nil {
			return err
		}
		return s.Close()
	})
	return address + "&options=-c%20synchronous_commit%3Doff"
}

// repetitions are fewer where each commit waits for a disk and a server.
func repetitions(n int) int {
	if backend == postgresDialect.name {
		return max(n/10, 1)
	}
	return n
}
