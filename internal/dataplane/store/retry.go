// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Retry tries dead letters again: tasks that failed for good, and what was
// skipped because of them. The same request again has no effect, and gets the
// first one's answer: the caller may not have heard it.
func (s *Store) Retry(ctx context.Context, uid string, req api.RetryRequest) (api.RetryResult, error) {
	var result api.RetryResult
	err := s.onEvent(ctx, uid, func(e *eventTx) error {
		result = api.RetryResult{Left: []string{}}
		known, err := e.retried(req.ID)
		if err != nil {
			return err
		}
		if known != "" {
			if err := fromJSON(known, &result); err != nil {
				return err
			}
			return errUnchanged
		}
		if e.ev.state == api.EventStateStateFailed {
			return conflict("the Event is Failed, which is final: %s", e.ev.message)
		}
		dead, err := collect(e.ctx, e, scanTasks, `SELECT `+taskColumns+` FROM tasks
			WHERE event_uid = $1 AND state = 'failed' ORDER BY chunk, id`, uid)
		if err != nil {
			return err
		}
		for _, t := range dead {
			if !wantedByRetry(t, req) {
				continue
			}
			why, err := e.tooLate(t)
			if err != nil {
				return err
			}
			if why != "" {
				result.Left = append(result.Left, why)
				continue
			}
			n, err := e.revive(t)
			if err != nil {
				return err
			}
			result.Retried += n
		}
		return e.noteRetry(req.ID, result)
	})
	return result, err
}

// retried is what came of a retry, as JSON; empty when there was none of the id.
func (e *eventTx) retried(id string) (string, error) {
	var result string
	err := e.QueryRowContext(e.ctx, `SELECT result FROM retries
		WHERE event_uid = $1 AND id = $2`, e.ev.uid, id).Scan(&result)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return result, err
}

func (e *eventTx) noteRetry(id string, result api.RetryResult) error {
	text, err := toJSON(result)
	if err != nil {
		return err
	}
	_, err = e.exec(`INSERT INTO retries (event_uid, id, result) VALUES ($1, $2, $3)`, e.ev.uid, id, text)
	return err
}

func wantedByRetry(t *taskRow, req api.RetryRequest) bool {
	return (req.Plugin == nil || *req.Plugin == t.plugin) && (req.Chunk == nil || *req.Chunk == t.chunk) &&
		(req.TaskID == nil || *req.TaskID == t.id)
}

// tooLate says why a dead letter cannot be tried again; empty when it can.
func (e *eventTx) tooLate(t *taskRow) (string, error) {
	switch t.kind {
	case api.TaskKindSegmenter:
		later, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM tasks
			WHERE event_uid = $1 AND ((kind = 'segmenter' AND chunk > $2) OR kind = 'final')
			AND state IN ('leased', 'done', 'failed', 'skipped')`, e.ev.uid, t.chunk)
		if err != nil || later == 0 {
			return "", err
		}
		return fmt.Sprintf("segmenter of chunk %d: later chunks have been segmented, and segments are made in order",
			t.chunk), nil
	case api.TaskKindFinal:
		if e.ev.terminal() {
			return "the final pass: the Event is Complete", nil
		}
	case api.TaskKindReel:
		current, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM reels r JOIN replays p ON p.uid = r.replay_uid
			AND p.plan_hash = r.plan_hash WHERE r.task_id = $1`, t.id)
		if err != nil || current > 0 {
			return "", err
		}
		return fmt.Sprintf("reel %s: its plan has been superseded", t.subject), nil
	}
	return "", nil
}

// revive starts a dead letter anew, and what was skipped because of it. It
// returns how many tasks will run again.
func (e *eventTx) revive(t *taskRow) (int64, error) {
	if err := e.reopen(t); err != nil {
		return 0, err
	}
	n := int64(1)
	switch t.kind {
	case api.TaskKindClip:
		_, err := e.exec(`UPDATE clips SET state = 'Pending', error = ''
			WHERE event_uid = $1 AND task_id = $2`, e.ev.uid, t.id)
		return n, err
	case api.TaskKindReel:
		if _, err := e.exec(`UPDATE reels SET state = 'Pending', error = '' WHERE task_id = $1`, t.id); err != nil {
			return n, err
		}
		return n, e.replaysChanged()
	case api.TaskKindFramer, api.TaskKindFeaturer:
		skipped, err := collect(e.ctx, e, scanTasks, `SELECT `+taskColumns+` FROM tasks
			WHERE event_uid = $1 AND kind = 'featurer' AND chunk = $2 AND state = 'skipped'
			ORDER BY id`, e.ev.uid, t.chunk)
		if err != nil {
			return n, err
		}
		for _, s := range skipped {
			if err := e.reopen(s); err != nil {
				return n, err
			}
			n++
		}
		again, err := e.segmentAgain(t.chunk)
		if err != nil {
			return n, err
		}
		n += again
	}
	e.claimsMoved = true
	return n, nil
}

// segmentAgain lets the segmenter of a chunk wait for what is tried again, if it
// has not run. One that was skipped for it is opened again, unless later chunks
// have been segmented. It returns how many tasks that brings back.
func (e *eventTx) segmentAgain(chunk int64) (int64, error) {
	if _, err := e.exec(`UPDATE tasks SET state = 'blocked', ready_at = NULL
		WHERE event_uid = $1 AND kind = 'segmenter' AND chunk = $2 AND state = 'ready'`,
		e.ev.uid, chunk); err != nil {
		return 0, err
	}
	skipped, err := collect(e.ctx, e, scanTasks, `SELECT `+taskColumns+` FROM tasks
		WHERE event_uid = $1 AND kind = 'segmenter' AND chunk = $2 AND state = 'skipped'`, e.ev.uid, chunk)
	if err != nil || len(skipped) == 0 {
		return 0, err
	}
	if why, err := e.tooLate(skipped[0]); err != nil || why != "" {
		return 0, err
	}
	return 1, e.reopen(skipped[0])
}

// reopen makes a terminal task open again, with all its attempts.
func (e *eventTx) reopen(t *taskRow) error {
	failed := t.state == api.TaskStateFailed
	if _, err := e.exec(`UPDATE tasks SET state = 'blocked', attempts = 0, losses = 0, away_since = 0, due_at = 0,
		token = '', finished_at = NULL WHERE event_uid = $1 AND id = $2`,
		e.ev.uid, t.id); err != nil {
		return err
	}
	t.state, t.attempts, t.losses, t.awaySince = api.TaskStateBlocked, 0, 0, 0
	if t.ofChunk() {
		if _, err := e.exec(`UPDATE chunks SET open_tasks = open_tasks + 1, failed_tasks = failed_tasks - $3
			WHERE event_uid = $1 AND number = $2`,
			e.ev.uid, t.chunk, flag(failed)); err != nil {
			return err
		}
	}
	if t.kind == api.TaskKindOptimizer || t.kind == api.TaskKindLabeler {
		return nil // wakeClaims knows when
	}
	return e.wake(t)
}
