// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"sync"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// slewParts bounds how fast the source's clock may seem to move: one part in so
// many (500 ppm). Faster is no clock, but pictures that come at varying times.
const slewParts = 2000

// pacer gives the pictures of a mezzanine their frames: the nearest one on a
// grid that follows the source's clock.
type pacer struct {
	rate   timeline.Rational
	period int64
	resume *Position
	// first is the part's first frame.
	first int64

	mu     sync.Mutex
	clock  timeline.Timeline
	begun  bool
	last   int64
	stamp  int64
	length int64
	twice  bool
	offs   []int64
	placed int64
}

func newPacer(c Config) *pacer {
	p := &pacer{rate: c.Decision.Rate, resume: c.Resume}
	p.period = (timeline.Timeline{Rate: p.rate}).FrameStartTicks(1)
	p.clock = timeline.Timeline{Rate: p.rate, Frames: timeline.Open}
	if r := c.Resume; r != nil {
		p.first = r.Frame
		p.clock.OriginTicks = r.OriginTicks
		p.clock.Anchors = []timeline.Anchor{{Frame: r.Frame, ShiftTicks: r.ShiftTicks}}
	}
	return p
}

// ticks is where a position lies on the source's clock.
func (at Position) ticks(rate timeline.Rational) int64 {
	return timeline.Timeline{OriginTicks: at.OriginTicks, Rate: rate}.FrameStartTicks(at.Frame) + at.ShiftTicks
}

// place gives a picture its frame; not ok for one before the part's start.
func (p *pacer) place(stamp int64) (frame int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.begun && p.resume == nil:
		p.begun, p.stamp = true, timeline.Wrap(stamp)
		p.clock.OriginTicks = p.stamp
		return p.accept(0, p.stamp)
	case !p.begun:
		start := p.resume.ticks(p.rate)
		stamp = timeline.Near(timeline.Wrap(stamp), start)
		if stamp < start-p.period/2 {
			return 0, false
		}
		p.begun = true
		return p.accept(max(p.clock.FrameOfTicks(stamp), p.first), stamp)
	}
	stamp = timeline.Near(timeline.Wrap(stamp), p.stamp)
	// Jitter must not move a picture that is half a period off the grid to and
	// fro, so the step from the one before counts where it leads near enough.
	frame = p.last + max(timeline.Periods(p.rate, stamp-p.stamp), 0)
	if off := stamp - p.clock.FrameStartTicks(frame); off*10 > p.period*6 || -off*10 > p.period*6 {
		frame = p.clock.FrameOfTicks(stamp)
	}
	return p.accept(frame, stamp)
}

func (p *pacer) accept(frame, stamp int64) (int64, bool) {
	frame = max(frame, p.last)
	p.twice = p.placed > 0 && frame == p.last
	if p.placed++; p.placed == 1 {
		p.length = p.period
	} else if stamp > p.stamp {
		p.length = min(stamp-p.stamp, p.period)
	}
	p.last, p.stamp = frame, max(stamp, p.stamp)
	p.follow(frame, stamp)
	return frame, true
}

// follow moves the grid with the source's clock, where that is constant and
// each picture has a frame of its own.
func (p *pacer) follow(frame, stamp int64) {
	if p.twice {
		p.offs = p.offs[:0]
		return
	}
	p.offs = append(p.offs, stamp-p.clock.FrameStartTicks(frame))
	if len(p.offs) < meanPictures {
		return
	}
	var sum int64
	low, high := p.offs[0], p.offs[0]
	for _, o := range p.offs {
		sum += o
		low, high = min(low, o), max(high, o)
	}
	mean := timeline.MulDiv(sum, 1, int64(len(p.offs)))
	n := int64(len(p.offs))
	p.offs = p.offs[:0]
	if high-low > p.period/2 || mean <= deadTicks && mean >= -deadTicks {
		return
	}
	limit := n * p.period / slewParts
	shift := int64(0)
	if k := len(p.clock.Anchors); k > 0 {
		shift, frame = p.clock.Anchors[k-1].ShiftTicks, max(frame, p.clock.Anchors[k-1].Frame+1)
	}
	// The new shift is reached a second from here, so that time never jumps.
	p.clock.Anchors = append(p.clock.Anchors, timeline.Anchor{Frame: frame, ShiftTicks: shift},
		timeline.Anchor{Frame: frame + n, ShiftTicks: shift + min(max(mean, -limit), limit)})
	if k := len(p.clock.Anchors); k > keepAnchors {
		p.clock.Anchors = append(p.clock.Anchors[:0:0], p.clock.Anchors[k-keepAnchors:]...)
	}
}

// keepAnchors are far more than the encoder and the units lag behind.
const keepAnchors = 512

// following is the stamp of a picture that has none.
func (p *pacer) following() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stamp + p.period
}

// doubts reports whether a picture does not simply follow the one before it.
func (p *pacer) doubts(stamp int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	step := timeline.Near(timeline.Wrap(stamp), p.stamp) - p.stamp
	return p.begun && (step <= 0 || 2*step > 3*p.period)
}

// between is the stamp of a picture of which the next one's stamp is known:
// pictures come in the order in which they are shown, so that one that lies
// behind the next, or does not come after the one before though there is room,
// has a damaged stamp. It goes where the next ones leave room.
func (p *pacer) between(stamp, after int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, next := timeline.Near(timeline.Wrap(stamp), p.stamp)-p.stamp, timeline.Near(timeline.Wrap(after), p.stamp)-p.stamp
	late := next > 0 && at > next
	early := at <= 0 && 2*next > 3*p.period
	if !late && !early {
		return stamp
	}
	return p.stamp + min(p.period, next/2)
}

// shared reports whether the last picture has the frame of the one before it.
func (p *pacer) shared() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.twice
}

func (p *pacer) origin() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock.OriginTicks
}

// ticksOf is where the part's k-th frame starts.
func (p *pacer) ticksOf(k int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock.FrameStartTicks(p.first + k)
}

// end is where the last picture ends: it lasts as long as the one before it,
// but no longer than a frame. Of a source with twice the rate, the last one may
// have no frame left.
func (p *pacer) end() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.length*4 > p.period*3 {
		return p.last + 1
	}
	return p.clock.FrameOfTicks(p.stamp + p.length)
}

// nearest is the frame at a time.
func (p *pacer) nearest(ticks int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.clock.FrameOfTicks(ticks)
}
