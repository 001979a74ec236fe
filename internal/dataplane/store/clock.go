// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// The clock of a source is never exactly its nominal rate. Each unit knows its
// first frame and where that starts, so frames and times are converted through
// the units, and no error adds up over hours. An Event whose units all lie on
// the nominal grid needs no look at them.

// drifts says that some unit of the Event is off the nominal grid.
func (e *eventRow) drifts() bool {
	return e.timeline != nil && e.timeline.Drifts != nil && *e.timeline.Drifts
}

// clockAt is the clock around a time, by the unit that holds it.
func clockAt(ctx context.Context, q querier, ev *eventRow, us int64) (timeline.Timeline, error) {
	return unitClock(ctx, q, ev, `start_us <= $2 ORDER BY start_us DESC`, us)
}

// clockAround is the clock around a frame, by the unit that holds it.
func clockAround(ctx context.Context, q querier, ev *eventRow, frame int64) (timeline.Timeline, error) {
	return unitClock(ctx, q, ev, `first_frame <= $2 ORDER BY first_frame DESC`, frame)
}

func unitClock(ctx context.Context, q querier, ev *eventRow, where string, at int64) (timeline.Timeline, error) {
	tl := clockOf(ev.timeline, timeline.Open)
	if !ev.drifts() {
		return tl, nil
	}
	var first, start, end, endUs int64
	err := q.QueryRowContext(ctx, `SELECT first_frame, start_us, end_frame, end_us FROM units
		WHERE event_uid = $1 AND `+where+` LIMIT 1`,
		ev.uid, at).Scan(&first, &start, &end, &endUs)
	if errors.Is(err, sql.ErrNoRows) {
		return tl, nil
	}
	if err != nil {
		return tl, fmt.Errorf("read the clock of Event %s: %w", ev.uid, err)
	}
	return tl.Between(first, start, end, endUs), nil
}

// snap turns a time into a mark without regard to where the media ends today:
// a mark must not depend on when it arrived. The end clamps it later.
func (e *eventTx) snap(us int64) api.Mark {
	tl, err := clockAt(e.ctx, e, e.ev, us)
	e.noteClock(err)
	return wireMark(tl.Snap(us))
}

// markAt is the mark at a frame's start.
func (e *eventTx) markAt(frame int64) api.Mark {
	tl, err := clockAround(e.ctx, e, e.ev, frame)
	e.noteClock(err)
	return wireMark(tl.MarkOf(frame))
}

// startOf is the time at which a frame starts.
func (e *eventTx) startOf(frame int64) int64 {
	tl, err := clockAround(e.ctx, e, e.ev, frame)
	e.noteClock(err)
	return tl.FrameStartMicros(frame)
}

// noteClock keeps an error of the database until the transaction ends, which
// it makes fail: conversions of times stay expressions.
func (e *eventTx) noteClock(err error) { e.clockErr = errors.Join(e.clockErr, err) }

// maxAnchors go with a task: at 5 s a unit, they reach back 25 minutes.
const maxAnchors = 300

// anchorsUpTo are the shifts of the source's clock before a frame.
func (e *eventTx) anchorsUpTo(frame int64) []api.Anchor {
	if !e.ev.drifts() {
		return nil
	}
	tl := clockOf(e.ev.timeline, timeline.Open)
	type unit struct{ first, start, end, endUs int64 }
	units, err := collect(e.ctx, e, func(r *sql.Rows) (u unit, err error) {
		return u, r.Scan(&u.first, &u.start, &u.end, &u.endUs)
	}, `SELECT first_frame, start_us, end_frame, end_us FROM units WHERE event_uid = $1 AND first_frame < $2
		ORDER BY first_frame DESC LIMIT $3`, e.ev.uid, frame, maxAnchors)
	e.noteClock(err)
	out := []api.Anchor{}
	for i, u := range slices.Backward(units) {
		out = append(out, wireAnchor(tl.AnchorAt(u.first, u.start)))
		if i == 0 {
			out = append(out, wireAnchor(tl.AnchorAt(u.end, u.endUs)))
		}
	}
	return out
}

func wireAnchor(a timeline.Anchor) api.Anchor {
	return api.Anchor{Frame: a.Frame, ShiftTicks: a.ShiftTicks}
}
