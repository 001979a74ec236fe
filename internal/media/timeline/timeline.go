// SPDX-License-Identifier: Apache-2.0

// Package timeline converts between the three clocks of an Event: frame
// numbers, 90 kHz ticks and microseconds.
//
// Frames count from 0 at the Event's first stored frame. Ticks are unwrapped
// presentation time stamps (PTS) of the stored MPEG-TS units. Micros are
// microseconds from the start of frame 0. Every conversion is integer
// arithmetic with 128-bit products, so a day of 60000/1001 video has no drift,
// and a mark is snapped once, by Snap, to the start of a frame.
//
// A source's clock is never exactly the nominal rate: 30 frames a second may
// be 30.001. Frames are therefore numbered by their order (NumberFrames), and
// anchors say how far the source's clock has moved from the nominal grid, so
// that ticks and micros stay true over hours.
package timeline

// TickRate is the number of ticks in a second: the MPEG-TS clock.
const TickRate = 90000

// microsPerSecond converts between seconds and microseconds.
const microsPerSecond = 1_000_000

// Open is the value of Timeline.Frames while the end is not known yet.
const Open = int64(-1)

// Anchor says how far the source's clock is from the nominal grid at a frame.
type Anchor struct {
	Frame int64 `json:"frame"`
	// ShiftTicks is the frame's true start less its start on the nominal grid.
	ShiftTicks int64 `json:"shiftTicks"`
}

// Timeline is the frozen clock of one Event.
type Timeline struct {
	// OriginTicks is the unwrapped PTS of the first stored frame.
	OriginTicks int64 `json:"originTicks"`
	// Rate is the nominal frame rate.
	Rate Rational `json:"rate"`
	// Frames is the number of frames, or Open while the end is unknown.
	Frames int64 `json:"frames"`
	// Anchors, by frame, bound the stretches of the timeline that the
	// conversions are asked about: those of a unit or a chunk, or of several.
	// Between two of them the shift changes evenly; outside, it stays. Without
	// any, the source's clock is the nominal grid.
	Anchors []Anchor `json:"anchors,omitempty"`
}

// Mark is a frame boundary on all three clocks. As a mark-out it is exclusive,
// and may be the end of the last frame.
type Mark struct {
	Frame  int64 `json:"frame"`
	Ticks  int64 `json:"ticks"`
	Micros int64 `json:"micros"`
}

// FrameStartTicks is the unwrapped PTS at which frame f starts.
func (t Timeline) FrameStartTicks(f int64) int64 {
	return t.OriginTicks + MulDiv(f, TickRate*t.Rate.Den, t.Rate.Num) + t.shift(f)
}

// FrameStartMicros is the Event time at which frame f starts.
func (t Timeline) FrameStartMicros(f int64) int64 {
	return MulDiv(f, microsPerSecond*t.Rate.Den, t.Rate.Num) + MulDiv(t.shift(f), microsPerSecond, TickRate)
}

// FrameOfTicks is the frame whose start is nearest to an unwrapped PTS. It may
// be negative for a PTS before the origin.
func (t Timeline) FrameOfTicks(ticks int64) int64 {
	return t.nearest(func(shift int64) int64 {
		return MulDiv(ticks-t.OriginTicks-shift, t.Rate.Num, TickRate*t.Rate.Den)
	})
}

// FrameOfMicros is the frame whose start is nearest to an Event time, without
// clamping.
func (t Timeline) FrameOfMicros(us int64) int64 {
	return t.nearest(func(shift int64) int64 {
		return MulDiv(us-MulDiv(shift, microsPerSecond, TickRate), t.Rate.Num, microsPerSecond*t.Rate.Den)
	})
}

// MicrosOfTicks converts an unwrapped PTS to Event time. It serves audio and
// other times that are not frame starts.
func (t Timeline) MicrosOfTicks(ticks int64) int64 {
	return MulDiv(ticks-t.OriginTicks, microsPerSecond, TickRate)
}

// TicksOfMicros converts Event time to an unwrapped PTS.
func (t Timeline) TicksOfMicros(us int64) int64 {
	return t.OriginTicks + MulDiv(us, TickRate, microsPerSecond)
}

// MarkOf is the mark at the start of frame f, clamped to the timeline.
func (t Timeline) MarkOf(f int64) Mark {
	f = max(f, 0)
	if t.Frames >= 0 {
		f = min(f, t.Frames)
	}
	return Mark{Frame: f, Ticks: t.FrameStartTicks(f), Micros: t.FrameStartMicros(f)}
}

// Snap turns an Event time into the nearest frame start. Times before zero
// become frame 0; times past a known end become the exclusive end of the last
// frame. Snap is the only way a time becomes a mark.
func (t Timeline) Snap(us int64) Mark { return t.MarkOf(t.FrameOfMicros(us)) }

// End is the exclusive end of the last known frame.
func (t Timeline) End() Mark { return t.MarkOf(max(t.Frames, 0)) }

// SamplesAt is the number of audio samples at the given rate from frame a's
// start to frame b's start. Both ends are rounded on the Event's axis, so the
// counts of adjacent ranges add up exactly.
func (t Timeline) SamplesAt(a, b, sampleRate int64) int64 {
	return t.SampleOfFrame(b, sampleRate) - t.SampleOfFrame(a, sampleRate)
}

// SampleOfFrame is the index, from the Event's zero, of the audio sample
// nearest to the start of frame f.
func (t Timeline) SampleOfFrame(f, sampleRate int64) int64 {
	return MulDiv(f, sampleRate*t.Rate.Den, t.Rate.Num)
}
