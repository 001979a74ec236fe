// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// errUnchanged ends a transaction without effect and without error: the verb
// was a repetition.
var errUnchanged = errors.New("nothing changed")

// row is a *sql.Row whose error says what kind it is.
type row interface{ Scan(dest ...any) error }

// querier is what reading needs: the reading pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) row
}

// txn is a writing transaction. It may be run again after it was rolled back,
// so a verb sets what it returns and does not add to it.
type txn struct {
	*stmtTx
	store *Store
	ctx   context.Context
	now   int64
	ids   idBlock
	// writes counts the statements that may have written.
	writes int
}

// write runs fn in a writing transaction and hints at it after the commit.
func (s *Store) write(ctx context.Context, fn func(*txn) error) error {
	changed, err := s.apply(ctx, fn)
	if changed {
		s.hints.broadcast()
	}
	return err
}

// writeQuietly writes what nobody waits for.
func (s *Store) writeQuietly(ctx context.Context, fn func(*txn) error) error {
	_, err := s.apply(ctx, fn)
	return err
}

// runVerb turns a panic into an error, so that what the verb has written is
// rolled back like after any other.
func runVerb(t *txn, fn func(*txn) error) (err error) {
	defer func() {
		if found := recover(); found != nil {
			err = fmt.Errorf("panic: %v\n%s", found, debug.Stack())
		}
	}()
	return fn(t)
}

// read runs fn in one reading transaction, so that what it sees is of one
// moment.
func (s *Store) read(ctx context.Context, fn func(q querier) error) error {
	tx, err := s.reads.begin(ctx, s.snapshot)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.rollback(ctx)
	return fn(tx)
}

// exec runs a statement and returns how many rows it touched.
func (t *txn) exec(query string, args ...any) (int64, error) {
	t.writes++
	res, err := t.ExecContext(t.ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("database: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("database: %w", err)
	}
	return n, nil
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier,
	scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	defer func() { _ = rows.Close() }() // rows.Err tells what matters
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read a row: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("database: %w", classified(err))
	}
	return out, nil
}

// one reads a single value.
func one[T any](ctx context.Context, q querier, query string, args ...any) (T, error) {
	var v T
	if err := q.QueryRowContext(ctx, query, args...).Scan(&v); err != nil {
		return v, fmt.Errorf("database: %w", err)
	}
	return v, nil
}

// toJSON writes a value of the wire's types, which always can be written.
func toJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", invalid("the value cannot be written as JSON: %v", err)
	}
	return string(b), nil
}

func fromJSON(text string, v any) error {
	if text == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("a stored JSON value is damaged: %w", err)
	}
	return nil
}

// wallTime is the wire's form of a stored time; nil when there is none.
func wallTime(us sql.NullInt64) *time.Time {
	if !us.Valid || us.Int64 == 0 {
		return nil
	}
	t := time.UnixMicro(us.Int64).UTC()
	return &t
}

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
