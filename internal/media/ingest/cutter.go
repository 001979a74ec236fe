// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// audioPatience is how far the video may run ahead of a silent audio
	// track before a unit is closed without waiting for it (12 s: a little
	// more than FFmpeg itself waits when it interleaves).
	audioPatience = 12 * timeline.TickRate
	// jumpSeconds: a longer hole counts as a discontinuity.
	jumpSeconds = 10
)

// cutter sorts access units into units.
type cutter struct {
	cfg     Config
	sink    Sink
	streams func() []mpegts.Stream

	tl    timeline.Timeline
	grid  timeline.UnitGrid
	begun bool
	// groups are units whose video is complete, in order, that wait for their
	// audio; current is the one that still grows.
	groups  []group
	current group
	audio   []mpegts.PES
	heard   map[uint16]int64
	newest  int64
	// oldest is the first picture seen, entry point or not.
	oldest int64
	sawAny bool
	// edge is the start of the first unit that was not emitted yet: audio
	// before it comes too late.
	edge          int64
	discontinuity int
}

// group is the video of one unit.
type group struct {
	start    int64 // frame
	end      int64 // frame, exclusive; set when complete
	endTicks int64
	jumps    int
	video    []mpegts.PES
}

func newCutter(c Config, sink Sink, streams func() []mpegts.Stream) *cutter {
	return &cutter{cfg: c, sink: sink, streams: streams, heard: map[uint16]int64{}}
}

func (c *cutter) stream(pid uint16) mpegts.Stream {
	for _, s := range c.streams() {
		if s.PID == pid {
			return s
		}
	}
	return mpegts.Stream{}
}

func (c *cutter) add(ctx context.Context, p mpegts.PES) error {
	if !c.stream(p.PID).Video() {
		c.heard[p.PID] = max(p.PTS, c.heard[p.PID])
		c.audio = append(c.audio, p)
		return c.emitReady(ctx, false)
	}
	if err := c.addVideo(ctx, p); err != nil {
		return err
	}
	return c.emitReady(ctx, false)
}

func (c *cutter) addVideo(ctx context.Context, p mpegts.PES) error {
	if !c.sawAny {
		c.sawAny, c.oldest = true, p.PTS
	}
	nals := mpegts.ScanNALs(p.Data)
	if !c.begun {
		// What comes before the first entry point cannot be decoded.
		if !nals.Entry() {
			return nil
		}
		c.begun = true
		c.tl = timeline.Timeline{OriginTicks: p.PTS, Rate: c.cfg.Decision.Rate, Frames: timeline.Open}
		c.grid = timeline.NewUnitGrid(p.PTS, c.cfg.ChunkSeconds)
		c.edge, c.newest = p.PTS, p.PTS
		if err := c.sink.Timeline(ctx, c.tl, c.streams()); err != nil {
			return fmt.Errorf("declare the timeline: %w", err)
		}
	}
	c.newest = max(c.newest, p.PTS)
	frame := c.tl.FrameOfTicks(p.PTS)
	if len(c.current.video) > 0 {
		if frame <= c.current.start {
			return fmt.Errorf("%w (a frame at %d ticks follows one at %d)", ErrIrregular, p.PTS, c.current.video[0].PTS)
		}
		// A container's jitter must not move an IDR over an edge, so the grid
		// is asked about the frame, not about its time stamp.
		if !nals.Entry() || c.gridIndex(frame) <= c.gridIndex(c.current.start) {
			c.current.video = append(c.current.video, p)
			return nil
		}
		if err := c.closeGroup(frame, p.PTS); err != nil {
			return err
		}
	}
	c.current = group{start: frame, video: []mpegts.PES{p}, jumps: c.discontinuity}
	return nil
}

func (c *cutter) gridIndex(frame int64) int64 { return c.grid.EdgeIndex(c.tl.FrameStartTicks(frame)) }

// closeGroup ends the growing unit where the next begins. endFrame is -1 at
// the end of the source.
func (c *cutter) closeGroup(endFrame, endTicks int64) error {
	g := c.current
	frames := c.frames(g)
	last := frames[len(frames)-1]
	if endFrame < 0 {
		endFrame, endTicks = last+1, c.tl.FrameStartTicks(last+1)
	}
	for i := 1; i < len(frames); i++ {
		if frames[i] == frames[i-1] {
			return fmt.Errorf("%w (two frames at frame number %d)", ErrIrregular, frames[i])
		}
	}
	if last >= endFrame {
		return fmt.Errorf("%w (frame %d belongs before the IDR frame %d)", ErrIrregular, last, endFrame)
	}
	jump := jumpSeconds * c.tl.Rate.Num / c.tl.Rate.Den
	for i, f := range append(frames[1:], endFrame) {
		if f-frames[i] > jump {
			c.discontinuity++
		}
	}
	g.end, g.endTicks = endFrame, endTicks
	c.groups = append(c.groups, g)
	c.current = group{}
	return nil
}

// frames are the frame numbers of a unit's pictures, in order.
func (c *cutter) frames(g group) []int64 {
	out := make([]int64, 0, len(g.video)+1)
	for _, p := range g.video {
		out = append(out, c.tl.FrameOfTicks(p.PTS))
	}
	slices.Sort(out)
	return out
}

// emitReady emits the units whose audio has all come.
func (c *cutter) emitReady(ctx context.Context, all bool) error {
	for len(c.groups) > 0 && (all || c.audioPassed(c.groups[0].endTicks)) {
		g := c.groups[0]
		c.groups = c.groups[1:]
		if err := c.emit(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (c *cutter) audioPassed(edge int64) bool {
	if c.newest > edge+audioPatience {
		return true
	}
	for _, s := range c.streams() {
		if last, ok := c.heard[s.PID]; !s.Video() && (!ok || last < edge) {
			return false
		}
	}
	return true
}

// emit hands a unit to the sink: its video, and the audio that starts in it.
func (c *cutter) emit(ctx context.Context, g group) error {
	packets := g.video
	var later []mpegts.PES
	for _, p := range c.audio {
		switch {
		case p.PTS >= g.endTicks:
			later = append(later, p)
		case p.PTS >= c.edge:
			packets = append(packets, p)
		}
	}
	c.audio, c.edge = later, g.endTicks

	u := Unit{
		Epoch: c.cfg.Epoch, FirstTicks: g.video[0].PTS,
		StartMicros: c.tl.FrameStartMicros(g.start), EndMicros: c.tl.FrameStartMicros(g.end),
		FrameStart: g.start, Frames: g.end - g.start, Missing: g.end - g.start - int64(len(g.video)),
		Discontinuity: g.jumps, Streams: c.streams(),
	}
	if c.sink.Already(u.FirstTicks) {
		return nil
	}
	for _, p := range g.video {
		if mpegts.ScanNALs(p.Data).Entry() {
			u.IDRFrames = append(u.IDRFrames, c.tl.FrameOfTicks(p.PTS))
		}
	}
	var err error
	if u.Data, err = mpegts.WriteUnit(mpegts.Unit{Streams: u.Streams, Packets: packets}); err != nil {
		return fmt.Errorf("write the unit at %d: %w", u.FirstTicks, err)
	}
	u.PayloadSHA256 = mpegts.PayloadSHA256(u.Streams, packets)
	if err := c.sink.Unit(ctx, u); err != nil {
		return fmt.Errorf("store the unit at %d: %w", u.FirstTicks, err)
	}
	return nil
}

// finish emits what is left and declares the end.
func (c *cutter) finish(ctx context.Context) error {
	if !c.begun {
		return fmt.Errorf("no IDR frame was found: %w", ffmpeg.ErrEmpty)
	}
	stored := timeline.MulDiv(c.newest-c.oldest, 1_000_000, timeline.TickRate)
	if announced := c.cfg.Info.Video.DurationMicros; stored < announced-endToleranceMicros {
		return fmt.Errorf("%w (%.1f s of %.1f s)", ErrEndedEarly, float64(stored)/1e6, float64(announced)/1e6)
	}
	if err := c.closeGroup(-1, 0); err != nil {
		return err
	}
	end := c.groups[len(c.groups)-1]
	// Sound may go on after the last picture; it is not part of the Event.
	if err := c.emitReady(ctx, true); err != nil {
		return err
	}
	if err := c.sink.End(ctx, end.endTicks, end.end); err != nil {
		return fmt.Errorf("declare the end: %w", err)
	}
	return nil
}
