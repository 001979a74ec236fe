// SPDX-License-Identifier: Apache-2.0

// Package pcm decodes audio frames of units into samples whose place in time
// is known exactly: by the time stamps of the frames, not by counting from a
// start.
package pcm

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

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

// maxRuns bounds the runs, and so the open pipes, of one FFmpeg process.
const maxRuns = 24

// Decode decodes runs of AAC frames in ADTS form, each run in time order and
// with a decoder of its own. The first block of a run is not right yet, since
// a decoder needs the frame before: give it one to spare. All runs are decoded
// by one process, whose start costs more than the decoding.
func Decode(ctx context.Context, runs [][]mpegts.PES, rate, channels int) ([]Sound, error) {
	var out []Sound
	for len(runs) > 0 {
		n := min(len(runs), maxRuns)
		sounds, err := decode(ctx, runs[:n], rate, channels)
		if err != nil {
			return nil, fmt.Errorf("decode sound: %w", err)
		}
		out, runs = append(out, sounds...), runs[n:]
	}
	return out, nil
}

func decode(ctx context.Context, runs [][]mpegts.PES, rate, channels int) ([]Sound, error) {
	out := make([]Sound, len(runs))
	cmd := ffmpeg.Cmd{Tool: "ffmpeg"}
	var graph, labels strings.Builder
	frames, inputs := 0, 0
	for i, run := range runs {
		out[i] = Sound{Rate: rate, Channels: channels}
		if len(run) == 0 {
			continue
		}
		readers := make([]io.Reader, len(run))
		for k, f := range run {
			readers[k] = bytes.NewReader(f.Data)
		}
		cmd.Inputs = append(cmd.Inputs, io.MultiReader(readers...))
		cmd.Args = append(cmd.Args, "-f", "aac", "-i", "pipe:"+strconv.Itoa(3+inputs))
		fmt.Fprintf(&graph, "[%d:a]aformat=sample_fmts=s16:sample_rates=%d:channel_layouts=%dc[s%d];", inputs, rate, channels, inputs)
		fmt.Fprintf(&labels, "[s%d]", inputs)
		inputs++
		frames += len(run)
	}
	if inputs == 0 {
		return out, nil
	}
	cmd.Args = append(cmd.Args, "-filter_complex", fmt.Sprintf("%s%sconcat=n=%d:v=0:a=1", graph.String(), labels.String(), inputs), "-f", "s16le", "pipe:1")
	raw, err := ffmpeg.Output(ctx, cmd)
	if err != nil {
		return nil, err
	}
	samples := make([]int16, len(raw)/2)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, samples); err != nil {
		return nil, err
	}
	if len(samples)%(frames*channels) != 0 {
		return nil, fmt.Errorf("%d frames gave %d samples, which is no whole number each: the audio is damaged", frames, len(samples)/channels)
	}
	each := len(samples) / frames
	for i, run := range runs {
		for _, f := range run {
			out[i].Blocks = append(out[i].Blocks, Block{PTS: f.PTS, Samples: samples[:each]})
			samples = samples[each:]
		}
	}
	return out, nil
}

// Placed is a block at its place in time.
type Placed struct {
	// At is the first sample's distance, in samples, from a point in time.
	At      int64
	Samples []int16
}

// jitterTicks is how far a time stamp may be off and still follow the block
// before it (5 ms). Matroska and FLV round to milliseconds.
const jitterTicks = timeline.TickRate / 200

// Place says where each block lies, counted from the given ticks. Blocks that
// follow each other are placed without seam, where their time stamps are on
// average: a container's rounding must not cut the sound to pieces.
func (s Sound) Place(from int64) []Placed {
	out := make([]Placed, 0, len(s.Blocks))
	for i := 0; i < len(s.Blocks); {
		// offsets are in ticks, summed over the run.
		length, offsets, n := int64(0), int64(0), int64(0)
		start := s.Blocks[i].PTS
		for _, b := range s.Blocks[i:] {
			off := b.PTS - start - timeline.MulDiv(length, timeline.TickRate, int64(s.Rate))
			if off > jitterTicks || off < -jitterTicks {
				break
			}
			length += int64(len(b.Samples) / s.Channels)
			offsets += off
			n++
		}
		// One rounding for the run: mean offset in ticks, to samples.
		at := timeline.MulDiv((start-from)*n+offsets, int64(s.Rate), timeline.TickRate*n)
		for _, b := range s.Blocks[i : i+int(n)] {
			out = append(out, Placed{At: at, Samples: b.Samples})
			at += int64(len(b.Samples) / s.Channels)
		}
		i += int(n)
	}
	return out
}

// Range returns count samples (times channels) from the given ticks on, with
// silence where there is no sound.
func (s Sound) Range(from, count int64) []int16 {
	ch := int64(s.Channels)
	out := make([]int16, count*ch)
	for _, b := range s.Place(from) {
		have := int64(len(b.Samples)) / ch
		lo, hi := max(b.At, 0), min(b.At+have, count)
		if lo < hi {
			copy(out[lo*ch:hi*ch], b.Samples[(lo-b.At)*ch:])
		}
	}
	return out
}
