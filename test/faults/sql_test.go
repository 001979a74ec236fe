// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
)

// sqlConnector makes the statements of a data plane's process countable.
type sqlConnector struct {
	driver.Connector
	inject *injector
	proc   *proc
	// committed is told of each commit that had its effect.
	committed func()
	violate   func(format string, args ...any)
}

func (c *sqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &sqlConn{Conn: conn, of: c}, nil
}

// sqlConn wraps a connection. What its driver cannot do it leaves to database/sql.
type sqlConn struct {
	driver.Conn
	of *sqlConnector
	// open says that a transaction is; failed is its statement that was made to fail and is not taken back yet.
	open   bool
	failed string
}

// made notes a statement. One that failed must be taken back before anything is kept: that a statement has failed
// without its effect proves then that it may fail with it, too.
func (c *sqlConn) made(query string, err error) {
	switch {
	case errors.Is(err, errInjected) && c.open:
		c.failed = short(query)
	case err != nil:
	case strings.HasPrefix(query, "ROLLBACK"):
		c.failed = ""
	case strings.HasPrefix(query, "RELEASE"):
		c.keeps()
	case !c.open && !strings.HasPrefix(query, "SELECT"):
		c.of.inject.lasts()
	}
}

func (c *sqlConn) keeps() {
	if c.failed != "" {
		c.of.violate("a transaction was kept in which a statement had failed: %s", c.failed)
	}
}

func short(query string) string {
	query = strings.Join(strings.Fields(query), " ")
	return query[:min(len(query), 120)]
}

func (c *sqlConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	what := "BEGIN"
	if opts.ReadOnly {
		what += " READ ONLY"
	}
	tx, err := call(c.of.inject, layerSQL, c.of.proc, what, func() (driver.Tx, error) {
		return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	}, func(tx driver.Tx) {
		if tx != nil {
			_ = tx.Rollback()
		}
	})
	if err != nil {
		return nil, err
	}
	c.open, c.failed = true, ""
	return &sqlTx{tx, c}, nil
}

func (c *sqlConn) ExecContext(ctx context.Context, query string,
	args []driver.NamedValue) (result driver.Result, err error) {
	defer func() { c.made(query, err) }()
	return call(c.of.inject, layerSQL, c.of.proc, short(query), func() (driver.Result, error) {
		return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	}, nil)
}

func (c *sqlConn) QueryContext(ctx context.Context, query string,
	args []driver.NamedValue) (rows driver.Rows, err error) {
	defer func() { c.made(query, err) }()
	return call(c.of.inject, layerSQL, c.of.proc, short(query), func() (driver.Rows, error) {
		return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
	}, closeRows)
}

// closeRows ends a query; with it a statement that both writes and returns has run to its end.
func closeRows(rows driver.Rows) {
	if rows == nil {
		return
	}
	dest := make([]driver.Value, len(rows.Columns()))
	for rows.Next(dest) == nil {
	}
	_ = rows.Close()
}

func (c *sqlConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.of.proc.dead.Load() {
		return nil, errDead
	}
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &sqlStmt{s, c, query}, nil
}

func (c *sqlConn) Ping(ctx context.Context) error {
	if p, ok := c.Conn.(driver.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

func (c *sqlConn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *sqlConn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *sqlConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.Conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

type sqlTx struct {
	driver.Tx
	conn *sqlConn
}

// Commit that fails before its effect has rolled back, as databases do.
func (t *sqlTx) Commit() error {
	t.conn.keeps()
	tried := false
	_, err := call(t.conn.of.inject, layerSQL, t.conn.of.proc, "COMMIT", func() (struct{}, error) {
		tried = true
		err := t.Tx.Commit()
		t.conn.open = false
		if err == nil {
			t.conn.of.inject.lasts()
			t.conn.of.committed()
		}
		return struct{}{}, err
	}, nil)
	if !tried {
		_ = t.Rollback()
	}
	return err
}

// Rollback is not counted: that its answer is lost changes nothing.
func (t *sqlTx) Rollback() error {
	t.conn.open, t.conn.failed = false, ""
	return t.Tx.Rollback()
}

type sqlStmt struct {
	driver.Stmt
	conn  *sqlConn
	query string
}

func (s *sqlStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (result driver.Result, err error) {
	defer func() { s.conn.made(s.query, err) }()
	of := s.conn.of
	return call(of.inject, layerSQL, of.proc, short(s.query), func() (driver.Result, error) {
		return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	}, nil)
}

func (s *sqlStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (rows driver.Rows, err error) {
	defer func() { s.conn.made(s.query, err) }()
	of := s.conn.of
	return call(of.inject, layerSQL, of.proc, short(s.query), func() (driver.Rows, error) {
		return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	}, closeRows)
}

func (s *sqlStmt) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := s.Stmt.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return s.conn.CheckNamedValue(v)
}

func (s *sqlStmt) ColumnConverter(i int) driver.ValueConverter {
	if c, ok := s.Stmt.(driver.ColumnConverter); ok { //nolint:staticcheck // a driver may still have it
		return c.ColumnConverter(i)
	}
	return driver.DefaultParameterConverter
}
