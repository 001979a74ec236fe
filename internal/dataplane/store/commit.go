// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A batch of verbs is bounded, so that none waits long for the others.
const (
	batchVerbs = 64
	batchWork  = 20 * time.Millisecond
)

var errClosed = errors.New("the store is closed")

// committer runs the verbs that wait for SQLite's one writer in batches, each
// verb behind a savepoint of one transaction, because a commit takes longer
// than a verb: it waits for the disk. A verb that comes while nobody writes
// runs at once. All are answered after the commit.
type committer struct {
	store      *Store
	statements *statements
	queue      chan *verb
	stopping   chan struct{}
	stopped    chan struct{}
}

// verb is a call that waits for its turn.
type verb struct {
	ctx  context.Context
	fn   func(*txn) error
	done chan outcome
	// taken is set by whoever is first: the writer, or a caller that goes.
	taken atomic.Bool
	err   error
}

type outcome struct {
	changed bool
	err     error
}

func newCommitter(s *Store, statements *statements) *committer {
	c := &committer{store: s, statements: statements, queue: make(chan *verb),
		stopping: make(chan struct{}), stopped: make(chan struct{})}
	go c.run()
	return c
}

func (c *committer) stop() {
	close(c.stopping)
	<-c.stopped
}

// apply queues a verb and waits for what becomes of it.
func (c *committer) apply(ctx context.Context, fn func(*txn) error) (bool, error) {
	v := &verb{ctx: ctx, fn: fn, done: make(chan outcome, 1)}
	select {
	case c.queue <- v:
	case <-ctx.Done():
		return false, ctx.Err()
	case <-c.stopping:
		return false, errClosed
	}
	select {
	case o := <-v.done:
		return o.changed, o.err
	case <-ctx.Done():
		if v.taken.CompareAndSwap(false, true) {
			return false, ctx.Err()
		}
	}
	o := <-v.done // it runs, which takes milliseconds
	return o.changed, o.err
}

func (c *committer) run() {
	defer close(c.stopped)
	for {
		select {
		case v := <-c.queue:
			c.batch(v)
		case <-c.stopping:
			return
		}
	}
}

// batch runs a verb and those that wait behind it.
func (c *committer) batch(v *verb) {
	var ran []*verb
	// The callers' contexts do not reach SQLite: an interrupted statement
	// would take the whole batch with it.
	tx, err := c.statements.begin(context.Background(), nil)
	if err != nil {
		v.done <- outcome{err: fmt.Errorf("begin: %w", err)}
		return
	}
	tx.detached = true
	changed := false
	for began := time.Now(); v != nil && err == nil; {
		if v.taken.CompareAndSwap(false, true) {
			ran = append(ran, v)
			err = c.one(tx, v)
			changed = changed || v.err == nil
		}
		v = nil
		if err == nil && len(ran) < batchVerbs && time.Since(began) < batchWork {
			v = c.waiting()
		}
	}
	switch {
	case err != nil || !changed:
		tx.rollback(context.Background())
	default:
		if err = tx.commit(context.Background()); err != nil {
			err = fmt.Errorf("commit: %w", err)
		}
	}
	for _, v := range ran {
		o := outcome{changed: v.err == nil, err: v.err}
		if errors.Is(v.err, errUnchanged) {
			o.err = nil
		}
		if err != nil { // what a refused verb saw may not be there, either
			o = outcome{err: err}
		}
		v.done <- o
	}
}

func (c *committer) waiting() *verb {
	select {
	case v := <-c.queue:
		return v
	default:
		return nil
	}
}

// one runs a verb and takes it back when it fails. An error ends the batch.
func (c *committer) one(tx *stmtTx, v *verb) error {
	if v.err = v.ctx.Err(); v.err != nil {
		return nil //nolint:nilerr // the verb has its error; the batch has none
	}
	if _, err := tx.ExecContext(v.ctx, `SAVEPOINT verb`); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if v.err = runVerb(&txn{stmtTx: tx, store: c.store, ctx: v.ctx, now: c.store.now()}, v.fn); v.err != nil {
		// A full disk rolls everything back by itself: then there is no
		// savepoint, and no verb of the batch is durable.
		if _, err := tx.ExecContext(v.ctx, `ROLLBACK TO verb`); err != nil {
			return fmt.Errorf("the database gave up the transaction: %w", errors.Join(v.err, err))
		}
	}
	if _, err := tx.ExecContext(v.ctx, `RELEASE verb`); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
