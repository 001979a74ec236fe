// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// settle does everything that the tasks which became terminal, the chunks that
// closed and the frames that arrived in this transaction have made possible.
func (e *eventTx) settle() error {
	if e.ev.timeline == nil || e.ev.state == api.EventStateStateFailed {
		return e.settleReels()
	}
	for {
		for len(e.terminal) > 0 {
			t := e.terminal[0]
			e.terminal = e.terminal[1:]
			if e.failsEvent(t) {
				return e.failEvent("PluginFailed", fmt.Sprintf("Plugin %s failed on chunk %d, and its onFailure is FailEvent: %s",
					t.plugin, t.chunk, t.failure), api.TaskStateSkipped)
			}
			if err := e.afterTask(t); err != nil {
				return err
			}
		}
		if err := e.settleMarks(); err != nil {
			return err
		}
		if e.claimsMoved {
			e.claimsMoved = false
			if err := e.wakeClaims(); err != nil {
				return err
			}
		}
		if len(e.terminal) == 0 {
			break
		}
	}
	err := e.settleEnd()
	e.settledAt = e.writes
	return err
}

// settleReels follows up what still ends when the Event has failed.
func (e *eventTx) settleReels() error {
	for _, t := range e.terminal {
		if err := e.afterTask(t); err != nil {
			return err
		}
	}
	e.terminal = nil
	return nil
}

// afterTask does what follows from one terminal task.
func (e *eventTx) afterTask(t *taskRow) error {
	if e.ev.state == api.EventStateStateComplete && t.kind != api.TaskKindReel && t.kind != api.TaskKindExport {
		e.ev.revised = true
	}
	switch t.kind {
	case api.TaskKindFramer:
		return e.wakeSuccessors(t)
	case api.TaskKindFeaturer:
		e.claimsMoved = true
		return e.wakeSuccessors(t)
	case api.TaskKindSegmenter, api.TaskKindFinal:
		e.claimsMoved = true
		if err := e.limitOpenSegments(t); err != nil {
			return err
		}
		if err := e.claim(t); err != nil {
			return err
		}
		return e.wakeSuccessors(t)
	case api.TaskKindOptimizer:
		e.claimsMoved = true
		return e.markUnoptimized(t)
	case api.TaskKindClip:
		return e.afterClip(t)
	case api.TaskKindReel:
		return e.afterReel(t)
	}
	return nil
}

// settleEnd takes an Event whose source has ended to its end: the final pass,
// then the exports, then Complete and the Replays.
func (e *eventTx) settleEnd() error {
	if e.ev.state == api.EventStateStateComplete {
		return e.settleRevision()
	}
	if !e.ev.allStored() {
		return nil
	}
	final := &taskRow{kind: api.TaskKindFinal, chunk: e.ev.watermark,
		plugin: e.plan.Segmenter, state: api.TaskStateBlocked}
	known, err := e.taskState(api.TaskKindFinal)
	if err != nil {
		return err
	}
	if known == "" {
		if err := e.insertTask(final); err != nil {
			return err
		}
		return e.wake(final)
	}
	open, err := e.workLeft()
	if err != nil || open {
		return err
	}
	exported, err := e.taskState(api.TaskKindExport)
	switch {
	case err != nil:
		return err
	case exported == "":
		return e.insertTask(&taskRow{kind: api.TaskKindExport, state: api.TaskStateReady})
	case !(&taskRow{state: exported}).terminal():
		return nil
	}
	e.ev.finishedAt = sql.NullInt64{Int64: e.now, Valid: true}
	e.ev.drainDue, e.ev.gapDue = sql.NullInt64{}, sql.NullInt64{}
	e.ev.processed = true
	if e.ev.reason != "" { // the source broke off; what it gave has been processed
		e.ev.state = api.EventStateStateFailed
		return e.planReplays()
	}
	e.ev.state = api.EventStateStateComplete
	if err := e.planReplays(); err != nil {
		return err
	}
	return e.judge()
}

// settleRevision writes the exports again and plans the Replays anew when tasks
// that were tried again, or reviewers, have changed a Complete Event. Once
// nothing is left to do, it says anew how the Event ended.
func (e *eventTx) settleRevision() error {
	open, err := e.workLeft()
	if err != nil || open {
		return err
	}
	export, err := scanTask(e.QueryRowContext(e.ctx, `SELECT `+taskColumns+` FROM tasks
		WHERE event_uid = $1 AND kind = 'export' LIMIT 1`, e.ev.uid))
	if err != nil {
		return fmt.Errorf("read the export task: %w", err)
	}
	switch {
	case export.state == api.TaskStateLeased: // whoever writes it may have read what was there before
		return nil
	case !e.ev.revised && !export.terminal():
		return nil
	case !e.ev.revised:
		return e.judge()
	}
	e.ev.revised = false
	if export.terminal() {
		if err := e.reopen(export); err != nil {
			return err
		}
	}
	return e.planReplays()
}

// workLeft says whether a task is not terminal of those that exports and reels
// wait for.
func (e *eventTx) workLeft() (bool, error) {
	var id int64
	err := e.QueryRowContext(e.ctx, `SELECT id FROM tasks
		WHERE event_uid = $1 AND `+openStates+` AND kind NOT IN ('reel', 'export') LIMIT 1`, e.ev.uid).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// taskState is the state of the Event's only task of a kind; empty before it
// is planned.
func (e *eventTx) taskState(kind api.TaskKind) (api.TaskState, error) {
	var s api.TaskState
	err := e.QueryRowContext(e.ctx, `SELECT state FROM tasks
		WHERE event_uid = $1 AND kind = $2 LIMIT 1`, e.ev.uid, string(kind)).Scan(&s)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return s, err
}

// failEvent ends an Event for good. Work that is left is not done any more.
func (e *eventTx) failEvent(reason, message string, left api.TaskState) error {
	if _, err := e.exec(`UPDATE chunks
		SET failed_tasks = failed_tasks + CASE WHEN $2 = 'failed' THEN open_tasks ELSE 0 END, open_tasks = 0
		WHERE event_uid = $1 AND open_tasks > 0`, e.ev.uid, string(left)); err != nil {
		return err
	}
	if _, err := e.exec(`UPDATE clips SET state = 'Failed', error = $2
		WHERE event_uid = $1 AND state = 'Pending'`, e.ev.uid, message); err != nil {
		return err
	}
	if _, err := e.exec(`UPDATE tasks SET state = $2, error = $3, finished_at = $4,
		token = '', due_at = 0, lease_expires_at = 0
		WHERE event_uid = $1 AND `+openStates, e.ev.uid, string(left), message, e.now); err != nil {
		return err
	}
	if err := e.breakOffSegments(); err != nil {
		return err
	}
	e.ev.state, e.ev.reason, e.ev.message, e.ev.ingestProblem = api.EventStateStateFailed, reason, message, ""
	e.ev.finishedAt = sql.NullInt64{Int64: e.now, Valid: true}
	e.ev.drainDue, e.ev.gapDue = sql.NullInt64{}, sql.NullInt64{}
	e.terminal = nil
	return e.replaysChanged()
}
