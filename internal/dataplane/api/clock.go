// SPDX-License-Identifier: Apache-2.0

package api

import "github.com/mre-operator/mre-operator/internal/media/timeline"

// Clock converts between the timeline's frames, ticks and microseconds. Its end
// is open.
func (t Timeline) Clock() timeline.Timeline {
	c := timeline.Timeline{
		OriginTicks: t.OriginTicks,
		Rate:        timeline.Rational{Num: t.Rate.Num, Den: t.Rate.Den},
		Frames:      timeline.Open,
	}
	for _, a := range t.Anchors {
		c.Anchors = append(c.Anchors, timeline.Anchor{Frame: a.Frame, ShiftTicks: a.ShiftTicks})
	}
	return c
}

// ClosedClock is Clock with the end of an Event whose source has ended.
func (t Timeline) ClosedClock() timeline.Timeline {
	c := t.Clock()
	if t.Ended != nil && *t.Ended && t.Frames != nil {
		c.Frames = *t.Frames
	}
	return c
}
