// SPDX-License-Identifier: Apache-2.0

package timeline

import "sort"

// nearestRounds of the search for a frame end far below half a frame: a source's
// clock is at most some 400 ppm from its nominal rate, so that each round
// leaves less than a thousandth of the error of the one before.
const nearestRounds = 4

// nearest finds the frame by the shift at that frame.
func (t Timeline) nearest(frame func(shift int64) int64) int64 {
	if len(t.Anchors) == 0 {
		return frame(0)
	}
	f := frame(t.Anchors[0].ShiftTicks)
	for range nearestRounds {
		next := frame(t.shift(f))
		if next == f {
			break
		}
		f = next
	}
	return f
}

// shift is how many ticks frame f starts later than on the nominal grid.
func (t Timeline) shift(f int64) int64 {
	n := len(t.Anchors)
	if n == 0 {
		return 0
	}
	i := sort.Search(n, func(i int) bool { return t.Anchors[i].Frame > f })
	switch i {
	case 0:
		return t.Anchors[0].ShiftTicks
	case n:
		return t.Anchors[n-1].ShiftTicks
	}
	a, b := t.Anchors[i-1], t.Anchors[i]
	return a.ShiftTicks + MulDiv(b.ShiftTicks-a.ShiftTicks, f-a.Frame, b.Frame-a.Frame)
}

// AnchorAt is the anchor of a frame whose true start in Event time is known,
// such as the first of a unit or of a chunk.
func (t Timeline) AnchorAt(frame, startMicros int64) Anchor {
	nominal := Timeline{Rate: t.Rate}.FrameStartMicros(frame)
	return Anchor{Frame: frame, ShiftTicks: MulDiv(startMicros-nominal, TickRate, microsPerSecond)}
}

// Between is the timeline of a stretch of frames whose true start and end
// (exclusive) in Event time are known.
func (t Timeline) Between(first, startMicros, end, endMicros int64) Timeline {
	t.Anchors = []Anchor{t.AnchorAt(first, startMicros)}
	if end > first {
		t.Anchors = append(t.Anchors, t.AnchorAt(end, endMicros))
	}
	return t
}

// NumberFrames numbers pictures by the order of their stamps, which are sorted
// ticks: the first is the given frame, and each other is as many frames after
// the one before it as there are nominal periods between their stamps, rounded.
// Equal numbers mean that two pictures share a frame. An error of the source's
// clock cannot add up, as no stamp is compared with one far away.
func NumberFrames(rate Rational, first int64, stamps []int64) []int64 {
	out := make([]int64, len(stamps))
	for i := range stamps {
		if out[i] = first; i > 0 {
			out[i] = out[i-1] + Periods(rate, stamps[i]-stamps[i-1])
		}
	}
	return out
}

// Periods is how many nominal frame periods a number of ticks is, rounded.
func Periods(rate Rational, ticks int64) int64 {
	return MulDiv(ticks, rate.Num, TickRate*rate.Den)
}
