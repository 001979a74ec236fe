// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// A hole is where frames are known to exist (later ones are stored, or the
// source has told its length) and are not stored. It is waited for, and then
// given up: it becomes a gap. Frames before events.frames are stored or lie in
// a gap.

// watchGap keeps the time at which the first hole is given up. The time of a
// hole runs from when it became the first one; moved says that it did.
func (e *eventTx) watchGap(moved bool) error {
	hole := e.ev.sourceEnded && e.ev.frames < e.ev.sourceFrames
	if !hole {
		later, err := one[int64](e.ctx, e, `SELECT COUNT(*)
			FROM (SELECT 1 FROM units WHERE event_uid = $1 AND first_frame > $2 LIMIT 1) AS later`, e.ev.uid, e.ev.frames)
		if err != nil {
			return err
		}
		hole = later > 0
	}
	switch {
	case !hole:
		e.ev.gapDue = sql.NullInt64{}
	case moved || !e.ev.gapDue.Valid:
		e.ev.gapDue = sql.NullInt64{Int64: e.now + int64(e.plan.GapTimeoutSeconds)*microsPerSecond, Valid: true}
	}
	return nil
}

// giveUpHole makes the first hole a gap: the Event goes on behind it.
func (e *eventTx) giveUpHole() error {
	end, err := one[sql.NullInt64](e.ctx, e, `SELECT MIN(first_frame) FROM units
		WHERE event_uid = $1 AND first_frame > $2`, e.ev.uid, e.ev.frames)
	if err != nil {
		return err
	}
	if !end.Valid {
		end.Int64 = e.ev.sourceFrames
	}
	if err := e.insertGap(gap{e.ev.frames, end.Int64}); err != nil {
		return err
	}
	return e.advance(end.Int64)
}

// gap is a range of frames that were given up.
type gap struct{ first, end int64 }

// insertGap stores a gap, unless it holds no frame.
func (e *eventTx) insertGap(g gap) error {
	if g.first >= g.end {
		return nil
	}
	_, err := e.exec(`INSERT INTO gaps (event_uid, first_frame, end_frame, declared_at)
		VALUES ($1, $2, $3, $4)`, e.ev.uid, g.first, g.end, e.now)
	return err
}

// gapsIn are the gaps that touch a range of frames, in order.
func (e *eventTx) gapsIn(first, end int64) ([]gap, error) {
	return collect(e.ctx, e, func(r *sql.Rows) (g gap, err error) { return g, r.Scan(&g.first, &g.end) },
		`SELECT first_frame, end_frame FROM gaps WHERE event_uid = $1 AND first_frame < $3 AND end_frame > $2
			ORDER BY first_frame`, e.ev.uid, first, end)
}

// fillGap takes note of a unit that came after its frames had been given up.
// The chunk that it makes whole is processed for features; segments have been
// made without it.
func (e *eventTx) fillGap(chunk, first, end int64) error {
	gaps, err := e.gapsIn(first, end)
	if err != nil || len(gaps) == 0 {
		return err // another epoch's copy of what is there
	}
	for _, g := range gaps {
		if _, err := e.exec(`DELETE FROM gaps WHERE event_uid = $1 AND first_frame = $2`, e.ev.uid, g.first); err != nil {
			return err
		}
		for _, left := range []gap{{g.first, first}, {end, g.end}} {
			if err := e.insertGap(left); err != nil {
				return err
			}
		}
	}
	return e.closeLate(chunk)
}

// closeLate closes a missing chunk that has come whole after all.
func (e *eventTx) closeLate(number int64) error {
	missing, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM chunks
		WHERE event_uid = $1 AND number = $2 AND state = 'missing'`, e.ev.uid, number)
	if err != nil || missing == 0 {
		return err
	}
	x, err := chunkExtent(e.ctx, e, e.ev.uid, number)
	if err != nil {
		return err
	}
	left, err := e.gapsIn(x.FirstFrame, x.FirstFrame+x.Frames)
	if err != nil || len(left) > 0 {
		return err
	}
	if _, err := e.exec(`UPDATE chunks SET state = 'closed', late = 1, closed_at = $3,
		units = (SELECT COUNT(*) FROM units u WHERE u.event_uid = $1 AND u.chunk = $2) WHERE event_uid = $1 AND number = $2`,
		e.ev.uid, number, e.now); err != nil {
		return err
	}
	return e.planFeatures(number)
}

// missingExtent says where a chunk without units ends: at its end on the grid
// when that lies in a gap, and where it starts when the chunk is only empty.
func (e *eventTx) missingExtent(number, first int64) (end int64, missing bool, err error) {
	end = e.frameFrom(number * int64(e.plan.ChunkSeconds) * microsPerSecond)
	if end <= first {
		return first, false, nil
	}
	gaps, err := e.gapsIn(first, end)
	if err != nil || len(gaps) == 0 {
		return first, false, err
	}
	return min(end, gaps[len(gaps)-1].end), true, nil
}

// frameFrom is the first frame that starts at or after a time.
func (e *eventTx) frameFrom(us int64) int64 {
	tl, err := clockAt(e.ctx, e, e.ev, us)
	e.noteClock(err)
	f := tl.FrameOfMicros(us) // the nearest
	if tl.FrameStartMicros(f) < us {
		f++
	}
	return f
}

// chunkOfFrame is the number of the chunk in whose time a frame lies.
func (e *eventTx) chunkOfFrame(frame int64) int64 {
	return timeline.ChunkOf(e.startOf(frame), int64(e.plan.ChunkSeconds))
}

// endSource notes how long the source is. From now on the Event drains.
func (e *eventTx) endSource(frames int64) error {
	e.ev.sourceEnded, e.ev.sourceFrames, e.ev.ingestProblem = true, frames, ""
	e.ev.state = api.EventStateStateDraining
	e.ev.drainDue = sql.NullInt64{Int64: e.now + int64(e.plan.DrainTimeoutSeconds)*microsPerSecond, Valid: true}
	if err := e.watchGap(false); err != nil {
		return err
	}
	return e.closeChunks()
}
