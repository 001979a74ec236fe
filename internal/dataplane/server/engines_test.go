// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/dataplane/store/pgtest"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

// postgres says on which engine the tests run now.
var postgres bool

// engines runs every test on SQLite and on PostgreSQL: what the API answers must not depend on where the rows are.
type engines struct{ *testing.M }

func (e engines) Run() int {
	code := 0
	for _, postgres = range []bool{false, true} {
		if c := e.M.Run(); c != 0 {
			fmt.Fprintf(os.Stderr, "these tests failed, on PostgreSQL: %t\n", postgres)
			code = c
		}
	}
	return code
}

func TestMain(m *testing.M) { os.Exit(storetest.Main(engines{m})) }

// database is an empty database of the engine.
func database(t *testing.T) string {
	t.Helper()
	if !postgres {
		return filepath.Join(t.TempDir(), "dataplane.db")
	}
	// Its commits do not wait for the disk: these tests end processes, not machines.
	return pgtest.Database(t, func(address string) error {
		rows, err := store.Open(context.Background(), address, store.Options{})
		if err != nil {
			return err
		}
		return rows.Close()
	}) + "&options=-c%20synchronous_commit%3Doff"
}
