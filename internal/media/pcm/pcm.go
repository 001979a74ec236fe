// SPDX-License-Identifier: Apache-2.0

// Package pcm decodes audio frames of units into samples whose place in time
// is known exactly: by each frame's own time stamp, not by counting from a
// start. What is decoded is therefore the same whatever range is asked for.
package pcm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Block is the decoded form of one audio frame.
type Block struct {
	// PTS is the unwrapped time stamp of the first sample.
	PTS int64
	// Samples are interleaved.
	Samples []int16
}

// Sound is a run of blocks in time order; there may be holes between them.
type Sound struct {
	Rate, Channels int
	Blocks         []Block
}

// Decode decodes AAC frames in ADTS form, in time order. The first block is
// not right yet, since a decoder needs the frame before: give it one to spare.
func Decode(ctx context.Context, frames []mpegts.PES, rate, channels int) (Sound, error) {
	s := Sound{Rate: rate, Channels: channels}
	if len(frames) == 0 {
		return s, nil
	}
	readers := make([]io.Reader, len(frames))
	for i, f := range frames {
		readers[i] = bytes.NewReader(f.Data)
	}
	raw, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Stdin: io.MultiReader(readers...), Args: []string{
		"-f", "aac", "-i", "pipe:0", "-ac", strconv.Itoa(channels), "-ar", strconv.Itoa(rate), "-f", "s16le", "pipe:1"}})
	if err != nil {
		return s, fmt.Errorf("decode sound: %w", err)
	}
	samples := make([]int16, len(raw)/2)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, samples); err != nil {
		return s, fmt.Errorf("decode sound: %w", err)
	}
	if len(samples)%(len(frames)*channels) != 0 {
		return s, fmt.Errorf("decode sound: %d frames gave %d samples, which is no whole number each: the audio is damaged", len(frames), len(samples)/channels)
	}
	each := len(samples) / len(frames)
	for i, f := range frames {
		s.Blocks = append(s.Blocks, Block{PTS: f.PTS, Samples: samples[i*each : (i+1)*each]})
	}
	return s, nil
}

// Range returns count samples (times channels) from the given ticks on, with
// silence where there is no sound.
func (s Sound) Range(from, count int64) []int16 {
	ch := int64(s.Channels)
	out := make([]int16, count*ch)
	for _, b := range s.Blocks {
		at := timeline.MulDiv(b.PTS-from, int64(s.Rate), timeline.TickRate)
		have := int64(len(b.Samples)) / ch
		lo, hi := max(at, 0), min(at+have, count)
		if lo < hi {
			copy(out[lo*ch:hi*ch], b.Samples[(lo-at)*ch:])
		}
	}
	return out
}
