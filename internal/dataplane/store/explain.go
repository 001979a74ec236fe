// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// maxWaits bounds how many tasks a blocked one is said to wait for.
const maxWaits = 20

// ExplainChunk is a chunk with every task of it, what became of each try, and
// what a blocked task waits for.
func (s *Store) ExplainChunk(ctx context.Context, uid string, number int64) (api.ChunkDetail, error) {
	var detail api.ChunkDetail
	err := s.read(ctx, func(q querier) error {
		detail = api.ChunkDetail{Units: []api.Unit{}, Tasks: []api.TaskDetail{}}
		ev, err := findEvent(ctx, q, uid)
		if err != nil {
			return err
		}
		p, err := s.loadPlan(ctx, q, uid, ev.planHash)
		if err != nil {
			return err
		}
		chunks, err := collect(ctx, q, scanChunk, `SELECT `+chunkColumns+` FROM chunks
			WHERE event_uid = $1 AND number = $2`, uid, number)
		if err != nil {
			return err
		}
		if len(chunks) == 0 {
			return notFound("the Event has no chunk %d yet; chunks up to %d are there", number, ev.watermark)
		}
		detail.Chunk = chunks[0]
		units, err := collect(ctx, q, scanUnit, `SELECT `+unitColumns+` FROM units
			WHERE event_uid = $1 AND chunk = $2 ORDER BY first_frame, epoch`, uid, number)
		if err != nil {
			return err
		}
		detail.Units = append(detail.Units, units...)
		tasks, err := collect(ctx, q, scanWireTask, `SELECT `+wireTaskColumns+` FROM tasks WHERE event_uid = $1 AND chunk = $2
			AND kind NOT IN ('reel', 'export') ORDER BY id`, uid, number)
		if err != nil {
			return err
		}
		for _, t := range tasks {
			t.MaxAttempts = p.maxAttempts(t.Kind, t.Plugin)
			d := api.TaskDetail{Task: t, WaitsFor: []string{}}
			if d.Tries, err = triesOf(ctx, q, uid, t.ID); err != nil {
				return err
			}
			if d.Notes, err = notesOf(ctx, q, uid, t.ID); err != nil {
				return err
			}
			if t.State == api.TaskStateBlocked {
				if d.WaitsFor, err = heldBackBy(ctx, q, ev, p, t); err != nil {
					return err
				}
			}
			detail.Tasks = append(detail.Tasks, d)
		}
		return nil
	})
	return detail, err
}

func triesOf(ctx context.Context, q querier, uid string, id int64) ([]api.Try, error) {
	list, err := collect(ctx, q, func(r *sql.Rows) (t api.Try, err error) {
		var failure string
		var leased, ended sql.NullInt64
		err = r.Scan(&t.Attempt, &t.Holder, &t.Outcome, &failure, &leased, &ended)
		t.Error = text(failure)
		if at := wallTime(leased); at != nil {
			t.LeasedAt = *at
		}
		if at := wallTime(ended); at != nil {
			t.EndedAt = *at
		}
		return t, err
	}, `SELECT attempt, holder, outcome, error, leased_at, ended_at FROM tries
		WHERE event_uid = $1 AND task_id = $2 ORDER BY attempt`, uid, id)
	if list == nil {
		list = []api.Try{}
	}
	return list, err
}

// heldBackBy names the open tasks that hold a blocked one back.
func heldBackBy(ctx context.Context, q querier, ev *eventRow, p *plan, t api.Task) ([]string, error) {
	out := []string{}
	if t.Kind == api.TaskKindOptimizer || t.Kind == api.TaskKindLabeler {
		until, err := one[int64](ctx, q, `SELECT until_us FROM tasks WHERE event_uid = $1 AND id = $2`, ev.uid, t.ID)
		if err != nil {
			return nil, err
		}
		return append(out, fmt.Sprintf("everything it reads up to %.3f s of the timeline",
			float64(until)/microsPerSecond)), nil
	}
	for _, w := range predecessors(p, &taskRow{kind: t.Kind, chunk: t.Chunk, plugin: t.Plugin, track: t.Track}) {
		where, args := w.where(ev.uid)
		open, err := collect(ctx, q, func(r *sql.Rows) (string, error) {
			var kind, plugin, state string
			var chunk int64
			var track int32
			err := r.Scan(&kind, &plugin, &chunk, &track, &state)
			name := kind
			if plugin != "" {
				name += " " + plugin
			}
			if track > 0 {
				name += fmt.Sprintf(" of track %d", track)
			}
			return fmt.Sprintf("%s of chunk %d (%s)", name, chunk, state), err
		}, `SELECT kind, plugin, chunk, track, state FROM tasks
			WHERE `+where+` AND `+openStates+fmt.Sprintf(` ORDER BY chunk, id LIMIT %d`, maxWaits), args...)
		if err != nil {
			return nil, err
		}
		out = append(out, open...)
	}
	return out[:min(len(out), maxWaits)], nil
}
