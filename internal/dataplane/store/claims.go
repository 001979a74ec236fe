// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"errors"
	"math"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// claim plans one optimizer and one labeler task for the segments that a
// segmenter's task completed; an optimizer that listens has one for each audio
// track. A segment is claimed once, by the task whose id its row holds, and its
// siblings on other tracks.
func (e *eventTx) claim(t *taskRow) error {
	segments := e.completed
	e.completed = nil
	if len(segments) == 0 {
		return nil
	}
	var end int64
	for _, s := range segments {
		end = max(end, s.outUs.Int64)
	}
	// Results of the chunk that closed the segments are shown, so they must be there, wherever the segments end.
	x, err := chunkExtent(e.ctx, e, e.ev.uid, t.chunk)
	if err != nil {
		return err
	}
	if name := optionalName(e.plan.Optimizer); name != "" {
		for _, track := range e.tracksOf(e.plan.byName[name]) {
			o := &taskRow{kind: api.TaskKindOptimizer, chunk: t.chunk, plugin: name, track: track, subject: segments[0].id,
				untilUs: max(end+e.plan.optimizerWindow(), x.StartMicros), state: api.TaskStateBlocked}
			if err := e.claimFor(o, `optimizer_task`, segments); err != nil {
				return err
			}
		}
	}
	if name := optionalName(e.plan.Labeler); name != "" {
		l := &taskRow{kind: api.TaskKindLabeler, chunk: t.chunk, plugin: name, subject: segments[0].id,
			untilUs: max(end-1, x.StartMicros), state: api.TaskStateBlocked}
		if err := e.claimFor(l, `labeler_task`, segments); err != nil {
			return err
		}
	}
	return nil
}

func (e *eventTx) claimFor(t *taskRow, column string, segments []*segmentRow) error {
	if err := e.insertTask(t); err != nil {
		return err
	}
	for _, s := range segments {
		if _, err := e.exec(`UPDATE segments SET `+column+` = $3 WHERE event_uid = $1 AND id = $2
			AND `+column+` IS NULL`, e.ev.uid, s.id, t.id); err != nil {
			return err
		}
	}
	return nil
}

// claimed are the segments of an optimizer's or labeler's task, by time.
func claimed(e *eventTx, t *taskRow) ([]*segmentRow, error) {
	column := `optimizer_task`
	if t.kind == api.TaskKindLabeler {
		column = `labeler_task`
	}
	return selectSegments(e.ctx, e, `event_uid = $1 AND `+column+` IN (SELECT id FROM tasks
		WHERE event_uid = $1 AND kind = $2 AND chunk = $3 AND plugin = $4 AND subject = $5)
		ORDER BY in_us, id`, e.ev.uid, string(t.kind), t.chunk, t.plugin, t.subject)
}

// wakeClaims starts the optimizers and labelers for which everything they read
// is there.
func (e *eventTx) wakeClaims() error {
	blocked, err := collect(e.ctx, e, scanTasks, `SELECT `+taskColumns+` FROM tasks
		WHERE event_uid = $1 AND kind IN ('optimizer', 'labeler')
		AND `+openStates+` AND state = 'blocked' ORDER BY id`, e.ev.uid)
	if err != nil || len(blocked) == 0 {
		return err
	}
	known := map[api.TaskKind]int64{}
	for _, t := range blocked {
		at, ok := known[t.kind]
		if !ok {
			if at, err = e.frontierOf(t.kind); err != nil {
				return err
			}
			known[t.kind] = at
		}
		ready := t.untilUs < at
		if ready && t.kind == api.TaskKindOptimizer {
			if ready, err = e.optimizerTurn(t); err != nil {
				return err
			}
		}
		if ready {
			if err := e.makeReady(t); err != nil {
				return err
			}
		}
	}
	return nil
}

// frontierOf is how far everything is there that optimizers or labelers read.
// Optimizers also wait for the segmenter, so that the neighbours of a segment
// do not depend on who was faster.
func (e *eventTx) frontierOf(kind api.TaskKind) (int64, error) {
	name, ended := optionalName(e.plan.Labeler), e.ev.allStored()
	var waits []pattern
	if kind == api.TaskKindOptimizer {
		name = optionalName(e.plan.Optimizer)
		final, err := e.finalDone()
		if err != nil {
			return 0, err
		}
		ended = final
		waits = append(waits, pattern{kind: api.TaskKindSegmenter})
	}
	for _, d := range e.plan.dependencies(name) {
		waits = append(waits, pattern{kind: api.TaskKindFeaturer, plugin: d})
	}
	var starts []int64
	for _, w := range waits {
		first, open, err := e.firstOpen(w)
		if err != nil {
			return 0, err
		}
		if open {
			x, err := chunkExtent(e.ctx, e, e.ev.uid, first)
			if err != nil {
				return 0, err
			}
			starts = append(starts, x.StartMicros)
		}
	}
	var end int64
	if e.ev.watermark > 0 {
		x, err := chunkExtent(e.ctx, e, e.ev.uid, e.ev.watermark)
		if err != nil {
			return 0, err
		}
		end = x.EndMicros
	}
	return frontier(starts, end, ended), nil
}

// firstOpen is the lowest chunk with a task of a kind and plugin that is not
// terminal.
func (e *eventTx) firstOpen(p pattern) (chunk int64, open bool, err error) {
	p.track, p.last = anyTrack, math.MaxInt64
	where, args := p.where(e.ev.uid)
	err = e.QueryRowContext(e.ctx, `SELECT chunk FROM tasks
		WHERE `+where+` AND `+openStates+` ORDER BY chunk LIMIT 1`, args...).Scan(&chunk)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return chunk, err == nil, err
}

// finalDone says whether the final pass is over.
func (e *eventTx) finalDone() (bool, error) {
	s, err := e.taskState(api.TaskKindFinal)
	return (&taskRow{state: s}).terminal(), err
}

// optimizerTurn keeps the optimizers of a track in the order of their segments,
// because each sees where the one before it put its marks. Near the end they wait for the
// final pass, which may add a last neighbour.
func (e *eventTx) optimizerTurn(t *taskRow) (bool, error) {
	first, err := one[int64](e.ctx, e, `SELECT id FROM tasks
		WHERE event_uid = $1 AND kind = 'optimizer' AND track = $2 AND `+openStates+`
		ORDER BY chunk, until_us, id LIMIT 1`, e.ev.uid, t.track)
	if err != nil || first != t.id {
		return false, err
	}
	if !e.ev.allStored() {
		return true, nil
	}
	horizon, err := e.horizon(t)
	if err != nil || horizon < e.ev.watermark {
		return err == nil, err
	}
	return e.finalDone()
}

// horizon is the last chunk whose results and segments a claim's task may see.
// What later chunks bring is not shown, even when it is there already, so that
// a task's input does not depend on when it runs.
func (e *eventTx) horizon(t *taskRow) (int64, error) {
	at, err := chunkAt(e.ctx, e, e.ev.uid, t.untilUs)
	return max(at, t.chunk), err
}
