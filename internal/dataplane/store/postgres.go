// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"k8s.io/utils/clock"
)

const (
	// connections of a replica. A server takes 100 of all its clients, where
	// nobody has said otherwise.
	connections = 16
	// raceAttempts bounds how often a verb is run again that PostgreSQL ended
	// for the sake of another.
	raceAttempts = 10
	connectWait  = 10 * time.Second
	// tendEvery is how often the server's clock is compared with ours, and its
	// statistics are looked at.
	tendEvery = 5 * time.Second
)

// IsPostgres says whether a database is an address of PostgreSQL and not a
// file of SQLite.
func IsPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// Redacted names a database in messages: without user, password and options.
func Redacted(database string) string {
	if !IsPostgres(database) {
		return database
	}
	u, err := url.Parse(database)
	if err != nil {
		return "postgres://..."
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// openPostgres opens a database that other replicas may have open, too.
func (s *Store) openPostgres(ctx context.Context, address string, opts Options) error {
	s.dialect = postgresDialect
	config, err := pgx.ParseConfig(address)
	if err != nil {
		// The driver's message repeats the address, and so the password.
		return errors.New("the address is not valid; write " +
			"postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, with special characters of the password as %XX")
	}
	defaults := map[string]string{
		"application_name": "mre-dataplane",
		// A replica that vanishes in the middle of a transaction must not keep
		// its Event locked.
		"idle_in_transaction_session_timeout": "30s",
	}
	for name, value := range defaults {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectWait
	}
	var open driver.Connector = connector{stdlib.GetConnector(*config)}
	if opts.Connector != nil {
		open = opts.Connector(open)
	}
	s.writer = sql.OpenDB(open)
	s.writer.SetMaxOpenConns(connections)
	s.writer.SetMaxIdleConns(connections)
	s.writer.SetConnMaxIdleTime(5 * time.Minute)
	s.reader = &pool{db: s.writer}
	s.reads = &statements{db: s.writer, driven: true}
	s.snapshot = &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
	s.apply = s.applyAlone
	if err := s.migrate(ctx); err != nil {
		return classified(err)
	}
	if _, wall := s.clock.(clock.RealClock); !wall {
		return nil
	}
	if err := s.compareClocks(ctx); err != nil {
		return err
	}
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	s.stops = append(s.stops, func() { stop(); <-stopped })
	go func() {
		defer close(stopped)
		s.tend(beside)
	}()
	return nil
}

// connector says of a server that cannot be reached what it means to callers.
type connector struct{ driver.Connector }

// Connect opens a connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return conn, classified(err)
}

// applyAlone runs a verb in a transaction of its own. One that PostgreSQL ends
// because of another one's is run again.
func (s *Store) applyAlone(ctx context.Context, fn func(*txn) error) (bool, error) {
	for attempt := 1; ; attempt++ {
		err := s.attempt(ctx, fn)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, errUnchanged):
			return false, nil
		case attempt >= raceAttempts || !lostRace(err) || ctx.Err() != nil:
			return false, err
		}
		select {
		case <-time.After(rand.N(time.Duration(attempt) * 4 * time.Millisecond)):
		case <-ctx.Done():
		}
	}
}

func (s *Store) attempt(ctx context.Context, fn func(*txn) error) error {
	tx, err := s.reads.begin(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := runVerb(&txn{stmtTx: tx, store: s, ctx: ctx, now: s.now()}, fn); err != nil {
		tx.rollback(ctx)
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Codes of PostgreSQL, see its manual's appendix A.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
)

func lostRace(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == serializationFailure || e.Code == deadlockDetected)
}

// unavailableCodes are those of a server that has no room, stops, starts, or
// is a standby since the connection was made; 08 is the class of connections.
var unavailableCodes = map[string]bool{
	"53300": true, "57P01": true, "57P02": true, "57P03": true, "57P05": true, "25P03": true, "25006": true,
}

// unavailable is ErrUnavailable with the cause, which is for the log: it names
// hosts and users.
type unavailable struct{ cause error }

func (u *unavailable) Error() string   { return ErrUnavailable.Error() }
func (u *unavailable) Unwrap() []error { return []error{ErrUnavailable, u.cause} }

// classified marks the errors of a database that could not be asked.
func classified(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || !isUnavailable(err) {
		return err
	}
	slog.Warn("the database does not answer", "error", err)
	return &unavailable{cause: err}
}

func isUnavailable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, sql.ErrNoRows) {
		return false
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return unavailableCodes[e.Code] || strings.HasPrefix(e.Code, "08")
	}
	return errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) || isNetwork(err)
}

// tend compares the clocks and refreshes statistics again and again.
func (s *Store) tend(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(tendEvery):
		}
		asking, cancel := context.WithTimeout(ctx, connectWait)
		if err := s.compareClocks(asking); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "the clock of the database could not be read; the last difference stays", "error", err)
		}
		if err := s.analyze(asking); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "the database's statistics could not be refreshed", "error", err)
		}
		cancel()
	}
}

// analyze refreshes the statistics of tables that have changed much since the
// last time. PostgreSQL does so by itself, but a minute late: until then it
// reads an Event's tasks as if there were a handful, with plans that it made
// when there were, and an Event starts with thousands.
func (s *Store) analyze(ctx context.Context) error {
	tables, err := collect(ctx, s.reader, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) },
		`SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema()
			AND n_mod_since_analyze > 500 + n_live_tup / 4`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if _, err := s.writer.ExecContext(ctx, `ANALYZE (SKIP_LOCKED) `+pgx.Identifier{table}.Sanitize()); err != nil {
			return classified(err)
		}
	}
	return nil
}

// compareClocks notes how far the server's clock is ahead of ours, by the
// quickest of a few answers.
func (s *Store) compareClocks(ctx context.Context) error {
	best := time.Duration(-1)
	for range 3 {
		asked := time.Now()
		theirs, err := one[int64](ctx, s.reader, `SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS bigint)`)
		if err != nil {
			return fmt.Errorf("read the server's clock: %w", err)
		}
		if took := time.Since(asked); best < 0 || took < best {
			best = took
			s.offset.Store(theirs - asked.Add(took/2).UnixMicro())
		}
	}
	return nil
}
