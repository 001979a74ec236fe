// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// PutRun stores how many Jobs an Event is to have, and whether it rests. The
// time that it rests does not count for its time-outs.
func (s *Store) PutRun(ctx context.Context, uid string, run api.Run) error {
	for _, name := range slices.Sorted(maps.Keys(run.Pools)) {
		if !poolName.MatchString(name) || run.Pools[name] < 0 {
			return invalid("pools.%s is %d; a pool has a lower-case DNS label of at most 32 characters for a name, "+
				"and 0 slots or more", name, run.Pools[name])
		}
	}
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		if e.ev.suspendedAt.Valid == run.Suspend && e.ev.workers == run.Workers && e.ev.renderers == run.Renderers &&
			maps.Equal(e.ev.pools, run.Pools) {
			return errUnchanged
		}
		e.ev.workers, e.ev.renderers, e.ev.pools = run.Workers, run.Renderers, run.Pools
		switch {
		case run.Suspend && !e.ev.suspendedAt.Valid:
			e.ev.suspendedAt = sql.NullInt64{Int64: e.now, Valid: true}
		case !run.Suspend && e.ev.suspendedAt.Valid:
			rested := e.now - e.ev.suspendedAt.Int64
			for _, due := range []*sql.NullInt64{&e.ev.drainDue, &e.ev.gapDue} {
				if due.Valid {
					due.Int64 += rested
				}
			}
			e.ev.suspendedAt = sql.NullInt64{}
		}
		return nil
	})
}

// Finish ends the source with what is stored, and drains the Event. Without a
// frame there is nothing to drain: the Event fails.
func (s *Store) Finish(ctx context.Context, uid string) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		if e.ev.sourceEnded || e.ev.terminal() {
			return errUnchanged
		}
		stored, err := e.storedFrames()
		if err != nil {
			return err
		}
		if stored == 0 {
			return e.failEvent(string(api.FailureReasonSourceEmpty),
				"The Event was finished before its source had given a frame.", api.TaskStateSkipped)
		}
		return e.endSource(stored)
	})
}
