// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"math"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// usualRates are the rates that sources are meant to have.
var usualRates = []timeline.Rational{
	{Num: 5, Den: 1}, {Num: 10, Den: 1}, {Num: 12, Den: 1}, {Num: 25, Den: 2}, {Num: 15000, Den: 1001}, {Num: 15, Den: 1},
	{Num: 20, Den: 1}, {Num: 24000, Den: 1001}, {Num: 24, Den: 1}, {Num: 25, Den: 1}, {Num: 30000, Den: 1001},
	{Num: 30, Den: 1}, {Num: 48, Den: 1}, {Num: 50, Den: 1}, {Num: 60000, Den: 1001}, {Num: 60, Den: 1},
	{Num: 100, Den: 1}, {Num: 120000, Den: 1001}, {Num: 120, Den: 1},
}

// snapTolerance is how far a measured rate may be from a usual one and still be
// it: less than half the distance between 30000/1001 and 30 (0.1 %).
const snapTolerance = 0.0004

// SnapRate moves a measured rate to the usual rate within 0.04 %. Other rates
// stay as they are.
func SnapRate(r timeline.Rational) timeline.Rational {
	best, distance := r.Reduce(), snapTolerance
	for _, u := range usualRates {
		if d := math.Abs(r.Float()/u.Float() - 1); d <= distance {
			best, distance = u, d
		}
	}
	return best
}

// fewPictures is how many stamps say nothing of a rate: slides.
const fewPictures = 8

// jitterTicks is how far a stamp may be off because a container rounds to
// milliseconds (1.1 ms).
const jitterTicks = 100

// RateOf finds the nominal rate of pictures by their stamps (sorted ticks of
// some seconds), and reports whether the rate is constant: whether every stamp
// is a whole number of periods after the one before. Missing pictures do not
// make a rate vary. nominal is what the container says (FFmpeg's
// r_frame_rate), or the zero value.
func RateOf(stamps []int64, nominal timeline.Rational) (rate timeline.Rational, constant bool) {
	nominal = SnapRate(nominal)
	deltas := make([]int64, 0, len(stamps))
	for i := 1; i < len(stamps); i++ {
		deltas = append(deltas, stamps[i]-stamps[i-1])
	}
	if len(deltas) < fewPictures {
		return fallbackRate(nominal, deltas), len(deltas) > 0 && nominal.Valid() && onGrid(stamps, nominal)
	}
	if nominal.Valid() && nominal.Float() <= maxUsual && onGrid(stamps, nominal) && !sparse(deltas, nominal) {
		return nominal, true
	}
	if measured, ok := measure(stamps, deltas); ok && onGrid(stamps, measured) {
		return measured, true
	}
	return varyingRate(nominal, deltas), false
}

// maxUsual is the highest rate that a container may name on its own; more is
// the unit of its clock.
const maxUsual = 240

// sparse reports whether most pictures are more than a period apart: then
// the nominal rate is a multiple of the true one, such as a field rate.
func sparse(deltas []int64, rate timeline.Rational) bool {
	n := 0
	for _, d := range deltas {
		if timeline.Periods(rate, d) > 1 {
			n++
		}
	}
	return n*4 > len(deltas)*3
}

// measure takes the shortest usual distance as the period and measures it over
// all stamps.
func measure(stamps, deltas []int64) (timeline.Rational, bool) {
	sorted := slices.Sorted(slices.Values(deltas))
	base := sorted[len(sorted)/10]
	if base <= 0 {
		return timeline.Rational{}, false
	}
	guess := timeline.Rational{Num: timeline.TickRate, Den: base}
	// A period that is rounded to milliseconds must not lose count: the steps
	// are counted one by one.
	numbers := timeline.NumberFrames(guess, 0, stamps)
	n, span := numbers[len(numbers)-1], stamps[len(stamps)-1]-stamps[0]
	if n <= 0 {
		return timeline.Rational{}, false
	}
	rate := timeline.Rational{Num: timeline.TickRate * n, Den: span}.Reduce()
	if snapped := SnapRate(rate); snapped != rate {
		return snapped, true
	}
	// No usual rate: to a thousandth of a frame a second.
	milli := timeline.MulDiv(rate.Num, 1000, rate.Den)
	if whole := (milli + 500) / 1000 * 1000; whole > 0 && math.Abs(float64(milli)/float64(whole)-1) <= snapTolerance {
		milli = whole
	}
	return timeline.Rational{Num: max(milli, 1), Den: 1000}.Reduce(), milli > 0
}

// onGrid reports whether every stamp is a whole number of periods, at least
// one, after the one before, and whether no error adds up.
func onGrid(stamps []int64, rate timeline.Rational) bool {
	grid := timeline.Timeline{Rate: rate}
	tolerance := int64(jitterTicks)
	if slices.Contains(usualRates, rate) {
		// A rate that nobody uses must fit better to be believed.
		tolerance = max(grid.FrameStartTicks(1)/4, jitterTicks)
	}
	numbers := timeline.NumberFrames(rate, 0, stamps)
	for i := 1; i < len(stamps); i++ {
		if numbers[i] == numbers[i-1] {
			return false
		}
		off := stamps[i] - stamps[0] - grid.FrameStartTicks(numbers[i])
		if drift := (stamps[i] - stamps[0]) / int64(1/snapTolerance); off > tolerance+drift || off < -tolerance-drift {
			return false
		}
	}
	return true
}

// varyingRate is the rate of a grid for pictures that come at varying times:
// the nominal one, or the lowest usual rate at which hardly any two pictures
// share a frame.
func varyingRate(nominal timeline.Rational, deltas []int64) timeline.Rational {
	if nominal.Valid() && nominal.Float() <= mezzanineMaxRate.Float()+0.01 && nominal.Float() >= 1 {
		return nominal
	}
	sorted := slices.Sorted(slices.Values(deltas))
	short := sorted[len(sorted)/20] + jitterTicks
	for _, u := range usualRates {
		if u.Float() >= 24 && u.Float() <= mezzanineMaxRate.Float() &&
			(timeline.Timeline{Rate: u}).FrameStartTicks(1) <= short {
			return u
		}
	}
	return mezzanineMaxRate
}

// fallbackRate is that of slides: few pictures say nothing of a rate.
func fallbackRate(nominal timeline.Rational, deltas []int64) timeline.Rational {
	for _, u := range usualRates {
		if nominal == u {
			return u
		}
	}
	// A constant low rate, such as one picture a second, is what it says.
	if nominal.Valid() && nominal.Float() >= 1 && nominal.Float() < 5 && len(deltas) > 2 {
		return nominal
	}
	return timeline.Rational{Num: 25, Den: 1}
}
