// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"math"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Lease takes the next ready task of an Event's pool. It never waits. Keys in
// the input are filled; URLs are left to who signs them.
func (s *Store) Lease(ctx context.Context, uid string, req api.LeaseRequest) (api.LeaseResponse, error) {
	// Most calls of an idle worker find nothing. They are answered without the
	// writer's lock.
	outcome, unheard := api.LeaseResponseOutcomeIdle, false
	err := s.read(ctx, func(q querier) error {
		ev, err := findEvent(ctx, q, uid)
		if err != nil {
			return err
		}
		p, err := s.loadPlan(ctx, q, uid, ev.planHash)
		if err != nil {
			return err
		}
		if unheard, err = isUnheard(ctx, q, ev, req.Holder, s.now()); err != nil {
			return err
		}
		outcome, err = leaseOutcome(ctx, q, ev, p, req, s.now())
		return err
	})
	if err == nil && unheard {
		err = s.hear(ctx, uid, req.Holder)
	}
	if err != nil || outcome != api.LeaseResponseOutcomeTask {
		return api.LeaseResponse{Outcome: outcome}, err
	}
	resp := api.LeaseResponse{Outcome: api.LeaseResponseOutcomeIdle}
	err = s.onEvent(ctx, uid, func(e *eventTx) error {
		expired, err := e.expireLeases()
		if err != nil {
			return err
		}
		resp, err = e.leaseNext(req)
		if err == nil && resp.Lease == nil && expired == 0 {
			return errUnchanged // another worker was faster
		}
		return err
	})
	return resp, err
}

// leaseNext hands a ready task out, when there is one for the caller.
func (e *eventTx) leaseNext(req api.LeaseRequest) (api.LeaseResponse, error) {
	resp := api.LeaseResponse{Outcome: api.LeaseResponseOutcomeIdle}
	if err := e.heard(req.Holder); err != nil {
		return resp, err
	}
	if err := e.settle(); err != nil { // what was done in this transaction may have woken tasks
		return resp, err
	}
	if retires(e.ev, req) {
		return api.LeaseResponse{Outcome: api.LeaseResponseOutcomeRetire}, nil
	}
	for {
		t, err := e.nextReady(req)
		if err != nil || t == nil {
			return resp, err
		}
		if err := e.take(t, req.Holder); err != nil {
			return resp, err
		}
		lease, err := e.leaseOf(t)
		if err == nil {
			return api.LeaseResponse{Outcome: api.LeaseResponseOutcomeTask, Lease: lease}, nil
		}
		// Nobody can do a task whose input cannot be made; it must not stand in the way of the others.
		var refused *Error
		if !errors.As(err, &refused) {
			return resp, err
		}
		if err := e.finish(t, api.TaskStateFailed, refused.Message); err != nil {
			return resp, err
		}
		if err := e.settle(); err != nil {
			return resp, err
		}
	}
}

// leaseOutcome says what a caller gets: a task (Task), nothing now (Idle), nothing any more (Done), or the word
// to leave though others stay (Retire).
func leaseOutcome(ctx context.Context, q querier, ev *eventRow, p *plan, req api.LeaseRequest,
	now int64) (api.LeaseResponseOutcome, error) {
	if retires(ev, req) {
		return api.LeaseResponseOutcomeRetire, nil
	}
	outcome, err := poolOutcome(ctx, q, ev, p, req.Pool, now)
	if err != nil || req.OnlyChunks == nil || outcome == api.LeaseResponseOutcomeDone {
		return outcome, err
	}
	return chunksOutcome(ctx, q, ev.uid, req, now)
}

// retires says that a caller is one too many, or that the Event rests.
func retires(ev *eventRow, req api.LeaseRequest) bool {
	wanted := ev.slots(req.Pool)
	return ev.suspended() || (req.Ordinal != nil && wanted >= 0 && *req.Ordinal >= wanted)
}

// chunksOutcome is leaseOutcome for a caller that takes tasks of its own chunks only. It retires when the last of
// them in its pool is terminal.
func chunksOutcome(ctx context.Context, q querier, uid string, req api.LeaseRequest,
	now int64) (api.LeaseResponseOutcome, error) {
	outcome := api.LeaseResponseOutcomeRetire
	for _, chunk := range req.OnlyChunks {
		ready, err := one[int64](ctx, q, `SELECT COUNT(*) FROM tasks WHERE event_uid = $1 AND pool = $2
			AND chunk = $3 AND state = 'ready' AND due_at <= $4`,
			uid, req.Pool, chunk, now)
		if err != nil || ready > 0 {
			return api.LeaseResponseOutcomeTask, err
		}
		// Those that are planned with the chunk; what is planned later finds somebody, whoever it is.
		open, err := one[int64](ctx, q, `SELECT COUNT(*) FROM tasks WHERE event_uid = $1 AND pool = $2 AND chunk = $3
			AND kind IN ('framer', 'featurer', 'segmenter') AND `+openStates, uid, req.Pool, chunk)
		if err != nil {
			return "", err
		}
		if open > 0 {
			outcome = api.LeaseResponseOutcomeIdle
		}
	}
	return outcome, nil
}

// poolOutcome says whether a task of a pool may be taken now (Task), may come
// later (Idle), or will never come (Done).
func poolOutcome(ctx context.Context, q querier, ev *eventRow, p *plan, pool api.Pool,
	now int64) (api.LeaseResponseOutcome, error) {
	exists := func(condition string, args ...any) (bool, error) {
		var id int64
		err := q.QueryRowContext(ctx, `SELECT id FROM tasks WHERE event_uid = $1 AND pool = $2 AND `+condition+` LIMIT 1`,
			append([]any{ev.uid, pool}, args...)...).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		return err == nil, err
	}
	if ready, err := exists(`state = 'ready' AND due_at <= $3`, now); err != nil || ready {
		return api.LeaseResponseOutcomeTask, err
	}
	if silent, err := exists(`state = 'leased' AND lease_expires_at <= $3`, now); err != nil || silent {
		return api.LeaseResponseOutcomeTask, err
	}
	open, err := exists(openStates)
	if err != nil || open {
		return api.LeaseResponseOutcomeIdle, err
	}
	_, worker := api.WorkerPoolName(pool)
	if ev.terminal() {
		return api.LeaseResponseOutcomeDone, nil
	}
	if !worker || !ev.allStored() {
		return api.LeaseResponseOutcomeIdle, nil
	}
	// The final pass is planned with the end of the source, and so is every
	// chunk. Only claims come later.
	if !slices.Contains(p.claimPools(), pool) {
		return api.LeaseResponseOutcomeDone, nil
	}
	coming, err := claimsComing(ctx, q, ev.uid)
	if err != nil || coming {
		return api.LeaseResponseOutcomeIdle, err
	}
	return api.LeaseResponseOutcomeDone, nil
}

// claimsComing says whether optimizers and labelers may still be planned: a
// segmenter or the final pass is not over.
func claimsComing(ctx context.Context, q querier, uid string) (bool, error) {
	for _, kind := range []api.TaskKind{api.TaskKindSegmenter, api.TaskKindFinal} {
		open, err := anyOpen(ctx, q, uid, pattern{kind: kind, track: anyTrack, last: math.MaxInt64})
		if err != nil || open {
			return open, err
		}
	}
	return false, nil
}

// nextReady chooses a ready task: of the chunk whose media the caller holds, or
// by stage, then the lowest chunk.
func (e *eventTx) nextReady(req api.LeaseRequest) (*taskRow, error) {
	const ready = `SELECT ` + taskColumns + ` FROM tasks WHERE event_uid = $1
		AND pool = $2 AND state = 'ready' AND due_at <= $3 `
	first := req.OnlyChunks
	if req.Chunk != nil && req.OnlyChunks == nil {
		first = []int64{*req.Chunk}
	}
	for _, chunk := range first {
		t, err := scanTask(e.QueryRowContext(e.ctx, ready+`AND chunk = $4
			ORDER BY stage, id LIMIT 1`, e.ev.uid, req.Pool, e.now, chunk))
		if !errors.Is(err, sql.ErrNoRows) {
			return t, err
		}
	}
	if req.OnlyChunks != nil {
		return nil, nil
	}
	t, err := scanTask(e.QueryRowContext(e.ctx, ready+`ORDER BY stage, chunk, id LIMIT 1`, e.ev.uid, req.Pool, e.now))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return t, err
}

// take leases a task to a holder.
func (e *eventTx) take(t *taskRow, holder string) error {
	token := make([]byte, 16)
	if _, err := rand.Read(token); err != nil {
		return err
	}
	t.state, t.token, t.holder = api.TaskStateLeased, hex.EncodeToString(token), holder
	t.leases++
	e.settledAt++ // it makes nothing possible
	_, err := e.exec(`UPDATE tasks SET state = 'leased', token = $2, holder = $3, leases = $4, leased_at = $5,
		lease_expires_at = $6, due_at = 0 WHERE id = $1`,
		t.id, t.token, holder, t.leases, e.now, e.now+e.store.lease.Microseconds())
	return err
}

// leaseOf is what the holder of a task gets.
func (e *eventTx) leaseOf(t *taskRow) (*api.Lease, error) {
	input, err := e.input(t)
	if err != nil {
		return nil, err
	}
	media, err := e.mediaOf(t)
	if err != nil {
		return nil, err
	}
	return &api.Lease{
		TaskID: t.id, Kind: t.kind, Chunk: t.chunk, Token: t.token, Attempt: t.leases,
		LeaseSeconds: int32(e.store.lease.Seconds()), TimeoutSeconds: e.plan.timeoutSeconds(t), Input: input, Media: media,
	}, nil
}

// Heartbeat extends a lease.
func (s *Store) Heartbeat(ctx context.Context, uid string, taskID int64, token string) error {
	if _, err := findEvent(ctx, s.reader, uid); err != nil {
		return err
	}
	held := false
	err := s.writeQuietly(ctx, func(t *txn) error {
		n, err := t.exec(`UPDATE tasks SET lease_expires_at = $4
			WHERE id = $1 AND event_uid = $2 AND state = 'leased' AND token = $3`,
			taskID, uid, token, t.now+s.lease.Microseconds())
		held = n > 0
		return err
	})
	if err != nil || held {
		return err
	}
	t, err := findTask(ctx, s.reader, uid, taskID)
	if err != nil {
		return err
	}
	return leaseLost(t)
}

// leased reads a task that the token's owner holds.
func (e *eventTx) leased(taskID int64, token string) (*taskRow, error) {
	t, err := findTask(e.ctx, e, e.ev.uid, taskID)
	if err != nil {
		return nil, err
	}
	if t.state != api.TaskStateLeased || t.token == "" || t.token != token {
		return t, leaseLost(t)
	}
	return t, nil
}

// onLeased runs a verb of a task's holder, which has been heard of thereby.
func (s *Store) onLeased(ctx context.Context, uid string, taskID int64, token string,
	do func(e *eventTx, t *taskRow) error) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		t, err := e.leased(taskID, token)
		if err != nil {
			return err
		}
		if err := e.heard(t.holder); err != nil {
			return err
		}
		return do(e, t)
	})
}

func leaseLost(t *taskRow) error {
	if t.state == api.TaskStateLeased {
		return refuse(ErrLeaseLost, "task %d is leased to %s now; stop working on it", t.id, t.holder)
	}
	return refuse(ErrLeaseLost, "task %d is %s; stop working on it", t.id, t.state)
}

// Release gives a task back that nobody has begun. It costs nothing.
func (s *Store) Release(ctx context.Context, uid string, taskID int64, token string) error {
	return s.onLeased(ctx, uid, taskID, token, func(e *eventTx, t *taskRow) error {
		t.awaySince = 0
		return e.giveBack(t, 0, api.TryOutcomeReleased, "")
	})
}

// GiveBack gives a task back whose holder was told to stop in the middle of it.
// That is no attempt, but a loss: it may be the task that gets its pods evicted.
func (s *Store) GiveBack(ctx context.Context, uid string, taskID int64, token string) error {
	return s.onLeased(ctx, uid, taskID, token, func(e *eventTx, t *taskRow) error {
		return e.lose(t, api.TryOutcomeReleased, t.holder+" was told to stop while it worked on the task")
	})
}

// giveBack makes a leased task ready again, from a time on, and notes why its
// attempt ended. Its old token is worth nothing any more.
func (e *eventTx) giveBack(t *taskRow, due int64, outcome api.TryOutcome, reason string) error {
	if err := e.noteTry(t, outcome, reason); err != nil {
		return err
	}
	_, err := e.exec(`UPDATE tasks SET state = 'ready', token = '', attempts = $2, losses = $3, due_at = $4,
		lease_expires_at = 0, ready_at = $5, error = CASE WHEN $6 = '' THEN error ELSE $6 END, away_since = $7 WHERE id = $1`,
		t.id, t.attempts, t.losses, due, e.now, reason, t.awaySince)
	return err
}
