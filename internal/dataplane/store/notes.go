// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// maxNotes bounds the notes of a task, the last of which counts those that
// are left out.
const maxNotes = 100

// note adds to what became of the results that are being published.
func (e *eventTx) note(format string, args ...any) {
	e.notes = append(e.notes, fmt.Sprintf(format, args...))
}

// keepNotes stores what became of a run's results: what whoever ran it says,
// and what was done to them here. It takes the place of what an earlier run of
// the task left.
func (e *eventTx) keepNotes(t *taskRow, said []string) error {
	all := append(append([]string{}, said...), e.notes...)
	e.notes = nil
	if _, err := e.exec(`DELETE FROM notes WHERE event_uid = $1 AND task_id = $2`, e.ev.uid, t.id); err != nil {
		return err
	}
	if len(all) > maxNotes {
		all = append(all[:maxNotes-1:maxNotes-1], fmt.Sprintf("%d more of this kind", len(all)-maxNotes+1))
	}
	for i, n := range all {
		if _, err := e.exec(`INSERT INTO notes (event_uid, task_id, ordinal, note)
			VALUES ($1, $2, $3, $4)`, e.ev.uid, t.id, i, clip(n, api.MaxNote)); err != nil {
			return err
		}
	}
	return nil
}

// notesOf are the notes of a task.
func notesOf(ctx context.Context, q querier, uid string, id int64) ([]string, error) {
	list, err := collect(ctx, q, func(r *sql.Rows) (n string, err error) { return n, r.Scan(&n) },
		`SELECT note FROM notes WHERE event_uid = $1 AND task_id = $2 ORDER BY ordinal`, uid, id)
	if list == nil {
		list = []string{}
	}
	return list, err
}

// seconds writes a time as people read it.
func seconds(us int64) string {
	return strconv.FormatFloat(float64(us)/microsPerSecond, 'f', -1, 64) + " s"
}
