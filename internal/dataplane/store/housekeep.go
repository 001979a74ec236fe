// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Housekeep does what is due by the clock: it takes back the tasks of silent
// holders, ends drains that take too long and forgets what holders said of
// plugins that are not heard of any more. It returns when something is due
// next; zero when nothing is. Time-outs are rows, so it does not matter how
// often, or by how many processes, it is called.
//
// What fails for one Event does not keep the others waiting.
func (s *Store) Housekeep(ctx context.Context) (time.Time, error) {
	if err := s.stayAlive(ctx); err != nil {
		return time.Time{}, fmt.Errorf("note that the data plane is alive: %w", err)
	}
	now := s.now()
	due, err := collect(ctx, s.reader, func(r *sql.Rows) (uid string, err error) { return uid, r.Scan(&uid) },
		`SELECT DISTINCT t.event_uid FROM tasks t JOIN events e ON e.uid = t.event_uid
			WHERE t.state = 'leased' AND t.lease_expires_at <= $1 AND e.deleted = 0
		UNION SELECT uid FROM events WHERE drain_due_at IS NOT NULL
		AND drain_due_at <= $1 AND deleted = 0 AND suspended_at IS NULL
		UNION SELECT uid FROM events WHERE gap_due_at IS NOT NULL
		AND gap_due_at <= $1 AND deleted = 0 AND suspended_at IS NULL
		UNION SELECT h.event_uid FROM plugin_health h JOIN events e ON e.uid = h.event_uid
		WHERE h.heard_at <= $2 AND e.deleted = 0`, now, now-silence)
	if err != nil {
		return time.Time{}, s.missed(err)
	}
	var failed []error
	for _, uid := range due {
		err := s.onEvent(ctx, uid, (*eventTx).housekeep)
		switch {
		case err == nil, errors.Is(err, ErrGone):
			continue
		case ctx.Err() != nil:
			return time.Time{}, ctx.Err()
		}
		failed = append(failed, fmt.Errorf("housekeep Event %s: %w", uid, s.missed(err)))
	}
	rested, err := one[int64](ctx, s.reader, `SELECT COUNT(*) FROM tasks
		WHERE state = 'ready' AND due_at > 0 AND due_at <= $1`, now)
	if err != nil {
		return time.Time{}, errors.Join(append(failed, s.missed(err))...)
	}
	if rested > 0 {
		s.hints.broadcast() // a failed task may be tried again
	}
	next, err := s.nextDue(ctx, now)
	return next, errors.Join(append(failed, err)...)
}

func (e *eventTx) housekeep() error {
	if _, err := e.expireLeases(); err != nil {
		return err
	}
	if err := e.expireHealth(); err != nil {
		return err
	}
	if e.ev.suspended() || e.ev.terminal() {
		return nil
	}
	if e.ev.gapDue.Valid && e.ev.gapDue.Int64 <= e.now {
		if err := e.giveUpHole(); err != nil {
			return err
		}
	}
	if e.ev.state != api.EventStateStateDraining || !e.ev.drainDue.Valid || e.ev.drainDue.Int64 > e.now {
		return nil
	}
	if err := e.settle(); err != nil || e.ev.terminal() {
		return err
	}
	left, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM tasks WHERE event_uid = $1 AND `+openStates, e.ev.uid)
	if err != nil {
		return err
	}
	message := fmt.Sprintf("%d tasks were left %d s after the source had ended", left, e.plan.DrainTimeoutSeconds)
	if !e.ev.allStored() {
		message += fmt.Sprintf("; %d of %d frames were stored", e.ev.frames, e.ev.sourceFrames)
	}
	return e.failEvent("DrainTimedOut", message, api.TaskStateFailed)
}

// nextDue is the earliest of all time-outs after now.
func (s *Store) nextDue(ctx context.Context, now int64) (time.Time, error) {
	next, err := one[sql.NullInt64](ctx, s.reader, `SELECT MIN(due) FROM (
		SELECT MIN(lease_expires_at) AS due FROM tasks WHERE state = 'leased'
		UNION ALL SELECT MIN(due_at) FROM tasks WHERE state = 'ready' AND due_at > 0 AND due_at > $1
		UNION ALL SELECT MIN(drain_due_at) FROM events WHERE drain_due_at IS NOT NULL AND suspended_at IS NULL
		UNION ALL SELECT MIN(gap_due_at) FROM events WHERE gap_due_at IS NOT NULL AND suspended_at IS NULL
		UNION ALL SELECT MIN(h.heard_at) + $2 FROM plugin_health h JOIN events e ON e.uid = h.event_uid
		WHERE e.deleted = 0) AS dues`, now, silence)
	if err != nil || !next.Valid {
		return time.Time{}, err
	}
	return time.UnixMicro(next.Int64).UTC(), nil
}
