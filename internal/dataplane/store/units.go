// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// maxUnitMicros bounds a unit, so that those that hold a frame are found among
// the ones that start shortly before it.
const maxUnitMicros = 120 * microsPerSecond

// clockParts bounds how far a source's clock may be off its nominal rate: one
// part in so many (2000 ppm).
const clockParts = 500

// RegisterUnit registers a stored unit, in any order. A unit that is there
// already does nothing; another payload under its name is refused.
func (s *Store) RegisterUnit(ctx context.Context, uid string, u api.Unit) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		known, err := knownPayload(ctx, e, uid, u)
		if err != nil {
			return err
		}
		if known != "" && known == u.PayloadSHA256 {
			return errUnchanged
		}
		if known != "" {
			return conflict("unit %d/%d is stored with another payload; store this one in a new epoch", u.Epoch, u.FirstTicks)
		}
		end, err := e.checkUnit(u)
		if err != nil {
			return err
		}
		return e.addUnit(u, end)
	})
}

// knownPayload is the hash under which a unit is registered; empty when it is
// not.
func knownPayload(ctx context.Context, q querier, uid string, u api.Unit) (string, error) {
	var hash string
	err := q.QueryRowContext(ctx, `SELECT payload_sha256 FROM units
		WHERE event_uid = $1 AND epoch = $2 AND first_ticks = $3`,
		uid, u.Epoch, u.FirstTicks).Scan(&hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("look for unit %d/%d: %w", u.Epoch, u.FirstTicks, err)
	}
	return hash, nil
}

// checkUnit refuses a unit that does not lie on the timeline, and returns the
// frame at which it ends. That is counted from its times where a frame is
// missing inside it, so that one lost frame does not hold up the rest.
func (e *eventTx) checkUnit(u api.Unit) (int64, error) {
	if e.ev.timeline == nil {
		return 0, conflict("the timeline must be declared before the first unit is registered")
	}
	if e.ev.terminal() {
		return 0, conflict("the Event is %s: %s", e.ev.state, e.ev.message)
	}
	if want := keys.Unit(e.ev.namespace, e.ev.uid, u.Epoch, u.FirstTicks); u.Key != want {
		return 0, invalid("key is %q; this unit is stored at %q", u.Key, want)
	}
	if u.FirstFrame < 0 || u.Frames < 1 || u.EndMicros <= u.StartMicros || len(u.PayloadSHA256) != 64 {
		return 0, invalid("unit %d/%d: firstFrame, frames, startMicros, endMicros and payloadSHA256 do not describe media",
			u.Epoch, u.FirstTicks)
	}
	tl := clockOf(e.ev.timeline, timeline.Open)
	// A source's clock may be off its nominal rate, but not by far.
	nominal := tl.FrameStartMicros(u.FirstFrame)
	off, allowed := u.StartMicros-nominal, tl.FrameStartMicros(1)/2+nominal/clockParts
	if off > allowed || off < -allowed {
		return 0, invalid("unit %d/%d: startMicros %d is the start of frame %d, not of firstFrame %d",
			u.Epoch, u.FirstTicks, u.StartMicros, tl.FrameOfMicros(u.StartMicros), u.FirstFrame)
	}
	tl.Anchors = []timeline.Anchor{tl.AnchorAt(u.FirstFrame, u.StartMicros)}
	if u.EndMicros-u.StartMicros > maxUnitMicros {
		return 0, invalid("unit %d/%d lasts %d µs; a unit lasts at most %d µs",
			u.Epoch, u.FirstTicks, u.EndMicros-u.StartMicros, maxUnitMicros)
	}
	end := max(u.FirstFrame+u.Frames, tl.FrameOfMicros(u.EndMicros))
	if e.ev.sourceEnded && end > e.ev.sourceFrames {
		return 0, conflict("unit %d/%d ends at frame %d, but the source has ended with %d frames",
			u.Epoch, u.FirstTicks, end, e.ev.sourceFrames)
	}
	return end, nil
}

// addUnit stores a unit and closes the chunks that it makes whole.
func (e *eventTx) addUnit(u api.Unit, end int64) error {
	if err := e.refuseDoomed(u.Key); err != nil {
		return err
	}
	idr, err := toJSON(u.IdrFrames)
	if err != nil {
		return err
	}
	chunk := timeline.ChunkOf(u.StartMicros, int64(e.plan.ChunkSeconds))
	e.noteUnit(u, end)
	if _, err := e.exec(`INSERT INTO units (event_uid, epoch, first_ticks, object_key, start_us, end_us, first_frame,
		end_frame, frames, idr_frames, discontinuity, payload_sha256, bytes, chunk, registered_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		e.ev.uid, u.Epoch, u.FirstTicks, u.Key, u.StartMicros, u.EndMicros, u.FirstFrame, end, u.Frames,
		idr, u.Discontinuity, u.PayloadSHA256, u.Bytes, chunk, e.now); err != nil {
		return err
	}
	if e.ev.state == api.EventStateStatePending {
		e.ev.state = api.EventStateStateActive
	}
	e.ev.ingestProblem = ""
	if err := e.openChunk(chunk, u); err != nil {
		return err
	}
	if u.FirstFrame < e.ev.frames {
		if err := e.fillGap(chunk, u.FirstFrame, min(end, e.ev.frames)); err != nil {
			return err
		}
	}
	if end <= e.ev.frames {
		return nil
	}
	if u.FirstFrame > e.ev.frames {
		return e.watchGap(false)
	}
	return e.advance(end)
}

// noteUnit keeps what a unit says of the source.
func (e *eventTx) noteUnit(u api.Unit, end int64) {
	tl := clockOf(e.ev.timeline, timeline.Open)
	if u.StartMicros != tl.FrameStartMicros(u.FirstFrame) || u.EndMicros != tl.FrameStartMicros(end) {
		e.ev.timeline.Drifts = new(true)
	}
	if u.PicturesDropped != nil && *u.PicturesDropped > 0 {
		sum := *u.PicturesDropped
		if known := e.ev.timeline.PicturesDropped; known != nil {
			sum += *known
		}
		e.ev.timeline.PicturesDropped = &sum
	}
}

// advance moves the end of what is stored or given up, over units that had
// come early.
func (e *eventTx) advance(end int64) error {
	for end > e.ev.frames {
		e.ev.frames = end
		next, err := one[int64](e.ctx, e, `SELECT COALESCE(MAX(end_frame), 0) FROM units
			WHERE event_uid = $1 AND end_frame > $2 AND first_frame <= $2`, e.ev.uid, end)
		if err != nil {
			return err
		}
		end = next
	}
	if err := e.watchGap(true); err != nil {
		return err
	}
	return e.closeChunks()
}

// unitsCovering returns the units that hold frames from to to, in order, each
// frame once: where epochs overlap, the older one is taken. Frames that were
// given up are in none; without any unit it refuses.
func (e *eventTx) unitsCovering(from, to int64) ([]api.UnitRef, error) {
	if from >= to {
		return nil, nil
	}
	longest := clockOf(e.ev.timeline, timeline.Open).FrameOfMicros(maxUnitMicros) + 1
	type unit struct {
		ref   api.UnitRef
		end   int64
		epoch int32
	}
	units, err := collect(e.ctx, e, func(r *sql.Rows) (u unit, err error) {
		return u, r.Scan(&u.ref.Key, &u.ref.FirstTicks, &u.ref.FirstFrame, &u.ref.Frames, &u.end, &u.epoch)
	}, `SELECT object_key, first_ticks, first_frame, frames, end_frame, epoch FROM units
		WHERE event_uid = $1 AND first_frame >= $4 AND first_frame < $3 AND end_frame > $2
		ORDER BY first_frame, epoch`, e.ev.uid, from, to, from-longest)
	if err != nil {
		return nil, err
	}
	var out []api.UnitRef
	at := from
	for _, u := range units {
		if u.end > at {
			out = append(out, u.ref)
			at = u.end
		}
	}
	if len(out) == 0 {
		return nil, conflict("none of the frames %d to %d was ever delivered", from, to)
	}
	return out, nil
}

// soundLead is how much before a mark-in is taken along (128 ms). The decoder of a clip's sound needs as much to be
// right: an AAC frame may begin before the mark, and decodes right only after the one before it.
const soundLead = 128_000

// unitsToRender returns the units that a cut from in to out is decoded from. Where the mark-in lies in a hole, the
// unit before it has the picture that stands there, or, before all media, the first that comes.
func (e *eventTx) unitsToRender(in, out api.Mark) ([]api.UnitRef, error) {
	clock := clockOf(e.ev.timeline, timeline.Open)
	lead := soundLead*clock.Rate.Num/(microsPerSecond*clock.Rate.Den) + 1
	from, to := max(in.Frame-lead, 0), out.Frame
	before, err := one[int64](e.ctx, e, `SELECT COALESCE(MAX(end_frame), 0) FROM units
		WHERE event_uid = $1 AND first_frame <= $2`, e.ev.uid, in.Frame)
	if err != nil {
		return nil, err
	}
	if before > 0 {
		from = min(from, before-1)
	} else {
		first, err := one[int64](e.ctx, e, `SELECT COALESCE(MIN(first_frame), 0) FROM units WHERE event_uid = $1`, e.ev.uid)
		if err != nil {
			return nil, err
		}
		to = max(to, first+1)
	}
	return e.unitsCovering(from, to)
}
