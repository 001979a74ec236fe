// SPDX-License-Identifier: Apache-2.0

package source

import (
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Matroska and fragmented MP4 give the time of a whole fragment: a Cluster, or
// the fragment of a track in a movie fragment. In them the container's times
// count, and holes of any length stay. What goes back in time would lie upon
// other media: two files that were joined byte after byte, fragments that are
// out of order, or a time that was damaged.
//
// Times here are in nanoseconds.

const (
	nanoRate = int64(1_000_000_000)
	// nearNanos is how far a fragment may begin from the end of the one before
	// it and go on from it: pictures that come late, sound that ends early.
	nearNanos = nanoRate / 2
	// orderNanos is how much before the fragment before it a fragment may begin.
	// Pictures are stored in the order of decoding, and fragments can be short.
	orderNanos = nanoRate / 4
	// splitNanos is how much files that were split from one may overlap, as
	// their containers round times.
	splitNanos = nanoRate / 100
	// farNanos bounds times, so that sums of them do not overflow.
	farNanos = int64(1) << 61
)

// verdict says where a fragment belongs.
type verdict int

const (
	// stays: it goes on from what came, or follows a hole.
	stays verdict = iota
	// unclear: the time of the next fragment tells.
	unclear
	// joins: a new part begins with it, whose times are others.
	joins
	// follows: its time is wrong, or it is out of order. It follows what came,
	// and the next fragment's time counts as before.
	follows
)

// situation is what a fragment's place is decided by. Times are those of one
// stream, all with the same shift.
type situation struct {
	// end is where what came ends; none begins before the fragment before it,
	// which is at before.
	end, before int64
	// first and last are where the fragment begins and ends.
	first, last int64
	// next is where the fragment after it begins, if that is known.
	next    int64
	hasNext bool
	// over says that there is no next fragment, or that it cannot be waited for.
	over bool
	// fresh says that the fragment is the first of a file that was joined to
	// another.
	fresh bool
}

func (s situation) verdict() verdict {
	back, ahead := s.first < s.end-nearNanos || s.first < s.before, s.first > s.end+nearNanos
	continues := s.hasNext && s.next >= s.last-nearNanos && s.next <= s.last+nearNanos
	switch {
	case s.fresh && s.first < s.end-splitNanos:
		return joins
	case !back && !ahead:
		return stays
	case !s.hasNext && !s.over:
		return unclear
	case ahead && (!s.hasNext || s.next >= s.last-nearNanos):
		return stays
	case ahead:
		return follows
	case s.hasNext && !continues && s.next >= s.end-nearNanos:
		return follows
	}
	return joins
}

// line is what is known of a stream whose media comes in fragments. Times are
// those of the closed clock.
type line struct {
	kind kind
	seen bool
	// top is the latest time that came, recent are the last ones.
	top    int64
	recent []int64
	// first is the earliest time of the fragment that was begun last; opened
	// says that it has one.
	first  int64
	opened bool
	// until, if not nil, is where the sound before a seam ends.
	until *int64
}

// open begins a fragment of the stream.
func (l *line) open() { l.opened = false }

// add notes media at a time.
func (l *line) add(at int64) {
	if !l.opened || at < l.first {
		l.first, l.opened = at, true
	}
	if !l.seen || at > l.top {
		l.top, l.seen = at, true
	}
	l.recent = append(l.recent, at)
	if len(l.recent) > recentStamps {
		l.recent = slices.Delete(l.recent, 0, len(l.recent)-recentStamps)
	}
}

func (l *line) period() int64 { return usualStep(l.recent, nanoRate/25) }

// end is where what came ends.
func (l *line) end() int64 { return l.top + l.period() }

// seam is a place where fragments meet that did not follow each other: sound at
// the same time as what came before it is left out from here.
func (l *line) seam(here bool) {
	l.until = nil
	if here && l.kind == sound && l.seen {
		end := l.end()
		l.until = &end
	}
}

// covered says that sound is mostly at the same time as what came before a seam.
func (l *line) covered(at int64) bool {
	if l.until == nil {
		return false
	}
	if 2*(*l.until-at) > l.period() {
		return true
	}
	l.until = nil
	return false
}

// span is where a stream's media lies in a fragment, by the source's clock.
type span struct {
	line  *line
	times []int64
}

func (s *span) first() int64 { return slices.Min(s.times) }

// last is where the media ends.
func (s *span) last() int64 {
	period := s.line.period()
	if len(s.times) > 1 {
		period = usualStep(s.times, period)
	}
	return slices.Max(s.times) + period
}

// lead finds the stream whose times decide: that of the pictures, if there are
// any before and in the fragment.
func lead(spans []*span) *span {
	var best *span
	for _, s := range spans {
		if s.line.kind != other && s.line.seen && len(s.times) > 0 &&
			(best == nil || s.line.kind == picture && best.line.kind != picture) {
			best = s
		}
	}
	return best
}

// follow is the shift with which a fragment follows what came: the first
// picture follows the last one by a period, and sound keeps its offset to it.
// Parts rarely end with picture and sound at once: the overlap of some sound is
// better than a hole in the picture.
func follow(spans []*span, by *span) int64 {
	shift := by.line.end() - by.first()
	for _, s := range spans {
		if s == by || s.line.kind == other || !s.line.seen || len(s.times) == 0 {
			continue
		}
		over := s.line.end() - (s.first() + shift)
		if by.line.kind != picture && over > 0 || over > nearNanos {
			shift += over
		}
	}
	return shift
}

// joinAt tells of a join.
func joinAt(joined func(Join), at, jump int64) {
	if joined != nil {
		joined(Join{Ticks: ticksOf(at), Jump: ticksOf(jump)})
	}
}

// ticksOf is a time in ticks of 90 kHz.
func ticksOf(nanos int64) int64 { return timeline.MulDiv(nanos, tickRate, nanoRate) }
