// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// mediaOf is the chunk that a run in a container looks at: the last one up to
// its task's that has media, which is another one only where the source ended
// in a hole. It is nil for built-ins.
func (e *eventTx) mediaOf(t *taskRow) (*api.ChunkMedia, error) {
	if q := e.plan.byName[t.plugin]; q == nil || q.Container == nil {
		return nil, nil
	}
	number := t.chunk
	err := e.QueryRowContext(e.ctx, `SELECT number FROM chunks WHERE event_uid = $1 AND number <= $2
		AND state = 'closed' ORDER BY number DESC LIMIT 1`,
		e.ev.uid, t.chunk).Scan(&number)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("look for the last chunk with media: %w", err)
	}
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, number)
	if err != nil {
		return nil, err
	}
	units, err := e.unitsCovering(chunk.FirstFrame, chunk.FirstFrame+chunk.Frames)
	if err != nil && !errors.Is(err, ErrConflict) {
		return nil, err
	}
	if units == nil {
		units = []api.UnitRef{}
	}
	return &api.ChunkMedia{Chunk: chunk, Timeline: e.timelineOf(chunk), Units: units}, nil
}
