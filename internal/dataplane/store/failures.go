// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// maxLosses bounds how often a task may take its holder down with it, be that without a word or with time to
	// give it back.
	maxLosses = 20
	// backoffBase and backoffMax bound the wait before a failed task is tried
	// again, in microseconds.
	backoffBase = int64(1 * microsPerSecond)
	backoffMax  = int64(60 * microsPerSecond)
)

// Fail notes that an attempt failed. The task is tried again, later each time,
// until its last attempt; then it has failed for good and what waits for it
// goes on without it.
func (s *Store) Fail(ctx context.Context, uid string, taskID int64, f api.TaskFailure) error {
	return s.onLeased(ctx, uid, taskID, f.Token, func(e *eventTx, t *taskRow) error {
		t.attempts++
		t.awaySince = 0
		if !f.Retryable || t.attempts >= e.plan.maxAttempts(t.kind, t.plugin) {
			if err := e.noteTry(t, api.TryOutcomeFailed, f.Message); err != nil {
				return err
			}
			return e.finish(t, api.TaskStateFailed, f.Message)
		}
		return e.giveBack(t, e.now+backoff(t.attempts), api.TryOutcomeFailed, f.Message)
	})
}

// failedChunk says why a featurer or segmenter is not run: a plugin that may not
// fail did so on its chunk. Featurers that do not need it go on.
func (e *eventTx) failedChunk(t *taskRow) (string, error) {
	if t.kind != api.TaskKindFeaturer && t.kind != api.TaskKindSegmenter {
		return "", nil
	}
	for _, q := range e.plan.featurers() {
		if q.OnFailure != api.PlanPluginOnFailureFailChunk ||
			(t.kind == api.TaskKindFeaturer && !e.plan.needs(t.plugin, q.Name)) {
			continue
		}
		failed, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM tasks WHERE event_uid = $1 AND kind = 'featurer'
			AND chunk = $2 AND plugin = $3 AND state = 'failed'`,
			e.ev.uid, t.chunk, q.Name)
		if err != nil {
			return "", err
		}
		if failed > 0 {
			return fmt.Sprintf("plugin %s failed on this chunk, and its onFailure is FailChunk", q.Name), nil
		}
	}
	return "", nil
}

// failsEvent says whether a task's failure is the Event's. What fails in an
// Event that is Complete, when a dead letter is tried again, changes nothing.
func (e *eventTx) failsEvent(t *taskRow) bool {
	return t.state == api.TaskStateFailed && t.plugin != "" && !e.ev.terminal() &&
		e.plan.onFailure(t.plugin) == api.PlanPluginOnFailureFailEvent
}

// noteTry keeps what became of an attempt that did not finish its task.
func (e *eventTx) noteTry(t *taskRow, outcome api.TryOutcome, reason string) error {
	_, err := e.exec(`INSERT INTO tries (event_uid, task_id, attempt, holder, outcome, error, leased_at, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		e.ev.uid, t.id, t.leases, t.holder, string(outcome), reason, t.leasedAt.Int64, e.now)
	return err
}

// backoff is how long a task rests after its n-th failure.
func backoff(attempts int32) int64 {
	return min(backoffMax, backoffBase<<min(attempts-1, 10))
}

// expireLeases takes back the tasks whose holders fell silent. That is no
// failure of the plugin and does not count as an attempt.
func (e *eventTx) expireLeases() (int, error) {
	silent, err := collect(e.ctx, e, scanTasks, `SELECT `+taskColumns+` FROM tasks
		WHERE event_uid = $1 AND state = 'leased' AND lease_expires_at <= $2 ORDER BY lease_expires_at, id`, e.ev.uid, e.now)
	if err != nil {
		return 0, err
	}
	for _, t := range silent {
		if err := e.lose(t, api.TryOutcomeLost, t.holder+" fell silent while it held the task"); err != nil {
			return 0, err
		}
	}
	return len(silent), nil
}

// lose takes a task from a holder that ended while it had it. The task is
// tried again, until so many holders have ended that it must be its doing.
func (e *eventTx) lose(t *taskRow, outcome api.TryOutcome, reason string) error {
	t.losses++
	t.awaySince = 0
	if t.losses < maxLosses {
		return e.giveBack(t, 0, outcome, reason)
	}
	if err := e.noteTry(t, outcome, reason); err != nil {
		return err
	}
	return e.finish(t, api.TaskStateFailed,
		fmt.Sprintf("lost %d times: whoever took it ended before it was done; at last %s", t.losses, reason))
}
