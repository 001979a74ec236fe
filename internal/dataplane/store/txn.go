// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// errUnchanged ends a transaction without effect and without error: the verb
// was a repetition.
var errUnchanged = errors.New("nothing changed")

// querier is what reading needs: the reading pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// txn is a writing transaction.
type txn struct {
	*stmtTx
	store *Store
	ctx   context.Context
	now   int64
}

// write runs fn in a writing transaction and hints at it after the commit.
func (s *Store) write(ctx context.Context, fn func(*txn) error) error {
	tx, err := s.writes.begin(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(&txn{stmtTx: tx, store: s, ctx: ctx, now: s.now()}); err != nil {
		tx.rollback(ctx)
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.hints.broadcast()
	return nil
}

// read runs fn in one reading transaction, so that what it sees is of one
// moment.
func (s *Store) read(ctx context.Context, fn func(q querier) error) error {
	tx, err := s.reads.begin(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.rollback(ctx)
	return fn(tx)
}

// exec runs a statement and returns how many rows it touched.
func (t *txn) exec(query string, args ...any) (int64, error) {
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

// next takes n numbers of a counter and returns the last. The counter's row
// also puts writers in order, so a reader of the feed never misses a number
// that commits late.
func (t *txn) next(counter string, n int64) (int64, error) {
	var v int64
	err := t.QueryRowContext(t.ctx, `UPDATE counters SET value = value + $2 WHERE name = $1 RETURNING value`, counter, n).Scan(&v)
	if err != nil {
		return 0, fmt.Errorf("take a number of %s: %w", counter, err)
	}
	return v, nil
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
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
		return nil, fmt.Errorf("database: %w", err)
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
