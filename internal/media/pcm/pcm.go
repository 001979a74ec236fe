// SPDX-License-Identifier: Apache-2.0

// Package pcm decodes audio frames of units into samples whose place in time
// is known exactly: by the time stamps of the frames, not by counting from a
// start. What cannot be decoded is silence in its place. It also is the one
// place where channels are mixed.
package pcm

import (
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Rate is the sample rate of all decoded sound.
const Rate = 48000

// WarmUp is how much sound before a place is decoded with it (128 ms): a decoder
// needs the frame before to be right, and a resampler a few samples.
const WarmUp = timeline.TickRate * 128 / 1000

// Block is a stretch of decoded sound, usually of one audio frame.
type Block struct {
	// PTS is the unwrapped time stamp of the first sample.
	PTS      int64
	Channels int
	// Samples are interleaved; full scale is 1.
	Samples []float32
}

func (b Block) length() int64 { return int64(len(b.Samples) / b.Channels) }

// Sound is a run of blocks in time order; there may be holes between them.
type Sound []Block

// Placed is a block at its place in time.
type Placed struct {
	// At is the first sample's distance, in samples, from a point in time.
	At int64
	Block
}

// jitterTicks is how far a time stamp may be off and still follow the block
// before it (5 ms). Matroska and FLV round to milliseconds.
const jitterTicks = timeline.TickRate / 200

// Place says where each block lies, counted from the given ticks. Blocks that
// follow each other are placed without seam, where their time stamps are on
// average: a container's rounding must not cut the sound to pieces.
func (s Sound) Place(from int64) []Placed {
	out := make([]Placed, 0, len(s))
	for i := 0; i < len(s); {
		// offsets are in ticks, summed over the run.
		length, offsets, n := int64(0), int64(0), int64(0)
		start := s[i].PTS
		for _, b := range s[i:] {
			off := b.PTS - start - timeline.MulDiv(length, timeline.TickRate, Rate)
			if off > jitterTicks || off < -jitterTicks {
				break
			}
			length += b.length()
			offsets += off
			n++
		}
		// One rounding for the run: mean offset in ticks, to samples.
		at := timeline.MulDiv((start-from)*n+offsets, Rate, timeline.TickRate*n)
		for _, b := range s[i : i+int(n)] {
			out = append(out, Placed{At: at, Block: b})
			at += b.length()
		}
		i += int(n)
	}
	return out
}

// Cut returns count samples from a place on, mixed to a number of channels, with
// silence where there is no sound.
func Cut(placed []Placed, from, count int64, channels int) []float32 {
	ch := int64(channels)
	out := make([]float32, count*ch)
	for _, b := range placed {
		lo, hi := max(b.At, from), min(b.At+b.length(), from+count)
		if lo < hi {
			have := int64(b.Channels)
			mix(out[(lo-from)*ch:(hi-from)*ch], channels, b.Samples[(lo-b.At)*have:(hi-b.At)*have], b.Channels)
		}
	}
	return out
}
