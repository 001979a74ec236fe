// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// publishSegments applies what a segmenter or the final pass reports. Unless
// the plan allows overlaps, segments come by time, never overlap, and at most
// one is open; anything else is refused with the segment's place in the report,
// and nothing of it is stored.
func (e *eventTx) publishSegments(t *taskRow, updates []api.SegmentUpdate) error {
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, t.chunk)
	if err != nil {
		return err
	}
	open, err := openSegments(e.ctx, e, e.ev.uid)
	if err != nil {
		return err
	}
	end, err := lastEnd(e.ctx, e, e.ev.uid)
	if err != nil {
		return err
	}
	ordinal, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM segments
		WHERE event_uid = $1 AND opened_chunk = $2`, e.ev.uid, t.chunk)
	if err != nil {
		return err
	}
	for i, u := range updates {
		if err := e.checkTimes(i, u, chunk); err != nil {
			return err
		}
		var s *segmentRow
		if optionalName(u.ID) != "" {
			if s, err = e.continueSegment(i, open, u); err != nil {
				return err
			}
		} else {
			if err := e.checkOpening(i, u, open, end, chunk); err != nil {
				return err
			}
			if s, err = e.insertSegment(i, t.chunk, ordinal, u); err != nil {
				return err
			}
			ordinal++
			open = append(open, s)
		}
		if u.EndMicros == nil {
			continue
		}
		if err := e.closeReported(i, t, s, u); err != nil {
			return err
		}
		open = slices.DeleteFunc(open, func(o *segmentRow) bool { return o == s })
		end = s.outUs.Int64
	}
	return nil
}

// checkTimes refuses times that no segment can have. It may have begun long
// before the chunk, and end as late as the plan allows.
func (e *eventTx) checkTimes(i int, u api.SegmentUpdate, chunk api.ChunkExtent) error {
	if err := near(nth("segments", i)+".startMicros", u.StartMicros, 0, chunk.EndMicros); err != nil ||
		u.EndMicros == nil {
		return err
	}
	return near(nth("segments", i)+".endMicros", *u.EndMicros, 0, chunk.EndMicros+e.plan.maxSegmentMicros())
}

// checkOpening refuses a new segment that the ones before it do not allow.
func (e *eventTx) checkOpening(i int, u api.SegmentUpdate, open []*segmentRow, end int64, chunk api.ChunkExtent) error {
	in, apart := e.snap(u.StartMicros), !e.plan.overlaps()
	switch {
	case apart && len(open) > 0:
		return invalid("segments[%d] opens a segment at %d µs while segment %s is open; close it first, with its id",
			i, u.StartMicros, open[0].id)
	case apart && in.Micros < end:
		return invalid("segments[%d] starts at %d µs, before the end of the segment before it at %d µs",
			i, u.StartMicros, end)
	case in.Micros >= chunk.EndMicros:
		return invalid("segments[%d] starts at %d µs, after the end of chunk %d at %d µs; report it with the "+
			"chunk it starts in", i, u.StartMicros, chunk.Number, chunk.EndMicros)
	}
	return nil
}

// continueSegment adds to the attributes of an open segment, and returns it.
func (e *eventTx) continueSegment(i int, open []*segmentRow, u api.SegmentUpdate) (*segmentRow, error) {
	at := slices.IndexFunc(open, func(o *segmentRow) bool { return o.id == *u.ID })
	if at < 0 {
		return nil, invalid("segments[%d] names segment %q, which is not open", i, *u.ID)
	}
	s := open[at]
	if in := e.snap(u.StartMicros); in.Frame != s.in.Frame {
		return nil, invalid("segments[%d] moves the start of segment %s from %d µs to %d µs; a start is fixed when "+
			"the segment opens", i, s.id, s.in.Micros, in.Micros)
	}
	return s, e.mergeAttributes(nth("segments", i), s, u.Attributes)
}

func (e *eventTx) insertSegment(i int, chunk, ordinal int64, u api.SegmentUpdate) (*segmentRow, error) {
	body, err := attributesJSON(nth("segments", i), u.Attributes)
	if err != nil {
		return nil, err
	}
	s := &segmentRow{
		id: fmt.Sprintf("%06d-%d", chunk, ordinal), state: api.SegmentStateOpen, openedChunk: chunk,
		in: e.snap(u.StartMicros), reportedUs: u.StartMicros, attributes: body, markVersion: 1,
	}
	_, err = e.exec(`INSERT INTO segments (event_uid, id, state, opened_chunk, reported_us, in_frame,
		in_ticks, in_us, attributes, mark_version, created_at)
		VALUES ($1, $2, 'Open', $3, $4, $5, $6, $7, $8, 1, $9)`, e.ev.uid, s.id, chunk, u.StartMicros,
		s.in.Frame, s.in.Ticks, s.in.Micros, body, e.now)
	return s, err
}

// closeReported closes a segment where its segmenter says.
func (e *eventTx) closeReported(i int, t *taskRow, s *segmentRow, u api.SegmentUpdate) error {
	out := e.snap(*u.EndMicros)
	if out.Frame <= s.in.Frame {
		return invalid("segments[%d] ends at %d µs, which leaves no frame after its start at %d µs", i,
			*u.EndMicros, s.in.Micros)
	}
	reason := api.SegmentUpdateCloseReasonDetected
	if t.kind == api.TaskKindFinal {
		reason = api.SegmentUpdateCloseReasonSourceEnded
	}
	if u.CloseReason != nil {
		reason = *u.CloseReason
	}
	if limit := e.snap(s.in.Micros + e.plan.maxSegmentMicros()); out.Frame > limit.Frame {
		e.note("the segment at %s was to end at %s; it ends at %s, as a segment lasts at most %d s", seconds(s.in.Micros),
			seconds(out.Micros), seconds(limit.Micros), e.plan.MaxSegmentSeconds)
	}
	return e.closeSegment(t.chunk, s, out, reason)
}

// closeSegment completes a segment, at the latest at the plan's greatest
// length.
func (e *eventTx) closeSegment(chunk int64, s *segmentRow, out api.Mark, reason api.SegmentUpdateCloseReason) error {
	if limit := e.snap(s.in.Micros + e.plan.maxSegmentMicros()); out.Frame > limit.Frame {
		out, reason = limit, api.SegmentUpdateCloseReasonMaxSegmentLength
	}
	s.state, s.closeReason = api.SegmentStateComplete, string(reason)
	s.setOut(out)
	if _, err := e.exec(`UPDATE segments SET state = 'Complete', closed_chunk = $3, out_frame = $4, out_ticks = $5,
		out_us = $6, close_reason = $7, completed_at = $8 WHERE event_uid = $1 AND id = $2`,
		e.ev.uid, s.id, chunk, out.Frame, out.Ticks, out.Micros, string(reason), e.now); err != nil {
		return err
	}
	e.completed = append(e.completed, s)
	return nil
}

// closedByFailure is why the open segment of an Event that fails is closed.
const closedByFailure = "EventFailed"

// breakOffSegments closes what is open of an Event that fails where its media
// ends. No clip is made of it.
func (e *eventTx) breakOffSegments() error {
	open, err := openSegments(e.ctx, e, e.ev.uid)
	if err != nil {
		return err
	}
	for _, s := range open {
		out := e.markAt(max(e.ev.frames, s.in.Frame+1))
		if _, err := e.exec(`UPDATE segments SET state = 'Complete', closed_chunk = $3, out_frame = $4, out_ticks = $5,
			out_us = $6, close_reason = $7, completed_at = $8
			WHERE event_uid = $1 AND id = $2`, e.ev.uid, s.id, e.ev.watermark, out.Frame, out.Ticks,
			out.Micros, closedByFailure, e.now); err != nil {
			return err
		}
	}
	return nil
}

// limitOpenSegments closes what its segmenter left open although the greatest
// length is reached or the source has ended.
func (e *eventTx) limitOpenSegments(t *taskRow) error {
	open, err := openSegments(e.ctx, e, e.ev.uid)
	if err != nil || len(open) == 0 {
		return err
	}
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, t.chunk)
	if err != nil {
		return err
	}
	for _, s := range open {
		out, reason := e.snap(s.in.Micros+e.plan.maxSegmentMicros()), api.SegmentUpdateCloseReasonMaxSegmentLength
		switch {
		case t.kind == api.TaskKindFinal:
			out, reason = e.markAt(e.ev.sourceFrames), api.SegmentUpdateCloseReasonSourceEnded
		case chunk.EndMicros < out.Micros:
			continue
		}
		if err := e.closeSegment(t.chunk, s, out, reason); err != nil {
			return err
		}
	}
	return nil
}
