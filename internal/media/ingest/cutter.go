// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// audioPatience is how far the video may run ahead of a silent audio
	// track before a unit is closed without waiting for it (12 s: a little
	// more than FFmpeg itself waits when it interleaves).
	audioPatience = 12 * timeline.TickRate
	// soundLead before the Event's first picture is stored with it: the audio
	// frame that spans its start, or the one that the decoder needs before.
	soundLead = 2880
	// maxHoleTicks is the longest time without a picture that a copied unit may
	// span (10 s). A mezzanine has a picture in every frame.
	maxHoleTicks = 10 * timeline.TickRate
	// maxUnitTicks bounds a copied unit, which several holes make long (30 s).
	maxUnitTicks = 30 * timeline.TickRate
	// clockParts bounds how far the clock of a copied source may be off its
	// nominal rate: one part in so many (1000 ppm). The data plane refuses units
	// that are twice as far off.
	clockParts = 1000
	// soundAhead of the pictures, in the order of the source, means that they are
	// missing: FFmpeg interleaves within 10 s (30 s).
	soundAhead = 30 * timeline.TickRate
)

// cutter sorts access units into units.
type cutter struct {
	cfg     Config
	sink    Sink
	streams []mpegts.Stream

	clock clock
	grid  timeline.UnitGrid
	begun bool
	// declared says that the sink knows the timeline.
	declared bool
	picture  mpegts.Picture
	// groups are units whose video is complete, in order, that wait for their
	// audio; current is the one that still grows.
	groups  []group
	current group
	// since counts pictures from the last entry point on.
	since int64
	audio []mpegts.PES
	heard map[uint16]int64
	// dense are the tracks that never fall silent: those that are encoded here.
	dense  map[uint16]bool
	newest int64
	// edge is the start of the first unit that was not emitted yet: audio
	// before it comes too late.
	edge int64
	// dropped counts pictures before a frame that had to share one; nil for none.
	dropped func(frame int64) int64
}

// group is the video of one unit.
type group struct {
	start, end int64 // frames; end is exclusive, and set when complete
	// startShift and endShift are how far the source's clock is from the
	// nominal grid at both ends.
	startShift, endShift int64
	endTicks             int64
	video                []mpegts.PES
	frames               []int64
}

func newCutter(c Config, sink Sink, streams []mpegts.Stream) *cutter {
	return &cutter{cfg: c, sink: sink, streams: streams, heard: map[uint16]int64{}, dense: map[uint16]bool{}}
}

func (c *cutter) stream(pid uint16) mpegts.Stream {
	for _, s := range c.streams {
		if s.PID == pid {
			return s
		}
	}
	return mpegts.Stream{}
}

func (c *cutter) add(ctx context.Context, p mpegts.PES) error {
	if c.stream(p.PID).Video() {
		if err := c.addVideo(p); err != nil {
			return err
		}
	} else if err := c.addAudio(p); err != nil {
		return err
	}
	return c.emitReady(ctx, false)
}

// rest takes what follows a point from which the source cannot be copied on:
// only the sound of the units before it is wanted.
func (c *cutter) rest(ctx context.Context, p mpegts.PES) error {
	if c.stream(p.PID).Video() {
		c.newest = max(c.newest, p.PTS)
	} else {
		c.heard[p.PID] = max(p.PTS, c.heard[p.PID])
		c.audio = append(c.audio, p)
	}
	return c.emitReady(ctx, false)
}

func (c *cutter) addAudio(p mpegts.PES) error {
	if h, err := mpegts.ReadADTS(p.Data); err == nil && h.Channels == 0 && c.cfg.Decision.Mode == probe.Copy {
		return c.irregular("audio track %d has its channels in a program config element from %s on",
			c.stream(p.PID).AudioTrack, c.clock.text(p.PTS))
	}
	c.heard[p.PID] = max(p.PTS, c.heard[p.PID])
	c.audio = append(c.audio, p)
	if c.cfg.Decision.Mode != probe.Copy {
		return nil
	}
	if c.begun && p.PTS-c.newest > soundAhead {
		return c.irregular("pictures are missing for more than 10 s from %s on", c.clock.text(c.newest))
	}
	// Nobody wants the sound from long before the first picture.
	for !c.begun && p.PTS-c.audio[0].PTS > soundAhead {
		c.audio = c.audio[1:]
	}
	return nil
}

// begin takes the first picture: the timeline's origin, or where an earlier
// run ended.
func (c *cutter) begin(p mpegts.PES) {
	at := Position{OriginTicks: p.PTS}
	if c.cfg.Resume != nil {
		at = *c.cfg.Resume
	}
	c.begun, c.declared = true, c.cfg.Resume != nil
	c.clock = newClock(at, c.cfg.Decision.Rate)
	c.grid = timeline.NewUnitGrid(at.OriginTicks, c.cfg.ChunkSeconds)
	c.newest = p.PTS
	if c.edge = p.PTS; at.Frame == 0 {
		c.edge -= soundLead
	}
	c.current = group{start: at.Frame, startShift: at.ShiftTicks}
}

func (c *cutter) addVideo(p mpegts.PES) error {
	nals := mpegts.ScanNALs(p.Data)
	if !c.begun {
		// What comes before the first entry point cannot be decoded.
		if !nals.Entry() {
			return nil
		}
		c.begin(p)
	}
	if nals.Entry() {
		if err := c.checkPicture(p); err != nil {
			return err
		}
		c.since = 0
	}
	if c.since++; c.cfg.Decision.Mode == probe.Copy && c.clock.length(c.since) > probe.MaxEntryGapMicros {
		return c.irregular("IDR frames are more than 6 s apart from %s on", c.clock.text(c.current.video[0].PTS))
	}
	if c.cfg.Decision.Mode == probe.Copy && len(c.current.video) > 0 && p.PTS-c.current.video[0].PTS > maxUnitTicks {
		return c.irregular("too many pictures are missing from %s on", c.clock.text(c.current.video[0].PTS))
	}
	c.newest = max(c.newest, p.PTS)
	if len(c.current.video) == 0 || !nals.Entry() {
		c.current.video = append(c.current.video, p)
		return nil
	}
	// A container's jitter must not move an IDR over an edge, so the grid is
	// asked about the frame, not about its time stamp.
	numbers, shift, err := c.number(&p)
	if err != nil {
		return err
	}
	frame := numbers[len(numbers)-1]
	if c.grid.EdgeIndex(c.clock.ticks(frame, shift)) <= c.grid.EdgeIndex(c.clock.ticks(c.current.start,
		c.current.startShift)) {
		c.current.video = append(c.current.video, p)
		return nil
	}
	c.closeGroup(numbers[:len(numbers)-1], frame, shift)
	c.current = group{start: frame, startShift: shift, video: []mpegts.PES{p}}
	return nil
}

// checkPicture compares an entry point's pictures with the first ones. A
// damaged parameter set shows nothing.
func (c *cutter) checkPicture(p mpegts.PES) error {
	pic, damaged := mpegts.ReadPicture(p.Data)
	if damaged == nil && c.cfg.Decision.Mode == probe.Copy {
		return c.compare(pic, p.PTS)
	}
	return nil
}

func (c *cutter) compare(pic mpegts.Picture, at int64) error {
	switch {
	case c.picture.Width == 0:
		c.picture = pic
		return nil
	case pic.Width != c.picture.Width || pic.Height != c.picture.Height:
		return c.irregular("the picture size changes from %dx%d to %dx%d at %s",
			c.picture.Width, c.picture.Height, pic.Width, pic.Height, c.clock.text(at))
	}
	pic.Primaries, pic.Transfer = c.picture.Primaries, c.picture.Transfer
	if pic != c.picture {
		return c.irregular("the codec's parameters change at %s", c.clock.text(at))
	}
	return nil
}

// number numbers the pictures of the growing unit, and the one after them if
// it is known: its number comes last. shift is how far the clock is from the
// nominal grid at the end.
func (c *cutter) number(next *mpegts.PES) (numbers []int64, shift int64, err error) {
	stamps := make([]int64, 0, len(c.current.video)+1)
	for _, p := range c.current.video {
		stamps = append(stamps, p.PTS)
	}
	slices.Sort(stamps)
	if next != nil {
		if next.PTS <= stamps[len(stamps)-1] {
			return nil, 0, c.irregular("the time stamps go back at %s", c.clock.text(next.PTS))
		}
		stamps = append(stamps, next.PTS)
	}
	if stamps[0] < c.current.video[0].PTS {
		return nil, 0, c.irregular("a picture at %s is shown before the IDR frame that it follows", c.clock.text(stamps[0]))
	}
	numbers, shift, odd := c.clock.number(c.current.start, c.current.startShift, stamps)
	if odd >= 0 {
		return nil, 0, c.irregular("the frame rate or the clock is not constant any more at %s", c.clock.text(stamps[odd]))
	}
	if c.cfg.Decision.Mode != probe.Copy {
		return numbers, shift, nil
	}
	for i := 1; i < len(stamps); i++ {
		if stamps[i]-stamps[i-1] > maxHoleTicks {
			return nil, 0, c.irregular("pictures are missing for more than 10 s from %s on", c.clock.text(stamps[i-1]))
		}
	}
	last := stamps[len(stamps)-1]
	if limit := c.clock.half() + (last-c.clock.at.OriginTicks)/clockParts; shift > limit || shift < -limit {
		return nil, 0, c.irregular("the frame rate is not %s any more at %s", c.cfg.Decision.Rate, c.clock.text(last))
	}
	return numbers, shift, nil
}

// irregular ends copying at the start of the growing unit.
func (c *cutter) irregular(format string, args ...any) error {
	e := &Irregular{Reason: fmt.Sprintf(format, args...)}
	if c.declared || len(c.groups) > 0 {
		e.At = &Position{OriginTicks: c.clock.at.OriginTicks, Frame: c.current.start, ShiftTicks: c.current.startShift}
	}
	return e
}

// closeGroup ends the growing unit where the next begins.
func (c *cutter) closeGroup(frames []int64, endFrame, endShift int64) {
	g := c.current
	g.frames, g.end, g.endShift = frames, endFrame, endShift
	g.endTicks = c.clock.ticks(endFrame, endShift)
	c.groups = append(c.groups, g)
	c.current = group{start: endFrame, startShift: endShift}
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
	late := c.newest > edge+audioPatience
	for _, s := range c.streams {
		last, ok := c.heard[s.PID]
		if !s.Video() && (!ok || last < edge) && (c.dense[s.PID] || !late) {
			return false
		}
	}
	return true
}

// emit hands a unit to the sink: its video, and the audio that starts in it.
func (c *cutter) emit(ctx context.Context, g group) error {
	packets := slices.Clone(g.video)
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
	if !c.declared {
		c.declared = true
		tl := timeline.Timeline{OriginTicks: c.clock.at.OriginTicks, Rate: c.cfg.Decision.Rate, Frames: timeline.Open}
		if err := c.sink.Timeline(ctx, tl, c.cfg.Decision); err != nil {
			return fmt.Errorf("declare the timeline: %w", err)
		}
	}
	u := Unit{
		Epoch: c.cfg.Epoch, FirstTicks: g.video[0].PTS,
		StartMicros: c.clock.micros(g.start, g.startShift), EndMicros: c.clock.micros(g.end, g.endShift),
		FrameStart: g.start, Frames: g.end - g.start, Missing: g.end - g.start - int64(len(g.video)),
		Discontinuity: c.cfg.Info.Joins.UpTo(c.clock.ticks(g.start, g.startShift) + c.clock.half()), Streams: c.streams,
	}
	if c.dropped != nil {
		u.Dropped = c.dropped(g.end)
	}
	if c.sink.Already(u.FirstTicks) {
		return nil
	}
	for _, p := range g.video {
		if mpegts.ScanNALs(p.Data).Entry() {
			u.IDRFrames = append(u.IDRFrames, g.frameOf(p.PTS))
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

// frameOf is the number of the picture with a stamp.
func (g group) frameOf(pts int64) int64 {
	n := 0
	for _, p := range g.video {
		if p.PTS < pts {
			n++
		}
	}
	return g.frames[n]
}

// finish emits what is left and declares the end. The last picture stands
// until soundEnd (ticks), where that is later.
func (c *cutter) finish(ctx context.Context, until int64, incomplete string) error {
	if at := c.cfg.Resume; !c.begun && at != nil {
		// All was stored before.
		end := End{Ticks: at.ticks(c.cfg.Decision.Rate), Frames: at.Frame, Incomplete: incomplete}
		if err := c.sink.End(ctx, end); err != nil {
			return fmt.Errorf("declare the end: %w", err)
		}
		return nil
	}
	if !c.begun {
		return fmt.Errorf("no IDR frame was found: %w", ffmpeg.ErrEmpty)
	}
	numbers, shift, err := c.number(nil)
	if err != nil {
		return err
	}
	end := numbers[len(numbers)-1] + 1
	if still := until - c.clock.ticks(end, shift); still > 0 {
		if still > maxHoleTicks && c.cfg.Decision.Mode == probe.Copy {
			return c.irregular("the last picture stands for %.1f s", float64(still)/timeline.TickRate)
		}
		end += timeline.Periods(c.cfg.Decision.Rate, still)
	}
	c.closeGroup(numbers, end, shift)
	last := c.groups[len(c.groups)-1]
	if err := c.emitReady(ctx, true); err != nil {
		return err
	}
	if err := c.sink.End(ctx, End{Ticks: last.endTicks, Frames: last.end, Incomplete: incomplete}); err != nil {
		return fmt.Errorf("declare the end: %w", err)
	}
	return nil
}
