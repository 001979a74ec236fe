// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// anyTrack matches tasks of every audio track and of video.
const anyTrack = int32(-1)

// taskRow is what the rules need of a row of tasks.
type taskRow struct {
	id        int64
	kind      api.TaskKind
	chunk     int64
	plugin    string
	track     int32
	subject   string
	replayUID string
	state     api.TaskState
	untilUs   int64
	attempts  int32
	losses    int32
	leases    int32
	token     string
	holder    string
	leasedAt  sql.NullInt64
	// awaySince is since when each try has found the object store away; 0 when the last one did not.
	awaySince int64
	// failure is why the task ended without success, in this transaction.
	failure string
}

const taskColumns = `id, kind, chunk, plugin, track, subject, replay_uid, state, until_us, attempts,
	losses, leases, token, holder, leased_at, away_since`

// openStates are the states of a task that is not terminal. The text equals
// the condition of the indexes on open tasks.
const openStates = `state IN ('blocked', 'ready', 'leased')`

func scanTask(row interface{ Scan(...any) error }) (*taskRow, error) {
	var t taskRow
	err := row.Scan(&t.id, &t.kind, &t.chunk, &t.plugin, &t.track, &t.subject, &t.replayUID, &t.state, &t.untilUs,
		&t.attempts, &t.losses, &t.leases, &t.token, &t.holder, &t.leasedAt, &t.awaySince)
	return &t, err
}

func scanTasks(rows *sql.Rows) (*taskRow, error) { return scanTask(rows) }

func (t *taskRow) terminal() bool {
	return t.state == api.TaskStateDone || t.state == api.TaskStateSkipped || t.state == api.TaskStateFailed
}

// ofChunk says that a task is counted at its chunk.
func (t *taskRow) ofChunk() bool {
	return t.kind == api.TaskKindFramer || t.kind == api.TaskKindFeaturer || t.kind == api.TaskKindSegmenter
}

// poolExport is the pool of the tasks that the data plane runs itself.
const poolExport = "export"

// stage is the order in which ready tasks are taken: first what closes
// segments, then what feeds it, last what opens new work, so that chunks leave
// the pipeline before others enter it.
func stage(kind api.TaskKind) int {
	switch kind {
	case api.TaskKindFeaturer, api.TaskKindReel:
		return 1
	case api.TaskKindFramer:
		return 2
	}
	return 0
}

// insertTask plans a task. One with the same key is left as it is.
func (e *eventTx) insertTask(t *taskRow) error {
	id, err := e.nextTaskID()
	if err != nil {
		return err
	}
	t.id = id
	var ready sql.NullInt64
	if t.state == api.TaskStateReady {
		ready = sql.NullInt64{Int64: e.now, Valid: true}
	}
	n, err := e.exec(`INSERT INTO tasks (id, event_uid, kind, chunk, plugin, track, subject, replay_uid,
		pool, stage, state, until_us, created_at, ready_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (event_uid, kind, chunk, plugin, track, subject) DO NOTHING`,
		t.id, e.ev.uid, string(t.kind), t.chunk, t.plugin, t.track, t.subject, t.replayUID, e.plan.pool(t.kind, t.plugin),
		stage(t.kind), string(t.state), t.untilUs, e.now, ready)
	if err != nil || n == 0 {
		return err
	}
	if t.ofChunk() {
		_, err = e.exec(`UPDATE chunks SET open_tasks = open_tasks + 1
			WHERE event_uid = $1 AND number = $2`, e.ev.uid, t.chunk)
	}
	return err
}

// makeReady lets a blocked task be taken.
func (e *eventTx) makeReady(t *taskRow) error {
	t.state = api.TaskStateReady
	_, err := e.exec(`UPDATE tasks SET state = 'ready', ready_at = $2 WHERE id = $1 AND state = 'blocked'`, t.id, e.now)
	return err
}

// finish makes a task terminal and queues it for settle. The token stays, so
// that a repeated Complete is recognised.
func (e *eventTx) finish(t *taskRow, state api.TaskState, reason string) error {
	t.state, t.failure = state, reason
	if _, err := e.exec(`UPDATE tasks SET state = $2, error = $3, finished_at = $4, attempts = $5, losses = $6,
		due_at = 0, lease_expires_at = 0 WHERE id = $1`,
		t.id, string(state), reason, e.now, t.attempts, t.losses); err != nil {
		return err
	}
	if t.ofChunk() {
		if _, err := e.exec(`UPDATE chunks SET open_tasks = open_tasks - 1, failed_tasks = failed_tasks + $3
			WHERE event_uid = $1 AND number = $2`,
			e.ev.uid, t.chunk, flag(state == api.TaskStateFailed)); err != nil {
			return err
		}
	}
	e.terminal = append(e.terminal, t)
	return nil
}

// findTask reads a task of an Event.
func findTask(ctx context.Context, q querier, eventUID string, id int64) (*taskRow, error) {
	t, err := scanTask(q.QueryRowContext(ctx, `SELECT `+taskColumns+` FROM tasks
		WHERE id = $1 AND event_uid = $2`, id, eventUID))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, notFound("the Event has no task %d", id)
	}
	return t, err
}
