// SPDX-License-Identifier: Apache-2.0

package store

import (
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// What the store itself says of optimized marks. Plugins use their own words.
const (
	codeTruncated    = "Succeeded - Truncated at the adjacent segment"
	codeNotAttempted = "Not Attempted"
	codeOverlap      = "Failed - Overlap with adjacent segment"
	codeBeyondEnd    = "Failed - Beyond the end of the media"
)

// publishOptimized stores what an optimizer found for the segments that its
// task claimed.
func (e *eventTx) publishOptimized(t *taskRow, marks []api.OptimizedMarks) error {
	segments, err := claimed(e, t)
	if err != nil {
		return err
	}
	reported := map[string]api.OptimizedMarks{}
	for i, m := range marks {
		if _, twice := reported[m.SegmentID]; twice {
			return invalid("optimized[%d] names segment %s a second time", i, m.SegmentID)
		}
		reported[m.SegmentID] = m
	}
	for _, s := range segments {
		m, ok := reported[s.id]
		delete(reported, s.id)
		if !ok {
			if err := e.insertMarks(t, s, false, s.in, s.out(), codeNotAttempted, codeNotAttempted); err != nil {
				return err
			}
			continue
		}
		if err := e.checkMarks(s, m); err != nil {
			return err
		}
		in, out := e.snap(m.StartMicros), e.snap(m.EndMicros)
		if out.Frame <= in.Frame {
			return invalid("optimized marks of segment %s leave no frame: from %d µs to %d µs", s.id, m.StartMicros, m.EndMicros)
		}
		if apart := !e.plan.overlaps(); apart && (in.Frame >= s.outFrame.Int64 || out.Frame <= s.in.Frame) {
			return invalid("optimized marks of segment %s, from %d µs to %d µs, have nothing in common with "+
				"it: it is from %d µs to %d µs",
				s.id, m.StartMicros, m.EndMicros, s.in.Micros, s.outUs.Int64)
		}
		if err := e.applyMarks(t, s, in, out, m.StartCode, m.EndCode); err != nil {
			return err
		}
	}
	for id := range reported {
		return invalid("optimized marks name segment %q, which this task did not claim", id)
	}
	return nil
}

// checkMarks refuses times that have nothing to do with a segment.
func (e *eventTx) checkMarks(s *segmentRow, m api.OptimizedMarks) error {
	window := e.plan.optimizerWindow()
	if err := near("the optimized start of segment "+s.id, m.StartMicros,
		s.in.Micros-window, s.outUs.Int64+window); err != nil {
		return err
	}
	return near("the optimized end of segment "+s.id, m.EndMicros, s.in.Micros-window, s.outUs.Int64+window)
}

// applyMarks stores optimized marks, cut off where a neighbour begins or ends
// unless the plan allows overlaps.
func (e *eventTx) applyMarks(t *taskRow, s *segmentRow, in, out api.Mark, startCode, endCode string) error {
	if e.plan.overlaps() {
		return e.insertMarks(t, s, true, in, out, startCode, endCode)
	}
	horizon, err := e.horizon(t)
	if err != nil {
		return err
	}
	before, err := e.segmentBefore(s)
	if err != nil {
		return err
	}
	if len(before) > 0 {
		end := before[0].out()
		marks, err := selectOptimized(e.ctx, e, `event_uid = $1 AND segment_id = $2 AND applied = 1`, e.ev.uid, before[0].id)
		if err != nil {
			return err
		}
		for _, m := range marks {
			if end.Frame < m.Out.Frame && (m.Track == t.track || m.Track == 0) {
				end = m.Out
			}
		}
		if in.Frame < end.Frame {
			e.note("the optimized start of segment %s at %s lies in the segment before it; it is moved to that one's end at %s",
				s.id, seconds(in.Micros), seconds(end.Micros))
			in, startCode = end, codeTruncated
		}
	}
	after, err := e.segmentAfter(s, horizon)
	if err != nil {
		return err
	}
	if len(after) > 0 {
		// Only a task that is tried again has a successor that was optimized before it.
		start, marks := after[0].in, []*optimizedMarks(nil)
		if marks, err = selectOptimized(e.ctx, e, `event_uid = $1 AND segment_id = $2
			AND applied = 1`, e.ev.uid, after[0].id); err != nil {
			return err
		}
		for _, m := range marks {
			if m.In.Frame < start.Frame && (m.Track == t.track || m.Track == 0) {
				start = m.In
			}
		}
		if out.Frame > start.Frame {
			e.note("the optimized end of segment %s at %s lies in the segment after it; it is moved to that one's start at %s",
				s.id, seconds(out.Micros), seconds(start.Micros))
			out, endCode = start, codeTruncated
		}
	}
	if out.Frame <= in.Frame {
		e.note("the optimized marks of segment %s leave no frame between its neighbours and are left out", s.id)
		return e.insertMarks(t, s, false, s.in, s.out(), codeOverlap, codeOverlap)
	}
	return e.insertMarks(t, s, true, in, out, startCode, endCode)
}

// insertMarks stores a new version of a segment's marks on a track. Marks that
// are not applied only say why there are none; they make room for any that come
// later.
func (e *eventTx) insertMarks(t *taskRow, s *segmentRow, applied bool,
	in, out api.Mark, startCode, endCode string) error {
	if _, err := e.exec(`DELETE FROM segment_marks WHERE event_uid = $1 AND segment_id = $2
		AND source = 'optimizer' AND track = $3 AND applied = 0`,
		e.ev.uid, s.id, t.track); err != nil {
		return err
	}
	version, err := one[int32](e.ctx, e, `SELECT COALESCE(MAX(version), 1) FROM segment_marks
		WHERE event_uid = $1 AND segment_id = $2 AND source = 'optimizer' AND track = $3`,
		e.ev.uid, s.id, t.track)
	if err != nil {
		return err
	}
	if applied {
		version++
		if _, err := e.exec(`UPDATE segments SET mark_version = CASE WHEN mark_version < $3 THEN $3 ELSE mark_version END
			WHERE event_uid = $1 AND id = $2`, e.ev.uid, s.id, version); err != nil {
			return err
		}
	}
	_, err = e.exec(`INSERT INTO segment_marks (event_uid, segment_id, source, track, version, applied, in_frame,
		in_ticks, in_us, out_frame, out_ticks, out_us, start_code, end_code, created_at)
		VALUES ($1, $2, 'optimizer', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.ev.uid, s.id, t.track, version, flag(applied), in.Frame, in.Ticks, in.Micros, out.Frame,
		out.Ticks, out.Micros, startCode, endCode, e.now)
	return err
}

// markUnoptimized says in the codes of the claimed segments why a failed
// optimizer moved no marks.
func (e *eventTx) markUnoptimized(t *taskRow) error {
	if t.state != api.TaskStateFailed {
		return nil
	}
	segments, err := claimed(e, t)
	if err != nil {
		return err
	}
	for _, s := range segments {
		code := "Failed: " + t.failure
		if err := e.insertMarks(t, s, false, s.in, s.out(), code, code); err != nil {
			return err
		}
	}
	return nil
}

// publishLabels stores the labels of the segments that a labeler's task
// claimed.
func (e *eventTx) publishLabels(t *taskRow, labels []api.SegmentLabel) error {
	segments, err := claimed(e, t)
	if err != nil {
		return err
	}
	mine := map[string]bool{}
	for _, s := range segments {
		mine[s.id] = true
	}
	for i, l := range labels {
		if !mine[l.SegmentID] {
			return invalid("labels[%d] names segment %q, which this task did not claim", i, l.SegmentID)
		}
		attributes, err := attributesJSON(nth("labels", i), l.Attributes)
		if err != nil {
			return err
		}
		if _, err := e.exec(`UPDATE segments SET label = $3, label_code = $4, label_attributes = $5
			WHERE event_uid = $1 AND id = $2`,
			e.ev.uid, l.SegmentID, l.Label, l.Code, attributes); err != nil {
			return err
		}
	}
	return nil
}
