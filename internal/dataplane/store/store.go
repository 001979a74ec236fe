// SPDX-License-Identifier: Apache-2.0

// Package store keeps what the data plane knows of Events: their plans, units,
// chunks, tasks, plugin results, segments, clips, Replays and reels.
//
// Every verb is one transaction that is durable when it returns. A verb may be
// repeated: the second time it changes nothing. Work is handed out by leases,
// and a lease's token fences its holder: what a worker that lost its lease
// writes is refused.
//
// Everything a verb wakes (the tasks whose predecessors are terminal, the
// segments that close, the clips whose marks are final, the Event's end)
// happens in the same transaction, so no crash leaves work that nobody starts.
package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"k8s.io/utils/clock"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// defaultLease is how long a worker may be silent before its task is given to
// another.
const defaultLease = 60 * time.Second

// readers bounds the connections that only read.
const readers = 4

// Options of a store. The zero value is usable.
type Options struct {
	// Clock is the database's clock. Time-outs are compared with it alone.
	Clock clock.PassiveClock
	// LeaseDuration is how long a task stays with a silent holder.
	LeaseDuration time.Duration
	// Location turns an object's key into the s3:// location that people see.
	// Without it they see the key.
	Location func(key string) string
	// Connector, when set, stands between the store and the driver of its database: for tracing, and for tests in
	// which statements fail.
	Connector func(driver.Connector) driver.Connector

	// synchronous is SQLite's pragma. FULL, the default, makes a commit survive
	// a power cut; tests that only kill processes do without.
	synchronous string
}

// Store is an open database.
type Store struct {
	writer, reader *sql.DB
	writes, reads  *statements
	clock          clock.PassiveClock
	lease          time.Duration
	location       func(string) string
	hints          hints
	// plans holds compiled plans by Event UID and hash; a plan never changes.
	plans sync.Map
}

// Open opens or creates the SQLite database in the file at path and brings its
// schema up to date. Only one process may have it open.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	s := &Store{clock: opts.Clock, lease: opts.LeaseDuration, location: opts.Location}
	if s.clock == nil {
		s.clock = clock.RealClock{}
	}
	if s.lease <= 0 {
		s.lease = defaultLease
	}
	if s.location == nil {
		s.location = func(key string) string { return key }
	}
	var err error
	if s.writer, err = openSQLite(path, "immediate", opts, 1); err != nil {
		return nil, err
	}
	if s.reader, err = openSQLite(path, "deferred", opts, readers); err != nil {
		return nil, errors.Join(err, s.writer.Close())
	}
	s.writes, s.reads = &statements{db: s.writer}, &statements{db: s.reader}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", path, err), s.Close())
	}
	return s, nil
}

// openSQLite opens a pool. SQLite has one writer, so the writing pool has one
// connection and its transactions take the lock when they begin.
func openSQLite(path, lock string, opts Options, connections int) (*sql.DB, error) {
	synchronous := opts.synchronous
	if synchronous == "" {
		synchronous = "FULL"
	}
	q := url.Values{"_txlock": {lock}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(1)", "temp_store(MEMORY)",
	}}
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("open the database %s: %w", path, err)
	}
	if opts.Connector != nil {
		db = sql.OpenDB(opts.Connector(dsnConnector{db.Driver(), name}))
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// start migrates, and gives every lease its full time again: a worker could
// not heartbeat while the data plane was down.
func (s *Store) start(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.writer, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	expires := s.now() + s.lease.Microseconds()
	_, err = s.writer.ExecContext(ctx, `UPDATE tasks SET lease_expires_at = $1 WHERE state = 'leased' AND lease_expires_at < $1`, expires)
	return err
}

// Close closes the database.
func (s *Store) Close() error { return errors.Join(s.reader.Close(), s.writer.Close()) }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	return s.reader.QueryRowContext(ctx, `SELECT 1`).Scan(&one)
}

// now is the database's clock in microseconds.
func (s *Store) now() int64 { return s.clock.Now().UnixMicro() }
