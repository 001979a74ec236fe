// SPDX-License-Identifier: Apache-2.0

package film

import (
	"math"
	"slices"
	"sort"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Picture is a picture of a source and when it is first shown.
type Picture struct {
	// At is in microseconds from the first picture that is shown.
	At     int64
	Number int
	// Look is an index into Truth.Looks.
	Look int
	// Optional pictures are lost by decoders; the one before may stand for them.
	Optional bool
}

// Run is a stretch of sound without a break.
type Run struct {
	// At and Len are microseconds from the first picture; At may be before it.
	At, Len int64
	// From is the place in the noise that is heard At.
	From int64
	// SlowPPM says that the sound comes slower than it was made, by millionths.
	SlowPPM int64
	// Track is that of the noise.
	Track int
	// Gains say how much of each channel is heard left and right in a stereo output.
	Gains [][2]float64
	// Loud sound makes a mix that a limiter must keep below full scale; how loud it is then is not judged.
	Loud bool
}

// Span is a stretch of time in microseconds.
type Span struct{ From, To int64 }

// Track is what is heard of an audio track; outside all runs, silence.
type Track struct {
	Runs []Run
	// Soft stretches are not judged: sound was damaged or joined there.
	Soft []Span
}

// Colour is how outputs are to be tagged; an empty field is not judged.
type Colour struct {
	Matrix, Transfer, Primaries, PixelFormat string
	// Levels says that black and white must be where the output's own range puts them.
	Levels bool
}

// Truth is what is right for a source.
type Truth struct {
	Seed     uint64
	Pictures []Picture
	// End is when the last picture, or the sound after it, ends.
	End   int64
	Looks []Look
	// Rate is the Event's frame rate, to within 0.05 %.
	Rate timeline.Rational
	// MezzanineRate is that of a mezzanine, where it differs.
	MezzanineRate timeline.Rational
	// MoreFrames are right at the end, too.
	MoreFrames int64
	// Loose times lie beside the grid of the rate, from LooseFrom on: a frame may show any picture that is shown within
	// half a frame of it.
	Loose     bool
	LooseFrom int64
	// MayDrop says that there are more pictures than frames.
	MayDrop bool
	// Drifts says that the true rate is not quite the nominal one, so that a grid of that is no measure.
	Drifts     bool
	Tracks     []Track
	Colour     Colour
	Interlaced bool
}

// Clock tells frames of an Event from times of its source.
type Clock struct {
	Truth
	// EventRate is what the Event's frames were found to have.
	EventRate timeline.Rational
	slots     []int64
	exact     bool
	copy      bool
}

// NewClock lays the pictures out on an Event's frames. Copied pictures are numbered by order, each by its distance from
// the one before, so that a rate that is not quite the nominal one adds up to nothing.
func NewClock(t Truth, rate timeline.Rational, copied bool) *Clock {
	c := &Clock{Truth: t, EventRate: rate, copy: copied, exact: copied || !t.Drifts}
	if !copied && t.MezzanineRate.Valid() {
		c.exact = false
	}
	slot := int64(0)
	for i, p := range t.Pictures {
		if i > 0 {
			d := float64(p.At-t.Pictures[i-1].At) * rate.Float() / 1e6
			slot += max(int64(math.Round(d)), 1)
		}
		if !c.exact || c.loose(p.At) {
			slot = int64(math.Round(float64(p.At) * rate.Float() / 1e6))
		}
		c.slots = append(c.slots, slot)
	}
	return c
}

func (c *Clock) loose(at int64) bool { return c.Loose && at >= c.LooseFrom }

// Frames are the least and the most frames that the Event should have.
func (c *Clock) Frames() (least, most int64) {
	last := len(c.slots) - 1
	n := c.slots[last] + max(1, int64(math.Round(float64(c.End-c.Pictures[last].At)*c.EventRate.Float()/1e6)))
	// The last frame of sound ends up to its own length later.
	least, most = n, n+c.MoreFrames+int64(0.022*c.EventRate.Float())
	if c.Loose || !c.exact {
		least, most = least-2, most+2
	}
	return least, most
}

// Shown is the time of the picture with a number.
func (c *Clock) Shown(number int) int64 {
	return c.Pictures[min(c.index(number), len(c.Pictures)-1)].At
}

// pictureAt is the last picture at or before a frame.
func (c *Clock) pictureAt(frame int64) int {
	return max(sort.Search(len(c.slots), func(i int) bool { return c.slots[i] > frame })-1, 0)
}

// Time is the time of a frame in microseconds. Frames of a copy have the times of their pictures.
func (c *Clock) Time(frame int64) int64 {
	if !c.copy || c.Loose {
		return timeline.MulDiv(frame, 1_000_000*c.EventRate.Den, c.EventRate.Num)
	}
	k := c.pictureAt(frame)
	return c.Pictures[k].At + timeline.MulDiv(frame-c.slots[k], 1_000_000*c.EventRate.Den, c.EventRate.Num)
}

// Shows says whether a frame may show a picture, and which it should.
func (c *Clock) Shows(frame int64, number int) (want Picture, right bool) {
	k := c.pictureAt(frame)
	want = c.Pictures[k]
	if want.Number == number || want.Optional && k > 0 && c.Pictures[k-1].Number == number {
		return want, true
	}
	at := c.Time(frame)
	if c.exact && !c.loose(at) {
		return want, false
	}
	half := int64(5e5/c.EventRate.Float()) + 1500
	for k, p := range c.Pictures {
		next := c.End
		if k+1 < len(c.Pictures) {
			next = c.Pictures[k+1].At
		}
		if p.Number == number && p.At-half <= at && at < next+half {
			return want, true
		}
	}
	return want, false
}

// Lost says whether pictures lie between two that follow each other.
func (c *Clock) Lost(before, after int) bool {
	if c.MayDrop || (!c.copy && c.MezzanineRate.Valid()) {
		return false
	}
	i := c.index(before) + 1
	for i < len(c.Pictures) && c.Pictures[i].Optional && c.Pictures[i].Number != after {
		i++
	}
	return i < len(c.Pictures) && before != after && c.Pictures[i].Number != after
}

// index is that of the picture with a number, or of the next higher one.
func (c *Clock) index(number int) int {
	if i := slices.IndexFunc(c.Pictures, func(p Picture) bool { return p.Number == number }); i >= 0 {
		return i
	}
	return sort.Search(len(c.Pictures), func(i int) bool { return c.Pictures[i].Number >= number })
}
