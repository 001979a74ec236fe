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
//
// Two engines keep the rows, with the same SQL text: SQLite, a file that one
// process has open, and PostgreSQL, which any number of replicas share. What
// differs is in dialect.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// defaultLease is how long a worker may be silent before its task is given to
// another.
const defaultLease = 60 * time.Second

// Options of a store. The zero value is usable.
type Options struct {
	// Clock is this machine's clock. With PostgreSQL and a real one, time-outs
	// are compared with the server's clock, which replicas share.
	Clock clock.PassiveClock
	// LeaseDuration is how long a task stays with a silent holder.
	LeaseDuration time.Duration
	// Location turns an object's key into the s3:// location that people see.
	// Without it they see the key.
	Location func(key string) string

	// synchronous is SQLite's pragma. FULL, the default, makes a commit survive
	// a power cut; tests that only kill processes do without.
	synchronous string
}

// Store is an open database.
type Store struct {
	dialect  dialect
	writer   *sql.DB
	reader   *pool
	reads    *statements
	snapshot *sql.TxOptions // of a reading transaction
	// apply runs a verb in a writing transaction; it says whether something
	// was written.
	apply    func(context.Context, func(*txn) error) (bool, error)
	clock    clock.PassiveClock
	offset   atomic.Int64 // of the database's clock, in microseconds
	lease    time.Duration
	location func(string) string
	hints    hints
	// plans are compiled plans by Event and hash.
	plans cache[*plan]
	// namespaces are those of Events.
	namespaces cache[string]
	ids        idBlock
	pulse      pulse
	// stops end what runs beside the verbs, the last one first.
	stops []func()
	once  sync.Once
}

// Open opens a database and brings its schema up to date: that of PostgreSQL
// at a postgres:// address, or the SQLite database in a file, which is made
// when it is not there.
func Open(ctx context.Context, database string, opts Options) (*Store, error) {
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
	open := s.openSQLite
	if IsPostgres(database) {
		open = s.openPostgres
	}
	if err := open(ctx, database, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", Redacted(database), err), s.Close())
	}
	if err := s.resume(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open the database %s: %w", Redacted(database), err), s.Close())
	}
	return s, nil
}

// Close closes the database. Verbs that wait for their turn are refused.
func (s *Store) Close() (err error) {
	s.once.Do(func() {
		for i := len(s.stops) - 1; i >= 0; i-- {
			s.stops[i]()
		}
		if s.reader != nil {
			err = s.reader.db.Close()
		}
		if s.writer != nil {
			err = errors.Join(err, s.writer.Close())
		}
	})
	return err
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := one[int64](ctx, s.reader, `SELECT 1`)
	return err
}

// now is the database's clock in microseconds.
func (s *Store) now() int64 { return s.clock.Now().UnixMicro() + s.offset.Load() }
