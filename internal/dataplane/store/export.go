// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/export"
)

// exportHolder names the data plane where people see who holds a task.
const exportHolder = "dataplane"

// ExportTask is a lease of the task that writes an Event's exports. The data
// plane runs it itself.
type ExportTask struct {
	EventUID, Namespace string
	TaskID              int64
	Token               string
	Attempt             int32
	// Lease is how long the task stays with a holder that does not heartbeat.
	Lease time.Duration
}

// exportsAtOnce is how many ready exports are looked at before others get their turn.
const exportsAtOnce = 16

// LeaseExport takes the oldest ready export task of any Event; nil when there
// is none. Report a failure with Fail. An Event whose rows are damaged does not
// keep the others from their exports.
func (s *Store) LeaseExport(ctx context.Context) (*ExportTask, error) {
	ready, err := collect(ctx, s.reader, func(r *sql.Rows) (t ExportTask, err error) {
		return t, r.Scan(&t.EventUID, &t.TaskID)
	}, `SELECT t.event_uid, t.id FROM tasks t JOIN events e ON e.uid = t.event_uid
		WHERE t.state = 'ready' AND t.kind = 'export' AND t.due_at <= $1 AND e.deleted = 0
		ORDER BY t.ready_at, t.id LIMIT $2`, s.now(), exportsAtOnce)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, t := range ready {
		task, err := s.leaseExport(ctx, t.EventUID, t.TaskID)
		if task != nil {
			return task, nil
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("start the export of Event %s: %w", t.EventUID, err))
		}
	}
	return nil, errors.Join(failed...)
}

// leaseExport takes an export task; nil when another process was faster.
func (s *Store) leaseExport(ctx context.Context, uid string, id int64) (*ExportTask, error) {
	var task *ExportTask
	err := s.onEvent(ctx, uid, func(e *eventTx) error {
		task = nil
		t, err := findTask(ctx, e, uid, id)
		if err != nil {
			return err
		}
		if t.state != api.TaskStateReady {
			return errUnchanged
		}
		if err := e.take(t, exportHolder); err != nil {
			return err
		}
		task = &ExportTask{EventUID: uid, Namespace: e.ev.namespace, TaskID: id,
			Token: t.token, Attempt: t.leases, Lease: s.lease}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return task, nil
}

// CompleteExport notes where the exports are, which makes the Event Complete.
func (s *Store) CompleteExport(ctx context.Context, task ExportTask, jsonKey string, edlKeys []string) error {
	return s.onEvent(ctx, task.EventUID, func(e *eventTx) error {
		t, err := e.leased(task.TaskID, task.Token)
		if errors.Is(err, ErrLeaseLost) && t.state == api.TaskStateDone && t.token == task.Token {
			return errUnchanged
		}
		if err != nil {
			return err
		}
		e.ev.exports = exports{JSON: jsonKey, EDLs: edlKeys}
		return e.finish(t, api.TaskStateDone, "")
	})
}

// ExportData is all that the exports speak of.
func (s *Store) ExportData(ctx context.Context, uid string) (export.Event, error) {
	var out export.Event
	err := s.read(ctx, func(q querier) error {
		ev, err := findEvent(ctx, q, uid)
		if err != nil {
			return err
		}
		p, err := s.loadPlan(ctx, q, uid, ev.planHash)
		if err != nil {
			return err
		}
		out.Plan = p.Plan
		if tl := ev.wireTimeline(); tl != nil {
			out.Timeline = *tl
		}
		rows, err := selectSegments(ctx, q, `event_uid = $1 ORDER BY in_us, id`, uid)
		if err != nil {
			return err
		}
		if out.Segments, err = wireSegments(ctx, q, uid, rows); err != nil {
			return err
		}
		if out.Clips, err = collect(ctx, q, s.scanClip, `SELECT `+clipColumns+` FROM clips WHERE event_uid = $1
			ORDER BY segment_id, variant, track, mark_version`, uid); err != nil {
			return err
		}
		if out.Feedback, err = feedbackOf(ctx, q, uid); err != nil {
			return err
		}
		out.Results, err = collect(ctx, q, scanStoredResult, `SELECT `+storedResultColumns+` FROM results
			WHERE event_uid = $1 AND state = 'published'
			ORDER BY start_us, plugin, track, chunk, ordinal`, uid)
		return err
	})
	return out, err
}
