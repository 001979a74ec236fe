// SPDX-License-Identifier: Apache-2.0

// Package ingest turns a source into units.
//
// FFmpeg remuxes (or decodes) the source on pipes; the cutter cuts what comes
// at the first entry point at or after each edge of the unit grid, each
// elementary stream by its own time stamps. What comes out depends on the
// source alone: a second run from the start gives the same bytes, so a
// restarted ingest skips what is stored and goes on.
//
// A source that is copied and later breaks what copying needs goes on as a
// mezzanine, from the first group of pictures that is not stored yet, on the
// same frame numbers and with the same size of the picture.
package ingest

import (
	"context"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Config is one run of ingest.
type Config struct {
	// URL is the path or URL that package probe has looked at, for messages.
	URL          string
	Info         probe.Info
	Decision     probe.Decision
	ChunkSeconds int64
	// Epoch goes into every unit.
	Epoch int
	// Paced reads the source at its own speed, as if it were live.
	Paced bool
	// Resume is where the units that are stored end; nil where there are none. A
	// mezzanine goes on there. A copy is made from the start of the source, and
	// what is stored is passed over.
	Resume *Position
}

// Position is a frame of an Event whose timeline is declared.
type Position struct {
	// OriginTicks of the timeline.
	OriginTicks int64
	Frame       int64
	// ShiftTicks is how far the source's clock is from the nominal grid there.
	ShiftTicks int64
}

// Unit is a small stored object: an independently decodable transport stream.
type Unit struct {
	Epoch int
	// FirstTicks is the unwrapped PTS of the first frame: the unit's name.
	FirstTicks int64
	// StartMicros and EndMicros (exclusive) are Event time.
	StartMicros, EndMicros int64
	// FrameStart and Frames count on the Event's frame grid. Missing of them
	// have no picture: the one before stands.
	FrameStart, Frames, Missing int64
	// Dropped counts pictures of the source that had to share a frame.
	Dropped int64
	// IDRFrames are the frames at which decoding can start.
	IDRFrames []int64
	// Discontinuity counts the jumps of the source's clock before this unit.
	Discontinuity int
	Streams       []mpegts.Stream
	Data          []byte
	// PayloadSHA256 is equal for twins of a unit, however they were wrapped.
	PayloadSHA256 string
}

// Part says how the source is ingested from a frame on.
type Part struct {
	Frame  int64
	Mode   probe.Mode
	Reason string
}

// End is what is known when the source has ended.
type End struct {
	Ticks, Frames int64
	// Incomplete says what the source lacks, such as its end; empty if nothing.
	Incomplete string
}

// Sink stores what ingest makes. Calls come one after the other, in time
// order; an error ends the run.
type Sink interface {
	// Timeline is called once, before the first unit. Frames is open.
	Timeline(ctx context.Context, tl timeline.Timeline, d probe.Decision) error
	// Part is called before the first unit that is made in another way.
	Part(ctx context.Context, p Part) error
	// Already says that a unit is stored and need not be made again.
	Already(firstTicks int64) bool
	Unit(ctx context.Context, u Unit) error
	// End is called when the source has ended.
	End(ctx context.Context, e End) error
}

// ErrBroken means that reading the source broke off: a connection was lost.
// Nothing of the unfinished unit was stored, so another run can go on.
var ErrBroken = errors.New("reading the source broke off")

// Run ingests the whole source.
func Run(ctx context.Context, c Config, sink Sink) error {
	if !c.Decision.Rate.Valid() || c.ChunkSeconds <= 0 {
		return fmt.Errorf("ingest needs a frame rate and a chunk length, got %s and %d s", c.Decision.Rate, c.ChunkSeconds)
	}
	if err := run(ctx, c, sink); err != nil {
		return fmt.Errorf("ingest %s: %w", ffmpeg.Redact(c.URL), err)
	}
	return nil
}

func run(ctx context.Context, c Config, sink Sink) error {
	if c.Decision.Mode != probe.Copy {
		return runMezzanine(ctx, c, sink)
	}
	stored := c.Resume
	c.Resume = nil
	err := runCopy(ctx, c, sink)
	irregular, ok := errors.AsType[*Irregular](err)
	if !ok {
		return err
	}
	// An earlier run may have copied more of a source that cannot be read well.
	if stored != nil && (irregular.At == nil || irregular.At.Frame < stored.Frame) {
		irregular.At = stored
	}
	if irregular.At == nil {
		// Nothing was stored: the source is a mezzanine from its start.
		c.Decision = probe.As(c.Info, probe.Mezzanine, "re-encoded to a mezzanine: "+irregular.Reason)
		return runMezzanine(ctx, c, sink)
	}
	c.Resume = irregular.At
	c.Decision = Continue(c.Info, c.Decision.Picture, c.Decision.Rate)
	part := Part{Frame: irregular.At.Frame, Mode: probe.Mezzanine,
		Reason: "re-encoded to a mezzanine: " + irregular.Reason}
	if err := sink.Part(ctx, part); err != nil {
		return fmt.Errorf("declare that ingest goes on as a mezzanine: %w", err)
	}
	return runMezzanine(ctx, c, sink)
}

// Continue is the decision for a mezzanine that goes on after copied units: the
// same pictures on the same grid.
func Continue(info probe.Info, p probe.Picture, rate timeline.Rational) probe.Decision {
	d := probe.As(info, probe.Mezzanine, "")
	d.Picture, d.Rate = p, rate
	return d
}

// Irregular says that a source which is copied breaks what copying needs.
type Irregular struct {
	Reason string
	// At is where the first group of pictures begins that was not stored; nil
	// when none was.
	At *Position
}

// Error implements error.
func (e *Irregular) Error() string { return "the source cannot be copied on: " + e.Reason }
