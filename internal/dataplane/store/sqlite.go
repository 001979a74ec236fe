// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// readers bounds the connections that only read.
const readers = 4

// openSQLite opens a file. Only one process may have it open.
func (s *Store) openSQLite(ctx context.Context, path string, opts Options) error {
	s.dialect = sqliteDialect
	var err error
	if s.writer, err = sqlitePool(path, "immediate", opts, 1); err != nil {
		return err
	}
	reader, err := sqlitePool(path, "deferred", opts, readers)
	if err != nil {
		return err
	}
	s.reader = &pool{db: reader}
	s.reads = &statements{db: reader}
	s.snapshot = &sql.TxOptions{ReadOnly: true}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	c := newCommitter(s, &statements{db: s.writer})
	s.apply = c.apply
	s.stops = append(s.stops, c.stop)
	return nil
}

// sqlitePool opens a pool. SQLite has one writer, so the writing pool has one
// connection and its transactions take the lock when they begin.
func sqlitePool(path, lock string, opts Options, connections int) (*sql.DB, error) {
	synchronous := opts.synchronous
	if synchronous == "" {
		synchronous = "FULL"
	}
	q := url.Values{"_txlock": {lock}, "_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")",
		"foreign_keys(1)", "temp_store(MEMORY)",
	}}
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	db, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, fmt.Errorf("find the driver: %w", err)
	}
	if opts.Connector != nil {
		db = sql.OpenDB(opts.Connector(dsnConnector{db.Driver(), name}))
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}
