// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Complete publishes a task's output and wakes what waited for it. A repeat
// with the same token does nothing. When the caller asks for its next task, the
// same transaction leases it; a repeat gets the same one, as long as it holds
// it. The answer is nil when there is nothing to say.
func (s *Store) Complete(ctx context.Context, uid string, taskID int64,
	out api.TaskOutput) (*api.LeaseResponse, error) {
	var next *api.LeaseResponse
	err := s.onEvent(ctx, uid, func(e *eventTx) error {
		next = nil
		t, err := e.leased(taskID, out.Token)
		if errors.Is(err, ErrLeaseLost) && t.state == api.TaskStateDone && t.token == out.Token && out.Token != "" {
			return e.repeatNext(t, out, &next)
		}
		if err != nil {
			return err
		}
		e.notes = nil
		if err := e.publish(t, out); err != nil {
			return err
		}
		if err := e.keepNotes(t, out.Notes); err != nil {
			return err
		}
		if err := e.finish(t, api.TaskStateDone, ""); err != nil || out.Next == nil {
			return err
		}
		resp, err := e.leaseNext(*out.Next)
		next = &resp
		return err
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

// repeatNext gives a caller that did not hear the answer the task that was
// leased to it with its first call.
func (e *eventTx) repeatNext(done *taskRow, out api.TaskOutput, next **api.LeaseResponse) error {
	if out.Next == nil {
		return errUnchanged
	}
	t, err := scanTask(e.QueryRowContext(e.ctx, `SELECT `+taskColumns+` FROM tasks
		WHERE event_uid = $1 AND state = 'leased' AND holder = $2
		AND leased_at = (SELECT finished_at FROM tasks WHERE event_uid = $1 AND id = $3)`,
		e.ev.uid, out.Next.Holder, done.id))
	if errors.Is(err, sql.ErrNoRows) {
		return errUnchanged
	}
	if err != nil {
		return err
	}
	lease, err := e.leaseOf(t)
	if err != nil {
		return err
	}
	*next = &api.LeaseResponse{Outcome: api.LeaseResponseOutcomeTask, Lease: lease}
	return errUnchanged
}

func (e *eventTx) publish(t *taskRow, out api.TaskOutput) error {
	if t.plugin == "" && (len(out.Variables) > 0 || len(out.SegmentAttributes) > 0) {
		return invalid("variables and segmentAttributes come from plugins; task %d is of kind %s", t.id, t.kind)
	}
	if err := e.setVariables(e.ev.uid, out.Variables); err != nil {
		return err
	}
	if err := e.annotate(out.SegmentAttributes); err != nil {
		return err
	}
	switch t.kind {
	case api.TaskKindFramer:
		return e.publishSignals(t, out.Signals)
	case api.TaskKindFeaturer:
		return e.publishResults(t, out.Results)
	case api.TaskKindSegmenter, api.TaskKindFinal:
		return e.publishSegments(t, out.Segments)
	case api.TaskKindOptimizer:
		return e.publishOptimized(t, out.Optimized)
	case api.TaskKindLabeler:
		return e.publishLabels(t, out.Labels)
	case api.TaskKindClip:
		return e.publishClip(t, out.Media)
	case api.TaskKindReel:
		return e.publishReel(t, out.Media)
	}
	return invalid("task %d is of kind %s, which the data plane runs itself", t.id, t.kind)
}

func (e *eventTx) publishSignals(t *taskRow, signals *json.RawMessage) error {
	if signals == nil || !json.Valid(*signals) {
		return invalid("signals is missing or not JSON; a framer reports the signals of its chunk")
	}
	_, err := e.exec(`INSERT INTO signals (event_uid, chunk, signals)
		VALUES ($1, $2, $3)`, e.ev.uid, t.chunk, string(*signals))
	return err
}

// publishResults stores a featurer's results. Their times are snapped to
// frames here, once, and end with the chunk: a plugin cannot know what comes
// after it.
func (e *eventTx) publishResults(t *taskRow, results []api.NewResult) error {
	if len(results) == 0 {
		return nil
	}
	if len(results) > api.MaxResults {
		return invalid("results has %d entries; a run may report %d", len(results), api.MaxResults)
	}
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, t.chunk)
	if err != nil {
		return err
	}
	for i, r := range results {
		if err := checkResult(i, r, chunk); err != nil {
			return err
		}
		body, err := attributesJSON(nth("results", i), r.Attributes)
		if err != nil {
			return err
		}
		start, end := e.resultMarks(i, r, chunk.FirstFrame+chunk.Frames)
		if _, err := e.exec(`INSERT INTO results (event_uid, plugin, track, chunk, attempt, ordinal, state, start_frame,
			start_ticks, start_us, end_frame, end_ticks, end_us, attributes)
			VALUES ($1, $2, $3, $4, $5, $6, 'published', $7, $8, $9, $10, $11, $12, $13)`,
			e.ev.uid, t.plugin, t.track, t.chunk, t.leases, i,
			start.Frame, start.Ticks, start.Micros, end.Frame, end.Ticks, end.Micros, body); err != nil {
			return err
		}
	}
	return nil
}

// checkResult refuses times that a result of a chunk cannot have. It may begin
// before the media does, as one with a lead does, but not end there.
func checkResult(i int, r api.NewResult, chunk api.ChunkExtent) error {
	for _, t := range []struct {
		field string
		us    int64
	}{{".startMicros", r.StartMicros}, {".endMicros", r.EndMicros}} {
		if err := near(nth("results", i)+t.field, t.us, chunk.StartMicros, chunk.EndMicros); err != nil {
			return err
		}
	}
	switch {
	case r.EndMicros < r.StartMicros:
		return invalid("results[%d] ends at %d µs, before its start at %d µs", i, r.EndMicros, r.StartMicros)
	case r.EndMicros < 0:
		return invalid("results[%d] ends at %d µs, before the media begins", i, r.EndMicros)
	}
	return nil
}

// resultMarks snaps a result's times. A point in time stays one; a range holds
// at least one frame.
func (e *eventTx) resultMarks(i int, r api.NewResult, limit int64) (start, end api.Mark) {
	start, end = e.snap(r.StartMicros), e.snap(r.EndMicros)
	if start.Frame > limit {
		e.note("results[%d] starts at %s, after the chunk has ended; it is moved to the chunk's last frame",
			i, seconds(r.StartMicros))
	} else if end.Frame > limit {
		e.note("results[%d] from %s to %s reaches over the end of the chunk and is cut there, at %s", i,
			seconds(r.StartMicros), seconds(r.EndMicros), seconds(e.markAt(limit).Micros))
	}
	if start.Frame >= limit {
		start = e.markAt(limit - 1)
	}
	if end.Frame > limit {
		end = e.markAt(limit)
	}
	switch {
	case r.EndMicros == r.StartMicros:
		end = start
	case end.Frame <= start.Frame:
		end = e.markAt(start.Frame + 1)
	}
	return start, end
}
