// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"sync"
)

// statements keeps a pool's prepared statements: the store's texts are few and
// fixed, and parsing them would be a quarter of its work.
type statements struct {
	db       *sql.DB
	prepared sync.Map // text to *sql.Stmt
}

// stmtTx is a transaction that uses the pool's prepared statements. A text
// that is new runs unprepared and is prepared when the transaction is over,
// since only then its connection is free.
type stmtTx struct {
	tx         *sql.Tx
	statements *statements
	missed     []string
}

func (s *statements) begin(ctx context.Context, opts *sql.TxOptions) (*stmtTx, error) {
	tx, err := s.db.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &stmtTx{tx: tx, statements: s}, nil
}

func (t *stmtTx) find(ctx context.Context, query string) *sql.Stmt {
	if s, ok := t.statements.prepared.Load(query); ok {
		return t.tx.StmtContext(ctx, s.(*sql.Stmt))
	}
	t.missed = append(t.missed, query)
	return nil
}

// QueryContext queries in the transaction.
func (t *stmtTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if s := t.find(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		return s.QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, query, args...)
}

// QueryRowContext queries one row in the transaction.
func (t *stmtTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := t.find(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		return s.QueryRowContext(ctx, args...)
	}
	return t.tx.QueryRowContext(ctx, query, args...)
}

// ExecContext executes in the transaction.
func (t *stmtTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if s := t.find(ctx, query); s != nil { //nolint:sqlclosecheck // the transaction's end closes it
		return s.ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

func (t *stmtTx) commit(ctx context.Context) error {
	err := t.tx.Commit()
	t.prepare(ctx)
	return err
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
}
