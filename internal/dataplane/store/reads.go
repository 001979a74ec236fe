// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// cursor is where a page ended: the sort key of its last row. Its text is the
// caller's `continue`.
type cursor []any

func (c cursor) String() string {
	b, err := json.Marshal([]any(c))
	if err != nil { // keys are numbers and text
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor fills the parts of a sort key from a `continue`. An empty one
// leaves them as they are: before the first row.
func parseCursor(cont string, parts ...any) error {
	if cont == "" {
		return nil
	}
	refused := invalid("continue is not one that this list has returned")
	b, err := base64.RawURLEncoding.DecodeString(cont)
	var values []json.RawMessage
	if err != nil || json.Unmarshal(b, &values) != nil || len(values) != len(parts) {
		return refused
	}
	for i, v := range values {
		if json.Unmarshal(v, parts[i]) != nil {
			return refused
		}
	}
	return nil
}

// page reads up to limit rows and says how to go on.
func page[T any](ctx context.Context, s *Store, uid string, limit int, scan func(*sql.Rows) (T, error),
	key func(T) cursor, query string, args ...any) ([]T, string, error) {
	return pageThen(ctx, s, uid, limit, scan, key, func(querier, []T) error { return nil }, query, args...)
}

// pageThen is page with something more to be read of the same moment.
func pageThen[T any](ctx context.Context, s *Store, uid string, limit int,
	scan func(*sql.Rows) (T, error), key func(T) cursor,
	then func(querier, []T) error, query string, args ...any,
) ([]T, string, error) {
	var list []T
	var next string
	err := s.read(ctx, func(q querier) error {
		list, next = []T{}, ""
		if _, err := findEvent(ctx, q, uid); err != nil {
			return err
		}
		rows, err := collect(ctx, q, scan, fmt.Sprintf(`%s LIMIT $%d`, query, len(args)+2),
			append(append([]any{uid}, args...), limit+1)...)
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			next = key(rows[limit-1]).String()
		}
		list = append(list, rows...)
		return then(q, list)
	})
	if err != nil {
		return nil, "", err
	}
	return list, next, nil
}

const chunkColumns = `number, state, late, start_us, end_us, first_frame,
	frames, units, open_tasks, failed_tasks, closed_at`

func scanChunk(r *sql.Rows) (c api.Chunk, err error) {
	var closed sql.NullInt64
	var open int64
	err = r.Scan(&c.Extent.Number, &c.State, &c.Late, &c.Extent.StartMicros, &c.Extent.EndMicros, &c.Extent.FirstFrame,
		&c.Extent.Frames, &c.Units, &open, &c.FailedTasks, &closed)
	c.Processed, c.ClosedAt = closed.Valid && open == 0, wallTime(closed)
	return c, err
}

// Chunks lists chunks by number.
func (s *Store) Chunks(ctx context.Context, uid string, limit int, cont string) ([]api.Chunk, string, error) {
	after := int64(-1)
	if err := parseCursor(cont, &after); err != nil {
		return nil, "", err
	}
	return page(ctx, s, uid, limit, scanChunk, func(c api.Chunk) cursor { return cursor{c.Extent.Number} },
		`SELECT `+chunkColumns+` FROM chunks WHERE event_uid = $1 AND number > $2 ORDER BY number`, after)
}

// Units lists units by epoch and first PTS.
func (s *Store) Units(ctx context.Context, uid string, limit int, cont string) ([]api.Unit, string, error) {
	epoch, ticks := int32(-1), int64(0)
	if err := parseCursor(cont, &epoch, &ticks); err != nil {
		return nil, "", err
	}
	return page(ctx, s, uid, limit, scanUnit, func(u api.Unit) cursor { return cursor{u.Epoch, u.FirstTicks} },
		`SELECT `+unitColumns+` FROM units WHERE event_uid = $1 AND (epoch, first_ticks) > ($2, $3)
			ORDER BY epoch, first_ticks`, epoch, ticks)
}

const unitColumns = `epoch, first_ticks, object_key, start_us, end_us, first_frame, frames,
	idr_frames, discontinuity, payload_sha256, bytes`

func scanUnit(r *sql.Rows) (u api.Unit, err error) {
	var idr string
	if err := r.Scan(&u.Epoch, &u.FirstTicks, &u.Key, &u.StartMicros, &u.EndMicros, &u.FirstFrame, &u.Frames, &idr,
		&u.Discontinuity, &u.PayloadSHA256, &u.Bytes); err != nil {
		return u, err
	}
	u.IdrFrames = []int64{}
	return u, fromJSON(idr, &u.IdrFrames)
}

// Tasks lists tasks by id.
func (s *Store) Tasks(ctx context.Context, uid string, limit int, cont string) ([]api.Task, string, error) {
	after := int64(0)
	if err := parseCursor(cont, &after); err != nil {
		return nil, "", err
	}
	list, next, err := page(ctx, s, uid, limit, scanWireTask, func(t api.Task) cursor { return cursor{t.ID} },
		`SELECT `+wireTaskColumns+` FROM tasks WHERE event_uid = $1 AND id > $2 ORDER BY id`, after)
	if err != nil {
		return nil, "", err
	}
	return list, next, s.fillMaxAttempts(ctx, uid, list)
}

const wireTaskColumns = `id, kind, state, chunk, plugin, track, subject, attempts, losses, holder, error, due_at,
	created_at, ready_at, leased_at, finished_at`

func scanWireTask(r *sql.Rows) (t api.Task, err error) {
	var holder, failure string
	var due, created, ready, leased, finished sql.NullInt64
	err = r.Scan(&t.ID, &t.Kind, &t.State, &t.Chunk, &t.Plugin, &t.Track, &t.Subject, &t.Attempts, &t.Losses, &holder,
		&failure, &due, &created, &ready, &leased, &finished)
	t.Holder, t.Error, t.DueAt = text(holder), text(failure), wallTime(due)
	t.CreatedAt, t.ReadyAt, t.LeasedAt, t.FinishedAt = wallTime(created),
		wallTime(ready), wallTime(leased), wallTime(finished)
	return t, err
}

// fillMaxAttempts adds what the plan says of tasks.
func (s *Store) fillMaxAttempts(ctx context.Context, uid string, tasks []api.Task) error {
	ev, err := findEvent(ctx, s.reader, uid)
	if err != nil {
		return err
	}
	p, err := s.loadPlan(ctx, s.reader, uid, ev.planHash)
	if err != nil {
		return err
	}
	for i := range tasks {
		tasks[i].MaxAttempts = p.maxAttempts(tasks[i].Kind, tasks[i].Plugin)
	}
	return nil
}

const storedResultColumns = `plugin, track, chunk, ordinal, ` + resultColumns

// orderedResult is a result with what breaks ties in the list's order.
type orderedResult struct {
	api.StoredResult
	ordinal int64
}

func scanOrderedResult(r *sql.Rows) (o orderedResult, err error) {
	var attributes string
	m := &o.Result
	if err := r.Scan(&o.Plugin, &o.Track, &o.Chunk, &o.ordinal, &m.Start.Frame, &m.Start.Ticks, &m.Start.Micros,
		&m.End.Frame, &m.End.Ticks, &m.End.Micros, &attributes); err != nil {
		return o, err
	}
	m.Attributes = map[string]any{}
	return o, fromJSON(attributes, &m.Attributes)
}

func scanStoredResult(r *sql.Rows) (api.StoredResult, error) {
	o, err := scanOrderedResult(r)
	return o.StoredResult, err
}

// ResultFilter chooses results. The zero value is all of them.
type ResultFilter struct {
	Plugin string
	Track  *int32
	// From and To bound a result's start, and LastChunk the chunk that it was
	// found in. All are inclusive.
	From, To, LastChunk *int64
}

// Results lists published results by time.
func (s *Store) Results(ctx context.Context, uid string, f ResultFilter, limit int,
	cont string) ([]api.StoredResult, string, error) {
	var start, track, chunk, ordinal int64 = -1, 0, 0, 0
	var name string
	if err := parseCursor(cont, &start, &name, &track, &chunk, &ordinal); err != nil {
		return nil, "", err
	}
	only := anyTrack
	if f.Track != nil {
		only = *f.Track
	}
	from, to, last := int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64)
	for _, bound := range []struct{ into, set *int64 }{{&from, f.From}, {&to, f.To}, {&last, f.LastChunk}} {
		if bound.set != nil {
			*bound.into = *bound.set
		}
	}
	list, next, err := page(ctx, s, uid, limit, scanOrderedResult, func(o orderedResult) cursor {
		return cursor{o.Result.Start.Micros, o.Plugin, o.Track, o.Chunk, o.ordinal}
	}, `SELECT `+storedResultColumns+` FROM results WHERE event_uid = $1 AND state = 'published'
		AND ($7 = '' OR plugin = $7) AND ($8 = -1 OR track = $8)
		AND start_us >= $9 AND start_us <= $10 AND chunk <= $11
		AND (start_us, plugin, track, chunk, ordinal) > ($2, $3, $4, $5, $6)
		ORDER BY start_us, plugin, track, chunk, ordinal`,
		start, name, track, chunk, ordinal, f.Plugin, only, max(start, from), to, last)
	out := make([]api.StoredResult, 0, len(list))
	for _, o := range list {
		out = append(out, o.StoredResult)
	}
	return out, next, err
}

// Segments lists segments by start.
func (s *Store) Segments(ctx context.Context, uid string, limit int, cont string) ([]api.Segment, string, error) {
	start, id := int64(-1), ""
	if err := parseCursor(cont, &start, &id); err != nil {
		return nil, "", err
	}
	var list []api.Segment
	_, next, err := pageThen(ctx, s, uid, limit, scanSegment, func(r *segmentRow) cursor {
		return cursor{r.in.Micros, r.id}
	},
		func(q querier, rows []*segmentRow) (err error) {
			list, err = wireSegments(ctx, q, uid, rows)
			return err
		}, `SELECT `+segmentColumns+` FROM segments WHERE event_uid = $1 AND (in_us, id) > ($2, $3)
			ORDER BY in_us, id`, start, id)
	return list, next, err
}

const clipColumns = `segment_id, variant, track, mark_version, state, in_frame, in_ticks, in_us, out_frame, out_ticks,
	out_us, object_key, thumbnail_key, proof, error, rendered_at`

func (s *Store) scanClip(r *sql.Rows) (api.Clip, error) {
	var c api.Clip
	var key, thumbnail, proof, failure string
	var rendered sql.NullInt64
	if err := r.Scan(&c.SegmentID, &c.Variant, &c.Track, &c.MarkVersion, &c.State, &c.In.Frame, &c.In.Ticks, &c.In.Micros,
		&c.Out.Frame, &c.Out.Ticks, &c.Out.Micros, &key, &thumbnail, &proof, &failure, &rendered); err != nil {
		return c, err
	}
	c.Location, c.Thumbnail, c.Error, c.RenderedAt = s.locate(key), s.locate(thumbnail), text(failure), wallTime(rendered)
	if proof != "" {
		c.Proof = &api.MediaProof{}
	}
	return c, fromJSON(proof, c.Proof)
}

// Clips lists clips by segment, variant and track.
func (s *Store) Clips(ctx context.Context, uid string, limit int, cont string) ([]api.Clip, string, error) {
	var segment, variant string
	var track, version int64
	if err := parseCursor(cont, &segment, &variant, &track, &version); err != nil {
		return nil, "", err
	}
	return page(ctx, s, uid, limit, s.scanClip, func(c api.Clip) cursor {
		return cursor{c.SegmentID, c.Variant, c.Track, c.MarkVersion}
	}, `SELECT `+clipColumns+` FROM clips WHERE event_uid = $1
		AND (segment_id, variant, track, mark_version) > ($2, $3, $4, $5)
		ORDER BY segment_id, variant, track, mark_version`, segment, variant, track, version)
}
