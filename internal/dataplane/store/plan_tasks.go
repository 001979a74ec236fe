// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// planChunk plans the tasks of a chunk that has just closed. A chunk without
// media has only a segmenter, which keeps the order and is skipped when its
// turn comes.
func (e *eventTx) planChunk(number int64, media bool) error {
	if media {
		if err := e.planFeatures(number); err != nil {
			return err
		}
	}
	s := &taskRow{kind: api.TaskKindSegmenter, chunk: number, plugin: e.plan.Segmenter, state: api.TaskStateBlocked}
	if err := e.insertTask(s); err != nil {
		return err
	}
	return e.wake(s)
}

// planFeatures plans the featurers of a chunk, and the framer where one of them reads what it finds.
func (e *eventTx) planFeatures(number int64) error {
	if slices.ContainsFunc(e.plan.featurers(), readsSignals) {
		if err := e.insertTask(&taskRow{kind: api.TaskKindFramer, chunk: number, state: api.TaskStateReady}); err != nil {
			return err
		}
	}
	var unframed []*taskRow // the framer's end does not wake them
	for _, q := range e.plan.featurers() {
		for _, track := range e.tracksOf(q) {
			t := &taskRow{kind: api.TaskKindFeaturer, chunk: number, plugin: q.Name, track: track, state: api.TaskStateBlocked}
			if err := e.insertTask(t); err != nil {
				return err
			}
			if !readsSignals(q) {
				unframed = append(unframed, t)
			}
		}
	}
	for _, t := range unframed {
		if err := e.wake(t); err != nil {
			return err
		}
	}
	return nil
}

// tracksOf are the tracks on which a plugin runs: 0 for video, each audio track
// for audio.
func (e *eventTx) tracksOf(q *api.PlanPlugin) []int32 {
	if !isAudio(q) {
		return []int32{0}
	}
	var out []int32
	for _, a := range e.ev.timeline.AudioTracks {
		out = append(out, a.Track)
	}
	return out
}

// wake starts a blocked task when its predecessors are terminal.
func (e *eventTx) wake(t *taskRow) error {
	for _, p := range predecessors(e.plan, t) {
		open, err := anyOpen(e.ctx, e, e.ev.uid, p)
		if err != nil || open {
			return err
		}
	}
	if why, err := e.failedChunk(t); err != nil {
		return err
	} else if why != "" {
		return e.finish(t, api.TaskStateSkipped, why)
	}
	switch t.kind {
	case api.TaskKindSegmenter:
		state, err := one[string](e.ctx, e, `SELECT state FROM chunks
			WHERE event_uid = $1 AND number = $2`, e.ev.uid, t.chunk)
		if err != nil {
			return err
		}
		if state == string(api.ChunkStateEmpty) || state == string(api.ChunkStateMissing) {
			return e.finish(t, api.TaskStateSkipped, "the chunk is "+state)
		}
		if err := e.noteBlind(t.chunk); err != nil {
			return err
		}
	case api.TaskKindFeaturer:
		if !readsSignals(e.plan.byName[t.plugin]) {
			break
		}
		framed, err := one[int64](e.ctx, e, `SELECT count(*) FROM signals
			WHERE event_uid = $1 AND chunk = $2`, e.ev.uid, t.chunk)
		if err != nil {
			return err
		}
		if framed == 0 {
			return e.finish(t, api.TaskStateSkipped, "the framer of this chunk failed, so there is nothing to look at")
		}
	}
	return e.makeReady(t)
}

// wakeSuccessors looks at every blocked task that a terminal task can have
// held back.
func (e *eventTx) wakeSuccessors(t *taskRow) error {
	for _, p := range successors(e.plan, t) {
		where, args := p.where(e.ev.uid)
		blocked, err := collect(e.ctx, e, scanTasks, `SELECT `+taskColumns+` FROM tasks
			WHERE `+where+` AND `+openStates+` AND state = 'blocked' ORDER BY chunk, id`, args...)
		if err != nil {
			return err
		}
		for _, b := range blocked {
			if err := e.wake(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// where writes a pattern as a condition on tasks.
func (p pattern) where(eventUID string) (string, []any) {
	var b strings.Builder
	args := []any{eventUID, string(p.kind), p.first, p.last}
	b.WriteString(`event_uid = $1 AND kind = $2 AND chunk >= $3 AND chunk <= $4`)
	if p.plugin != "" {
		args = append(args, p.plugin)
		fmt.Fprintf(&b, ` AND plugin = $%d`, len(args))
	}
	if p.track != anyTrack {
		args = append(args, p.track)
		fmt.Fprintf(&b, ` AND track = $%d`, len(args))
	}
	return b.String(), args
}

// anyOpen says whether a task that fits a pattern is not terminal yet.
func anyOpen(ctx context.Context, q querier, eventUID string, p pattern) (bool, error) {
	where, args := p.where(eventUID)
	var id int64
	err := q.QueryRowContext(ctx, `SELECT id FROM tasks WHERE `+where+` AND `+openStates+` LIMIT 1`, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
