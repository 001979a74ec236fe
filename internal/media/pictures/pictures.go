// SPDX-License-Identifier: Apache-2.0

// Package pictures gives the pictures of units their frame numbers, and puts
// them on an exact grid before FFmpeg gets them. A source's own time stamps
// are rounded by its container and follow its clock, which is never exactly
// the nominal rate; on the grid, a frame number is a time stamp.
package pictures

import (
	"slices"
	"sort"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Picture is one picture of a unit.
type Picture struct {
	mpegts.PES
	Frame int64
}

// Of returns the pictures of a unit in decoding order. Their frames follow from
// the unit's first by the order of their time stamps.
func Of(rate timeline.Rational, file mpegts.UnitFile, u mpegts.Unit) []Picture {
	video := u.Video()
	if len(video) == 0 {
		return nil
	}
	out := make([]Picture, len(video))
	order := make([]int, len(video))
	for i, p := range video {
		out[i].PES, order[i] = p, i
	}
	sort.SliceStable(order, func(a, b int) bool { return video[order[a]].PTS < video[order[b]].PTS })
	stamps := make([]int64, len(video))
	first := 0
	for rank, i := range order {
		if stamps[rank] = video[i].PTS; stamps[rank] < file.FirstTicks && rank+1 < len(order) {
			first = rank + 1
		}
	}
	numbers := timeline.NumberFrames(rate, 0, stamps)
	for rank, i := range order {
		out[i].Frame = file.FirstFrame + numbers[rank] - numbers[first]
	}
	return out
}

// Lead is how many places of the grid a decoder may need before the first
// picture: more than H.264 can reorder.
const Lead = 17

// Ticks is the time stamp of a place on the grid.
func Ticks(rate timeline.Rational, place int64) int64 {
	return timeline.MulDiv(place, timeline.TickRate*rate.Den, rate.Num)
}

// Stamps returns the presentation and decoding time stamps of pictures in
// decoding order that are to be shown at the given places of the grid. The
// decoding time stamps never fall, and none is after its picture's other.
func Stamps(rate timeline.Rational, places []int64) (pts, dts []int64) {
	if len(places) == 0 {
		return nil, nil
	}
	sorted := slices.Sorted(slices.Values(places))
	// How many pictures come before one that is shown before them.
	depth := 0
	for i, place := range places {
		rank := sort.Search(len(sorted), func(k int) bool { return sorted[k] >= place })
		depth = max(depth, i-rank)
	}
	pts, dts = make([]int64, len(places)), make([]int64, len(places))
	for i, place := range places {
		pts[i] = Ticks(rate, place)
		if i < depth {
			dts[i] = Ticks(rate, sorted[0]-int64(min(depth-i, Lead)))
		} else {
			dts[i] = Ticks(rate, sorted[i-depth])
		}
	}
	return pts, dts
}
