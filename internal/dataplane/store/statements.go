// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"strings"
	"sync"
)

// pool is a querier of single statements, each of its own moment.
type pool struct{ db *sql.DB }

// QueryContext queries outside of a transaction.
func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := p.db.QueryContext(ctx, query, storable(args)...)
	return rows, classified(err)
}

// QueryRowContext queries one row outside of a transaction.
func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) row {
	return classifiedRow{p.db.QueryRowContext(ctx, query, storable(args)...)}
}

type classifiedRow struct{ row *sql.Row }

// Scan reads the row's columns.
func (r classifiedRow) Scan(dest ...any) error { return classified(r.row.Scan(dest...)) }

// storable replaces the one character that PostgreSQL cannot store in text. It
// comes from plugins: a message may hold anything.
func storable(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok && strings.IndexByte(s, 0) >= 0 {
			args[i] = strings.ReplaceAll(s, "\x00", "\uFFFD")
		}
	}
	return args
}

// statements begins transactions and keeps a pool's prepared statements: the
// store's texts are few and fixed, and parsing them would be a quarter of its
// work. PostgreSQL's driver keeps its own.
type statements struct {
	db       *sql.DB
	driven   bool     // the driver prepares
	prepared sync.Map // text to *sql.Stmt
}

// stmtTx is a transaction that uses the pool's prepared statements. A text
// that is new runs unprepared and is prepared when the transaction is over,
// since only then its connection is free.
type stmtTx struct {
	tx         *sql.Tx
	statements *statements
	missed     []string
	// detached says that a caller who goes does not end a statement.
	detached bool
}

func (s *statements) begin(ctx context.Context, opts *sql.TxOptions) (*stmtTx, error) {
	tx, err := s.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, classified(err)
	}
	return &stmtTx{tx: tx, statements: s}, nil
}

func (t *stmtTx) find(ctx context.Context, query string) *sql.Stmt {
	if t.statements.driven {
		return nil
	}
	if s, ok := t.statements.prepared.Load(query); ok {
		return t.tx.StmtContext(ctx, s.(*sql.Stmt))
	}
	t.missed = append(t.missed, query)
	return nil
}

func (t *stmtTx) context(ctx context.Context) context.Context {
	if t.detached {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// QueryContext queries in the transaction.
func (t *stmtTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx, args = t.context(ctx), storable(args)
	if s := t.find(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		rows, err := s.QueryContext(ctx, args...)
		return rows, classified(err)
	}
	rows, err := t.tx.QueryContext(ctx, query, args...)
	return rows, classified(err)
}

// QueryRowContext queries one row in the transaction.
func (t *stmtTx) QueryRowContext(ctx context.Context, query string, args ...any) row {
	ctx, args = t.context(ctx), storable(args)
	if s := t.find(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		return classifiedRow{s.QueryRowContext(ctx, args...)}
	}
	return classifiedRow{t.tx.QueryRowContext(ctx, query, args...)}
}

// ExecContext executes in the transaction.
func (t *stmtTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, args = t.context(ctx), storable(args)
	if s := t.find(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		result, err := s.ExecContext(ctx, args...)
		return result, classified(err)
	}
	result, err := t.tx.ExecContext(ctx, query, args...)
	return result, classified(err)
}

func (t *stmtTx) commit(ctx context.Context) error {
	err := t.tx.Commit()
	t.prepare(ctx)
	return classified(err)
}

func (t *stmtTx) rollback(ctx context.Context) {
	_ = t.tx.Rollback() // the caller has an error that says more
	t.prepare(ctx)
}

// prepare prepares what was missed. It is an optimisation: a text that cannot
// be prepared now is tried again by the next transaction.
func (t *stmtTx) prepare(ctx context.Context) {
	for _, query := range t.missed {
		if _, ok := t.statements.prepared.Load(query); ok {
			continue
		}
		s, err := t.statements.db.PrepareContext(ctx, query)
		if err != nil {
			return
		}
		if _, twice := t.statements.prepared.LoadOrStore(query, s); twice {
			_ = s.Close() //nolint:sqlclosecheck // another transaction was faster; the others stay open
		}
	}
	t.missed = nil
}
