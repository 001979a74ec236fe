// SPDX-License-Identifier: Apache-2.0

// Package ingest turns a source into units.
//
// FFmpeg remuxes (or encodes) the source into a transport stream on a pipe;
// the cutter cuts it at the first entry point at or after each edge of the
// unit grid, each elementary stream by its own time stamps. What comes out
// depends on the source alone: a second run from the start gives the same
// bytes, so a restarted ingest skips what is stored and goes on.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Config is one run of ingest.
type Config struct {
	// URL is a path or URL that package probe has looked at.
	URL          string
	Info         probe.Info
	Decision     probe.Decision
	ChunkSeconds int64
	// Epoch goes into every unit.
	Epoch int
	// Paced reads the source at its own speed, as if it were live.
	Paced bool
}

// Unit is a small stored object: an independently decodable transport stream.
type Unit struct {
	Epoch int
	// FirstTicks is the unwrapped PTS of the first frame: the unit's name.
	FirstTicks int64
	// StartMicros and EndMicros (exclusive) are Event time.
	StartMicros, EndMicros int64
	// FrameStart and Frames count on the Event's frame grid. Missing of them
	// were lost by the source.
	FrameStart, Frames, Missing int64
	// IDRFrames are the frames at which decoding can start.
	IDRFrames []int64
	// Discontinuity counts the jumps of the source's clock before this unit.
	Discontinuity int
	Streams       []mpegts.Stream
	Data          []byte
	// PayloadSHA256 is equal for twins of a unit, however they were wrapped.
	PayloadSHA256 string
}

// Sink stores what ingest makes. Calls come one after the other, in time
// order; an error ends the run.
type Sink interface {
	// Timeline is called once, before the first unit. Frames is open.
	Timeline(ctx context.Context, tl timeline.Timeline, streams []mpegts.Stream) error
	// Already says that a unit is stored and need not be made again.
	Already(firstTicks int64) bool
	Unit(ctx context.Context, u Unit) error
	// End is called when the source has ended.
	End(ctx context.Context, endTicks, frames int64) error
}

// ErrIrregular means that a source which was to be copied turned out to break
// its constant frame rate after the part that was probed.
var ErrIrregular = errors.New("the source's frame rate or clock is not constant: ingest it through the mezzanine")

// ErrEndedEarly means that the source gave less than its container announces:
// a connection broke, or the file is cut off. Nothing of the unfinished unit
// was stored, so another run can go on.
var ErrEndedEarly = errors.New("the source ended before its announced length: the connection broke or the file is cut off")

// endToleranceMicros is how much shorter than announced a source may be.
const endToleranceMicros = 2_000_000

// Run ingests the whole source.
func Run(ctx context.Context, c Config, sink Sink) error {
	if !c.Decision.Rate.Valid() || c.ChunkSeconds <= 0 {
		return fmt.Errorf("ingest needs a frame rate and a chunk length, got %s and %d s", c.Decision.Rate, c.ChunkSeconds)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: Args(c), Stdout: pw}))
	}()
	defer func() {
		cancel()
		_ = pr.Close()
		<-done
	}()

	d := mpegts.NewDemuxer(pr, &timeline.Unwrapper{})
	cut := newCutter(c, sink, d.Streams)
	for {
		p, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = cut.add(ctx, p)
		}
		if err != nil {
			return fmt.Errorf("ingest %s: %w", ffmpeg.Redact(c.URL), err)
		}
	}
	if err := cut.finish(ctx); err != nil {
		return fmt.Errorf("ingest %s: %w", ffmpeg.Redact(c.URL), err)
	}
	return nil
}

// encoderThreads is fixed: the number of threads changes what x264 writes, and
// two runs must write the same.
const encoderThreads = "4"

// Args is FFmpeg's command line for a source.
func Args(c Config) []string {
	var options []string
	if c.Paced {
		options = append(options, "-re")
	}
	if c.Decision.Mode == probe.Copy {
		args := ffmpeg.Input(c.URL, append(options, "-copyts")...)
		return append(append(args, probe.CopyArgs(c.Info)...), probe.MuxArgs()...)
	}
	args := ffmpeg.Input(c.URL, options...)
	args = append(args, "-map", "0:"+strconv.Itoa(c.Info.Video.Index))
	for _, a := range c.Info.Audio {
		args = append(args, "-map", "0:"+strconv.Itoa(a.Index))
	}
	rate := c.Decision.Rate
	gop := strconv.FormatInt(timeline.MulDiv(1, rate.Num, rate.Den), 10)
	args = append(args, "-vf", pictureFilter(c.Info.Video, rate), "-fps_mode", "passthrough",
		"-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-profile:v", "high", "-bf", "2",
		"-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-flags:v", "+cgop+bitexact", "-threads:v", encoderThreads,
		"-x264-params", "open-gop=0:force-cfr=1")
	if len(c.Info.Audio) > 0 {
		// Holes in the sound are filled with silence, so that it cannot drift.
		args = append(args, "-af", "aresample=48000:async=1:min_hard_comp=0.1:first_pts=0",
			"-c:a", "aac", "-ar", "48000", "-ac", "2", "-b:a", "160k", "-flags:a", "+bitexact")
	}
	return append(append(args, "-output_ts_offset", "10"), probe.MuxArgs()...)
}

func pictureFilter(v probe.Video, rate timeline.Rational) string {
	var f []string
	if v.FieldOrder != "progressive" && v.FieldOrder != "unknown" && v.FieldOrder != "" {
		f = append(f, "bwdif=mode=send_frame:deint=interlaced")
	}
	f = append(f, "fps="+rate.String())
	if v.Width%2 != 0 || v.Height%2 != 0 {
		f = append(f, "scale=trunc(iw/2)*2:trunc(ih/2)*2")
	}
	return strings.Join(append(f, "format=yuv420p"), ",")
}
