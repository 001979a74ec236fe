// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/dataplane/store/pgtest"
)

// tables is how an engine lists what there is.
var tables = map[string]string{
	"sqlite": `SELECT name FROM sqlite_master WHERE type = 'table'`,
	"pgx":    `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`,
}

// engine is the driver of the runs' databases.
func engine() string {
	if *onPG {
		return "pgx"
	}
	return "sqlite"
}

// newDatabase is a database for one run, in which nothing has happened yet: a file, or one on a PostgreSQL server.
// Its schema is there: it is a copy of one that was made once.
func newDatabase(t testing.TB) string {
	t.Helper()
	if *onPG {
		// These tests end processes, not machines.
		return pgtest.Database(t, migrate) + "&options=-c%20synchronous_commit%3Doff"
	}
	body, err := migratedFile()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dataplane.db")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// migratedFile is a SQLite database with a schema.
var migratedFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "migrated-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "dataplane.db")
	if err := migrate(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// migrate makes the schema. A copy must not find that somebody was alive a moment ago.
func migrate(address string) error {
	ctx := context.Background()
	rows, err := store.Open(ctx, address, store.Options{})
	if err != nil {
		return err
	}
	if err := rows.Close(); err != nil {
		return err
	}
	db, err := sql.Open(engine(), address)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `UPDATE counters SET value = 0 WHERE name = 'alive'`)
	return errors.Join(err, db.Close())
}

// openSide opens a database beside the data plane.
func openSide(t testing.TB, database string) *sql.DB {
	t.Helper()
	if !*onPG {
		database += "?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(engine(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
