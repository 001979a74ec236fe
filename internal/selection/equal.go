// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const microsPerHour = 3600 * 1_000_000

// selectEqual divides the Event into parts of equal length and goes round
// them: first the best segment of every part, then every second best, and so
// on. Within a round the higher score comes first. matching is by mark-in.
func selectEqual(matching []*entry, reel *budget) {
	parts := divide(matching)
	for _, p := range parts {
		byScore(p)
	}
	type ranked struct{ part, rank int }
	for round := 0; ; round++ {
		var turn []*entry
		place := map[*entry]ranked{}
		for i, p := range parts {
			if round < len(p) {
				turn = append(turn, p[round])
				place[p[round]] = ranked{part: i + 1, rank: round + 1}
			}
		}
		if len(turn) == 0 {
			return
		}
		byScore(turn)
		for _, e := range turn {
			at := place[e]
			reel.tryTake(e, partRank(at.rank, at.part, len(parts), e))
		}
	}
}

// divide sorts the segments into parts by mark-in. The parts cover the time
// from the Event's zero to the end of the segment that starts last: two parts
// for up to an hour, and two for each hour begun plus two beyond that. A
// segment that starts on the border of two parts belongs to the earlier one.
// All this is MRE's.
func divide(matching []*entry) [][]*entry {
	span := max(matching[len(matching)-1].OutMicros, 1)
	count := int64(2)
	if span > microsPerHour {
		hours := (span-1)/microsPerHour + 1
		count = hours*2 + 2
	}
	parts := make([][]*entry, count)
	for _, e := range matching {
		// Part k, from 0, is (k*span/count, (k+1)*span/count]: the ceiling of
		// in*count/span, less one.
		k := -timeline.MulDivFloor(-e.InMicros, count, span) - 1
		k = min(max(k, 0), count-1)
		parts[k] = append(parts[k], e)
	}
	return parts
}
