// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Event is how far an Event has come.
func (s *Store) Event(ctx context.Context, uid string) (api.EventState, error) {
	var state api.EventState
	err := s.read(ctx, func(q querier) error {
		ev, err := findEvent(ctx, q, uid)
		if err != nil {
			return err
		}
		state = api.EventState{
			UID: uid, Namespace: ev.namespace, Name: ev.name, State: ev.state, Reason: text(ev.reason),
			Message: text(ev.message), PlanHash: ev.planHash, Suspended: ev.suspended(), Version: ev.version,
			Timeline: ev.wireTimeline(), SourceEnded: &ev.sourceEnded,
			ExportLocation: s.locate(ev.exports.JSON), IngestProblem: text(ev.ingestProblem),
		}
		if ev.outputsLost {
			state.OutputsLost = &ev.outputsLost
		}
		for _, k := range ev.exports.EDLs {
			state.EdlLocations = append(state.EdlLocations, s.location(k))
		}
		if state.Progress, err = progress(ctx, q, ev); err != nil {
			return err
		}
		if state.Backlog, err = s.backlog(ctx, q, ev); err != nil {
			return err
		}
		if state.Plugins, err = ailingPlugins(ctx, q, ev); err != nil {
			return err
		}
		state.DeadLetters, err = one[int64](ctx, q, `SELECT COUNT(*) FROM tasks
			WHERE event_uid = $1 AND state = 'failed'`, uid)
		return err
	})
	return state, err
}

// progress counts rows; each count reads one index of the Event.
func progress(ctx context.Context, q querier, ev *eventRow) (api.Progress, error) {
	var p api.Progress
	if ev.timeline != nil {
		tl, err := clockAround(ctx, q, ev, ev.frames)
		if err != nil {
			return p, err
		}
		p.TimelineMicros = tl.FrameStartMicros(ev.frames)
	}
	counts := []struct {
		query string
		into  []any
	}{
		{`SELECT COUNT(*), COALESCE(SUM(CASE WHEN open_tasks = 0 THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN failed_tasks > 0 THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN state = 'missing' THEN 1 ELSE 0 END), 0), COALESCE(SUM(late), 0) FROM chunks
			WHERE event_uid = $1 AND closed_at IS NOT NULL`,
			[]any{&p.ChunksIngested, &p.ChunksProcessed, &p.ChunksFailed, &p.ChunksMissing, &p.ChunksLate}},
		{`SELECT COALESCE(SUM(CASE WHEN state = 'Open' THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN state = 'Complete' THEN 1 ELSE 0 END), 0)
			FROM segments WHERE event_uid = $1`, []any{&p.SegmentsOpen, &p.SegmentsComplete}},
		{`SELECT COUNT(DISTINCT segment_id) FROM segment_marks WHERE event_uid = $1 AND source = 'optimizer'
			AND applied = 1`, []any{&p.SegmentsOptimized}},
		{`SELECT COUNT(*), COALESCE(SUM(CASE WHEN state = 'Rendered' THEN 1 ELSE 0 END), 0),
			COALESCE(SUM(CASE WHEN state = 'Failed' THEN 1 ELSE 0 END), 0)
			FROM clips WHERE event_uid = $1`, []any{&p.ClipsWanted, &p.ClipsRendered, &p.ClipsFailed}},
		{`SELECT COUNT(*), COALESCE(SUM(CASE WHEN r.state = 'Rendered' THEN 1 ELSE 0 END), 0) FROM replays p
			JOIN reels r ON r.replay_uid = p.uid AND r.plan_hash = p.plan_hash
			WHERE p.event_uid = $1`, []any{&p.ReelsWanted, &p.ReelsRendered}},
	}
	for _, c := range counts {
		if err := q.QueryRowContext(ctx, c.query, ev.uid).Scan(c.into...); err != nil {
			return p, fmt.Errorf("count the progress of Event %s: %w", ev.uid, err)
		}
	}
	return p, nil
}

// backlog counts the tasks that are not terminal, by pool, and says where more may come.
func (s *Store) backlog(ctx context.Context, q querier, ev *eventRow) (api.Backlog, error) {
	var b api.Backlog
	type count struct {
		pool  api.Pool
		state api.TaskState
		n     int64
	}
	counts, err := collect(ctx, q, func(r *sql.Rows) (c count, err error) { return c, r.Scan(&c.pool, &c.state, &c.n) },
		`SELECT pool, state, COUNT(*) FROM tasks WHERE event_uid = $1 AND `+openStates+` GROUP BY pool, state`, ev.uid)
	if err != nil {
		return b, err
	}
	pools := map[api.Pool]*api.PoolBacklog{api.PoolWork: &b.Work, api.PoolRender: &b.Render}
	for _, c := range counts {
		p := pools[c.pool]
		if p == nil {
			p = &api.PoolBacklog{}
			pools[c.pool] = p
		}
		switch c.state {
		case api.TaskStateBlocked:
			p.Blocked = c.n
		case api.TaskStateReady:
			p.Ready = c.n
		case api.TaskStateLeased:
			p.Leased = c.n
		}
	}
	coming, err := s.poolsToCome(ctx, q, ev)
	if err != nil {
		return b, err
	}
	for _, pool := range coming {
		if pools[pool] == nil {
			pools[pool] = &api.PoolBacklog{}
		}
		pools[pool].Coming = new(true)
	}
	for pool, p := range pools {
		if name, worker := api.WorkerPoolName(pool); worker && name != "" {
			if b.Pools == nil {
				b.Pools = map[string]api.PoolBacklog{}
			}
			b.Pools[name] = *p
		}
	}
	return b, nil
}

// poolsToCome are the worker pools that may get tasks which are not planned yet, once the source has ended; before,
// all may.
func (s *Store) poolsToCome(ctx context.Context, q querier, ev *eventRow) ([]api.Pool, error) {
	if !ev.sourceEnded || ev.terminal() {
		return nil, nil
	}
	p, err := s.loadPlan(ctx, q, ev.uid, ev.planHash)
	if err != nil {
		return nil, err
	}
	if !ev.allStored() {
		return p.workerPools(), nil // chunks behind a hole
	}
	coming, err := claimsComing(ctx, q, ev.uid)
	if err != nil || !coming {
		return nil, err
	}
	return p.claimPools(), nil
}
