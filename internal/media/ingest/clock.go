// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// deadTicks is how far the source's clock may seem to be from where it is
	// taken to be before that is corrected (0.67 ms): what rounding to
	// milliseconds in a container makes of a perfect clock, and a little more.
	deadTicks = 60
	// meanPictures are looked at to tell where the clock is.
	meanPictures = 30
)

// clock follows a source's clock along the nominal grid.
type clock struct {
	at   Position
	rate timeline.Rational
}

func newClock(at Position, rate timeline.Rational) clock { return clock{at, rate} }

func (c clock) nominal() timeline.Timeline {
	return timeline.Timeline{OriginTicks: c.at.OriginTicks, Rate: c.rate, Frames: timeline.Open}
}

// ticks is where a frame starts on the source's clock.
func (c clock) ticks(frame, shift int64) int64 { return c.nominal().FrameStartTicks(frame) + shift }

// micros is that in Event time.
func (c clock) micros(frame, shift int64) int64 {
	tl := c.nominal()
	tl.Anchors = []timeline.Anchor{{Frame: frame, ShiftTicks: shift}}
	return tl.FrameStartMicros(frame)
}

// half is half a frame's period, in ticks.
func (c clock) half() int64 { return (timeline.Timeline{Rate: c.rate}).FrameStartTicks(1) / 2 }

// length is how many microseconds a number of frames nominally lasts.
func (c clock) length(frames int64) int64 {
	return timeline.Timeline{Rate: c.rate}.FrameStartMicros(frames)
}

// text is a time of the source for messages.
func (c clock) text(ticks int64) string {
	s := timeline.MulDivFloor(ticks-c.at.OriginTicks, 1, timeline.TickRate)
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// number numbers pictures by their sorted stamps, from the first frame and the
// shift there. It returns the shift at the last stamp, and the index of the
// first stamp that is on no frame of its own, or more than half a period off
// the line through the first one; -1 when all are well.
func (c clock) number(first, shift int64, stamps []int64) (numbers []int64, end int64, odd int) {
	numbers = timeline.NumberFrames(c.rate, first, stamps)
	tl := c.nominal()
	period := (timeline.Timeline{Rate: c.rate}).FrameStartTicks(1)
	// A stamp of a container that rounds to milliseconds is up to half of one
	// off, and so is the first.
	tolerance := max(period/2-deadTicks, period/4) + deadTicks
	var sum, n int64
	base := stamps[0] - tl.FrameStartTicks(first)
	for i, s := range stamps {
		off := s - tl.FrameStartTicks(numbers[i])
		if i > 0 && (numbers[i] == numbers[i-1] || off-base > tolerance || base-off > tolerance) {
			return numbers, shift, i
		}
		if i >= len(stamps)-meanPictures {
			sum, n = sum+off, n+1
		}
	}
	if mean := timeline.MulDiv(sum, 1, n); mean-shift > deadTicks || shift-mean > deadTicks {
		shift = mean
	}
	return numbers, shift, -1
}
