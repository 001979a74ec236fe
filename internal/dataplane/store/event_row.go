// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// eventRow is a row of events.
type eventRow struct {
	uid, namespace, name, planHash string
	state                          api.EventStateState
	reason, message                string
	version                        int64
	timeline                       *api.Timeline
	frames                         int64
	sourceEnded                    bool
	sourceFrames                   int64
	firstChunk, watermark          int64
	drainDue                       sql.NullInt64
	gapDue                         sql.NullInt64
	suspendedAt                    sql.NullInt64
	workers, renderers             int32
	pools                          map[string]int32
	ailing                         bool // a plugin's process does not work as it should
	revised                        bool
	exports                        exports
	deleted                        bool
	finishedAt                     sql.NullInt64
	outputsLost                    bool   // a Complete Event lacks clips or segments
	processed                      bool   // all that was stored has been through the pipeline
	ingestProblem                  string // why the last try of ingest ended, until there is a new unit
}

// exports are the keys of what the export task wrote.
type exports struct {
	JSON string   `json:"json,omitempty"`
	EDLs []string `json:"edls,omitempty"`
}

const eventColumns = `uid, namespace, name, plan_hash, state, reason, message, version, timeline, frames,
	source_ended, source_frames, first_chunk, watermark, drain_due_at, gap_due_at, suspended_at, workers, renderers,
	pools, ailing, revised, exports, deleted, finished_at, outputs_lost, processed, ingest_problem`

func scanEvent(row interface{ Scan(...any) error }) (*eventRow, error) {
	var e eventRow
	var tl, pools, ex string
	err := row.Scan(&e.uid, &e.namespace, &e.name, &e.planHash, &e.state, &e.reason, &e.message, &e.version, &tl,
		&e.frames, &e.sourceEnded, &e.sourceFrames, &e.firstChunk, &e.watermark, &e.drainDue, &e.gapDue, &e.suspendedAt,
		&e.workers, &e.renderers, &pools, &e.ailing, &e.revised, &ex, &e.deleted, &e.finishedAt,
		&e.outputsLost, &e.processed, &e.ingestProblem)
	if err != nil {
		return nil, err
	}
	if tl != "" {
		e.timeline = &api.Timeline{}
		if err := fromJSON(tl, e.timeline); err != nil {
			return nil, err
		}
	}
	if err := fromJSON(pools, &e.pools); err != nil {
		return nil, err
	}
	return &e, fromJSON(ex, &e.exports)
}

// terminal says that the Event's state will never change again.
func (e *eventRow) terminal() bool {
	return e.state == api.EventStateStateComplete || e.state == api.EventStateStateFailed
}

// replayable says that Replays are made of the Event: all that its source gave has been through the pipeline, be
// that the whole source or what came before it broke off.
func (e *eventRow) replayable() bool {
	return e.state == api.EventStateStateComplete || e.state == api.EventStateStateFailed && e.processed
}

// suspended says that nothing is handed out. An Event that has ended has nothing to rest from.
func (e *eventRow) suspended() bool { return e.suspendedAt.Valid && !e.terminal() }

// slots is how many Jobs a pool is to have; -1 when nobody has said.
func (e *eventRow) slots(pool api.Pool) int32 {
	name, worker := api.WorkerPoolName(pool)
	switch {
	case !worker:
		return e.renderers
	case name == "":
		return e.workers
	}
	if n, ok := e.pools[name]; ok {
		return n
	}
	return -1
}

// allStored says that the source has ended and every frame of it is stored.
func (e *eventRow) allStored() bool { return e.sourceEnded && e.frames >= e.sourceFrames }

// wireTimeline is the declared timeline with what is known of its length.
func (e *eventRow) wireTimeline() *api.Timeline {
	if e.timeline == nil {
		return nil
	}
	t := *e.timeline
	frames, ended := e.frames, e.allStored()
	t.Frames, t.Ended = &frames, &ended
	return &t
}

// timelineUpTo is the timeline as a plugin may see it when it works at a chunk
// that ends at a frame: the same whenever the task runs.
func (e *eventRow) timelineUpTo(frames int64, ended bool) api.Timeline {
	t := *e.timeline
	t.Frames, t.Ended = &frames, &ended
	// What of the source's ingest is for people.
	t.Parts, t.PartsTotal, t.PicturesDropped, t.Incomplete, t.LeftOut, t.Drifts = nil, nil, nil, nil, nil, nil
	t.LastPartFrame = nil
	return t
}

// findEvent reads an Event that may be worked on.
func findEvent(ctx context.Context, q querier, uid string) (*eventRow, error) {
	e, err := scanEvent(q.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE uid = $1`, uid))
	return liveEvent(ctx, q, uid, e, err)
}

// liveEvent tells a deleted Event from one that never was.
func liveEvent(ctx context.Context, q querier, uid string, e *eventRow, err error) (*eventRow, error) {
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if gone, err := isTombstoned(ctx, q, uid); err != nil {
			return nil, err
		} else if gone {
			return nil, refuse(ErrGone, "the Event with UID %s has been deleted", uid)
		}
		return nil, notFound("there is no Event with UID %s; its plan has not been stored yet", uid)
	case err != nil:
		return nil, fmt.Errorf("read the Event %s: %w", uid, err)
	case e.deleted:
		return nil, refuse(ErrGone, "the Event %s/%s is being deleted", e.namespace, e.name)
	}
	return e, nil
}

func isTombstoned(ctx context.Context, q querier, uid string) (bool, error) {
	n, err := one[int64](ctx, q, `SELECT count(*) FROM tombstones WHERE uid = $1`, uid)
	return n > 0, err
}

// loadPlan reads a compiled plan, once per process.
func (s *Store) loadPlan(ctx context.Context, q querier, uid, hash string) (*plan, error) {
	key := uid + "/" + hash
	if p, ok := s.plans.get(key); ok {
		return p, nil
	}
	body, err := one[string](ctx, q, `SELECT plan FROM plans WHERE event_uid = $1`, uid)
	if err != nil {
		return nil, fmt.Errorf("read the plan of Event %s: %w", uid, err)
	}
	var p api.Plan
	if err := fromJSON(body, &p); err != nil {
		return nil, err
	}
	c := newPlan(p)
	s.plans.put(key, c)
	return c, nil
}

// eventTx is a writing transaction on one Event. Its first statement locks the
// Event's row, so all that happens to an Event happens in some order.
type eventTx struct {
	*txn
	ev   *eventRow
	plan *plan
	// terminal holds tasks that became terminal and whose successors have not
	// been looked at yet.
	terminal []*taskRow
	// completed holds segments that closed and are not claimed yet.
	completed []*segmentRow
	// claimsMoved says that what optimizers and labelers wait for has moved.
	claimsMoved bool
	// notes are what became of the results that are being published.
	notes []string
	// stored is what the Event's row holds, without its version.
	stored []any
	// clockErr is what went wrong when times were converted.
	clockErr error
	// settledAt is how much had been written when nothing more was possible.
	settledAt int
}

// onEvent runs fn in a transaction on an Event and then everything that what
// fn did has made possible.
func (s *Store) onEvent(ctx context.Context, uid string, fn func(*eventTx) error) error {
	return s.write(ctx, func(t *txn) error {
		e, err := t.lockEvent(uid)
		if err != nil {
			return err
		}
		return e.run(fn)
	})
}

func (e *eventTx) run(fn func(*eventTx) error) error {
	if err := fn(e); err != nil {
		return err
	}
	if !e.settled() {
		if err := e.settle(); err != nil {
			return err
		}
	}
	if e.clockErr != nil {
		return e.clockErr
	}
	return e.save()
}

// settled says that nothing was written since everything possible was done.
func (e *eventTx) settled() bool {
	return e.settledAt > 0 && e.settledAt == e.writes && len(e.terminal) == 0 && !e.claimsMoved
}

func (t *txn) lockEvent(uid string) (*eventTx, error) {
	row, err := scanEvent(t.QueryRowContext(t.ctx, `UPDATE events SET version = version + 1
		WHERE uid = $1 RETURNING `+eventColumns, uid))
	if row, err = liveEvent(t.ctx, t, uid, row, err); err != nil {
		return nil, err
	}
	p, err := t.store.loadPlan(t.ctx, t, uid, row.planHash)
	if err != nil {
		return nil, err
	}
	e := &eventTx{txn: t, ev: row, plan: p}
	e.stored, err = row.columns()
	return e, err
}

// save writes the Event's row, where more than its version changed, and tells
// the feed.
func (e *eventTx) save() error {
	now, err := e.ev.columns()
	if err != nil {
		return err
	}
	if !slices.Equal(now, e.stored) {
		if _, err := e.exec(`UPDATE events SET state = $2, reason = $3, message = $4, timeline = $5, frames = $6,
			source_ended = $7, source_frames = $8, watermark = $9, drain_due_at = $10, exports = $11, finished_at = $12,
			gap_due_at = $13, suspended_at = $14, workers = $15, renderers = $16, revised = $17, pools = $18, ailing = $19,
			outputs_lost = $20, processed = $21, ingest_problem = $22 WHERE uid = $1`,
			append([]any{e.ev.uid}, now...)...); err != nil {
			return err
		}
		e.stored = now
	}
	return e.changed(api.ChangeKindEvent, e.ev.uid, e.ev.namespace, e.ev.name)
}

// columns are what save writes.
func (e *eventRow) columns() ([]any, error) {
	tl, pools := "", ""
	var err error
	if e.timeline != nil {
		if tl, err = toJSON(e.timeline); err != nil {
			return nil, err
		}
	}
	if len(e.pools) > 0 {
		if pools, err = toJSON(e.pools); err != nil {
			return nil, err
		}
	}
	ex, err := toJSON(e.exports)
	return []any{string(e.state), e.reason, e.message, tl, e.frames, flag(e.sourceEnded), e.sourceFrames, e.watermark,
		e.drainDue, ex, e.finishedAt, e.gapDue, e.suspendedAt, e.workers, e.renderers, flag(e.revised), pools, flag(e.ailing),
		flag(e.outputsLost), flag(e.processed), e.ingestProblem}, err
}
