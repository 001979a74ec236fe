// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing/fstest"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings a schema up to date. Replicas that start together take turns.
func migrate(ctx context.Context, d dialect, db *sql.DB) error {
	files, err := migrationsFor(d)
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	kind := goose.DialectSQLite3
	if d.name == postgresDialect.name {
		kind = goose.DialectPostgres
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120), lock.WithUnlockTimeout(1, 10))
		if err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(kind, db, files, options...)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

var textColumn = regexp.MustCompile(`\bTEXT\b`)

// migrationsFor are the migrations of an engine. Their text is the same, but
// for files whose name ends with the engine's, and for text in PostgreSQL: it
// is compared byte by byte, as in SQLite and in Go, whatever the database's
// locale says.
func migrationsFor(d dialect) (fs.FS, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	out := fstest.MapFS{}
	for _, name := range names {
		if strings.HasSuffix(name, "_postgres.sql") && d.name != postgresDialect.name {
			continue
		}
		body, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if d.name == postgresDialect.name {
			body = textColumn.ReplaceAll(body, []byte(`TEXT COLLATE "C"`))
		}
		out[strings.TrimPrefix(name, "migrations/")] = &fstest.MapFile{Data: body, Mode: 0o444, ModTime: time.Unix(0, 0)}
	}
	return out, nil
}
