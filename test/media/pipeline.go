// SPDX-License-Identifier: Apache-2.0

package media

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/render"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
)

// chunkSeconds makes units of four seconds, so that small films have several.
const chunkSeconds = 4

// Event is an ingested source.
type Event struct {
	// Copied says that the pictures are the source's own, at least at first.
	Copied bool
	// Reason is why, for people.
	Reason string
	Rate   timeline.Rational
	Frames int64
	// Tracks of sound.
	Tracks int
	// Mezzanines are where a source that was copied goes on as a mezzanine.
	Mezzanines []Change

	stored event.Event
}

// Change is a frame from which on a source is ingested in another way.
type Change struct {
	Frame  int64
	Reason string
}

// Wishes are what an Event asks of its source.
type Wishes struct {
	Mezzanine, KeepHDR bool
	Programme          int
}

// Ingest stores a source's units in a folder. With an error, the Event is what was stored before it, or nil.
func Ingest(ctx context.Context, source, dir string, w Wishes) (*Event, error) {
	info, err := probe.Open(ctx, source, probe.Options{Mezzanine: w.Mezzanine, KeepHDR: w.KeepHDR, Programme: w.Programme})
	if err != nil {
		return nil, err
	}
	decision := probe.Decide(info)
	folder := &ingest.Folder{Dir: dir}
	c := ingest.Config{URL: source, Info: info, Decision: decision, ChunkSeconds: chunkSeconds}
	err = ingest.Run(ctx, c, folder)
	if err == nil && (!folder.Ended || len(folder.Units) == 0) {
		err = fmt.Errorf("ingest stored %d units, and no end", len(folder.Units))
	}
	if len(folder.Units) == 0 {
		return nil, err
	}
	e := &Event{Copied: decision.Mode == probe.Copy, Reason: decision.Reason, Rate: folder.Clock.Rate,
		Frames: folder.Clock.Frames, Tracks: len(folder.Decision.Sound), stored: event.Event{Folder: folder}}
	for _, p := range folder.Parts {
		if p.Mode == probe.Mezzanine {
			e.Mezzanines = append(e.Mezzanines, Change{p.Frame, p.Reason})
		}
	}
	return e, err
}

// soundLead is how much before a mark-in is taken along, in microseconds.
const soundLead = 128_000

// part is the range [in, out) of frames with the units that the data plane gives for it.
func (e *Event) part(in, out int64) render.Part {
	clock, units := e.stored.Clock, e.stored.Units
	from, to := max(in-soundLead*clock.Rate.Num/(1_000_000*clock.Rate.Den)-1, 0), out
	before := int64(0)
	for _, u := range units {
		if u.FrameStart <= in {
			before = max(before, u.FrameStart+u.Frames)
		}
	}
	if before > 0 {
		from = min(from, before-1)
	} else {
		to = max(to, units[0].FrameStart+1)
	}
	p := render.Part{In: clock.MarkOf(in), Out: clock.MarkOf(out)}
	for i, u := range units {
		if u.FrameStart < to && u.FrameStart+u.Frames > from {
			p.Units = append(p.Units, e.stored.File(i))
		}
	}
	return p
}

// Clip makes a clip of the frames [in, out) in a folder and returns its file.
func (e *Event) Clip(ctx context.Context, dir string, in, out int64, track int) (string, error) {
	p := e.part(in, out)
	mp4 := filepath.Join(dir, "clip.mp4")
	_, err := cut.Clip(ctx, cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out,
		Timeline: e.stored.Clock, AudioTrack: track},
		mp4, filepath.Join(dir, "clip.jpg"))
	return mp4, err
}

// Reel makes a reel of ranges of frames in a folder and returns its file.
func (e *Event) Reel(ctx context.Context, dir string, ranges [][2]int64, track, width, height int) (string, error) {
	spec := render.ReelSpec{Timeline: e.stored.Clock, AudioTrack: track, Width: width, Height: height}
	for _, r := range ranges {
		spec.Parts = append(spec.Parts, e.part(r[0], r[1]))
	}
	mp4 := filepath.Join(dir, "reel.mp4")
	_, err := render.Reel(ctx, spec, mp4, filepath.Join(dir, "reel.jpg"))
	return mp4, err
}

// Units are the stored bytes, one unit after the other.
func (e *Event) Units() (io.ReadCloser, error) {
	var readers []io.Reader
	var closers []io.Closer
	for _, u := range e.stored.Units {
		f, err := os.Open(e.stored.Path(u.FirstTicks))
		if err != nil {
			return nil, err
		}
		readers, closers = append(readers, f), append(closers, f)
	}
	return &unitReader{io.MultiReader(readers...), closers}, nil
}

type unitReader struct {
	io.Reader
	files []io.Closer
}

// Close implements io.Closer.
func (r *unitReader) Close() error {
	for _, f := range r.files {
		f.Close()
	}
	return nil
}
