// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// segmentRow is a row of segments.
type segmentRow struct {
	id          string
	state       api.SegmentState
	openedChunk int64
	closedChunk sql.NullInt64
	reportedUs  int64
	in          api.Mark
	outFrame    sql.NullInt64
	outTicks    sql.NullInt64
	outUs       sql.NullInt64
	closeReason string
	attributes  string
	label       string
	labelCode   string
	labelAttrs  string
	markVersion int32
	completedAt sql.NullInt64
}

const segmentColumns = `id, state, opened_chunk, closed_chunk, reported_us, in_frame, in_ticks, in_us, out_frame,
	out_ticks, out_us, close_reason, attributes, label, label_code, label_attributes, mark_version, completed_at`

func scanSegment(rows *sql.Rows) (*segmentRow, error) {
	var s segmentRow
	err := rows.Scan(&s.id, &s.state, &s.openedChunk, &s.closedChunk, &s.reportedUs, &s.in.Frame, &s.in.Ticks,
		&s.in.Micros, &s.outFrame, &s.outTicks, &s.outUs, &s.closeReason, &s.attributes, &s.label, &s.labelCode,
		&s.labelAttrs, &s.markVersion, &s.completedAt)
	return &s, err
}

// out is the mark-out of a complete segment.
func (s *segmentRow) out() api.Mark {
	return api.Mark{Frame: s.outFrame.Int64, Ticks: s.outTicks.Int64, Micros: s.outUs.Int64}
}

func (s *segmentRow) setOut(m api.Mark) {
	s.outFrame = sql.NullInt64{Int64: m.Frame, Valid: true}
	s.outTicks = sql.NullInt64{Int64: m.Ticks, Valid: true}
	s.outUs = sql.NullInt64{Int64: m.Micros, Valid: true}
}

// wire is the segment without the marks of others.
func (s *segmentRow) wire() (api.Segment, error) {
	w := api.Segment{
		ID: s.id, State: s.state, In: s.in, ReportedStartMicros: s.reportedUs, OpenedChunk: s.openedChunk,
		CompletedAt: wallTime(s.completedAt), CloseReason: text(s.closeReason), Attributes: map[string]any{},
		Optimized: []api.SegmentOptimized{}, Label: s.label, LabelCode: s.labelCode, MarkVersion: s.markVersion,
	}
	if s.outFrame.Valid {
		out := s.out()
		w.Out = &out
	}
	if s.closedChunk.Valid {
		w.ClosedChunk = &s.closedChunk.Int64
	}
	return w, fromJSON(s.attributes, &w.Attributes)
}

// selectSegments reads segments by a condition and an order.
func selectSegments(ctx context.Context, q querier, tail string, args ...any) ([]*segmentRow, error) {
	return collect(ctx, q, scanSegment, `SELECT `+segmentColumns+` FROM segments WHERE `+tail, args...)
}

// segmentBefore is the segment before another one, if there is one. Segments
// are in the order of their marks-in; their ids are names.
func (e *eventTx) segmentBefore(s *segmentRow) ([]*segmentRow, error) {
	return selectSegments(e.ctx, e, `event_uid = $1 AND in_us < $2 ORDER BY in_us DESC LIMIT 1`, e.ev.uid, s.in.Micros)
}

// segmentAfter is the segment after another one, as far as the chunks up to the
// horizon have opened it.
func (e *eventTx) segmentAfter(s *segmentRow, horizon int64) ([]*segmentRow, error) {
	return selectSegments(e.ctx, e, `event_uid = $1 AND in_us > $2 AND opened_chunk <= $3
		ORDER BY in_us LIMIT 1`, e.ev.uid, s.in.Micros, horizon)
}

// openSegments are the Event's open segments, by start. There is one at most
// unless the plan allows overlaps.
func openSegments(ctx context.Context, q querier, uid string) ([]*segmentRow, error) {
	return selectSegments(ctx, q, `event_uid = $1 AND state = 'Open' ORDER BY in_us, id`, uid)
}

// lastComplete is the complete segment that starts last, or nil.
func lastComplete(ctx context.Context, q querier, uid string) (*segmentRow, error) {
	list, err := selectSegments(ctx, q, `event_uid = $1 AND state = 'Complete' ORDER BY in_us DESC, id DESC LIMIT 1`, uid)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

// lastEnd is the mark-out of the complete segment that starts last; 0 when
// there is none.
func lastEnd(ctx context.Context, q querier, uid string) (int64, error) {
	s, err := lastComplete(ctx, q, uid)
	if err != nil || s == nil {
		return 0, err
	}
	return s.outUs.Int64, nil
}

// optimizedMarks is a row of segment_marks that an optimizer wrote.
type optimizedMarks struct {
	segment    string
	applied    bool
	version    int32
	marksFinal bool
	api.SegmentOptimized
}

// selectOptimized reads optimizers' marks by a condition.
func selectOptimized(ctx context.Context, q querier, tail string, args ...any) ([]*optimizedMarks, error) {
	return collect(ctx, q, func(r *sql.Rows) (*optimizedMarks, error) {
		var m optimizedMarks
		err := r.Scan(&m.segment, &m.applied, &m.version, &m.marksFinal, &m.Track, &m.In.Frame, &m.In.Ticks, &m.In.Micros,
			&m.Out.Frame, &m.Out.Ticks, &m.Out.Micros, &m.StartCode, &m.EndCode)
		return &m, err
	}, `SELECT segment_id, applied, version, marks_final, track, in_frame, in_ticks, in_us,
		out_frame, out_ticks, out_us, start_code, end_code
		FROM segment_marks WHERE source = 'optimizer' AND `+tail, args...)
}

// wireSegments adds what others than the segmenter said to segments of an Event: the optimizers' marks and the
// labelers' attributes.
func wireSegments(ctx context.Context, q querier, uid string, rows []*segmentRow) ([]api.Segment, error) {
	out := make([]api.Segment, 0, len(rows))
	if len(rows) == 0 {
		return out, nil
	}
	lo, hi := rows[0].id, rows[0].id
	for _, r := range rows {
		lo, hi = min(lo, r.id), max(hi, r.id)
	}
	marks, err := selectOptimized(ctx, q, `event_uid = $1 AND segment_id >= $2 AND segment_id <= $3
		ORDER BY segment_id, track, version`, uid, lo, hi)
	if err != nil {
		return nil, fmt.Errorf("read optimized marks: %w", err)
	}
	bySegment := map[string][]api.SegmentOptimized{}
	for _, m := range marks {
		bySegment[m.segment] = append(bySegment[m.segment], m.SegmentOptimized)
	}
	for _, r := range rows {
		w, err := r.wire()
		if err != nil {
			return nil, err
		}
		if o := bySegment[r.id]; o != nil {
			w.Optimized = o
		}
		labelled := map[string]any{}
		if err := fromJSON(r.labelAttrs, &labelled); err != nil {
			return nil, err
		}
		maps.Copy(w.Attributes, labelled)
		out = append(out, w)
	}
	return out, nil
}
