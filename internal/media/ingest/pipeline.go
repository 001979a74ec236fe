// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// ringTicks is how much longer than the pictures sound may be because its
	// encoder filled the last frames (60 ms).
	ringTicks = timeline.TickRate * 6 / 100
	// announcedTicks is how much longer than its pictures a container must
	// call the video for the last one to stand that long (0.5 s).
	announcedTicks = timeline.TickRate / 2
)

// pipeline brings what FFmpeg delivers on several pipes to one cutter.
//
// One FFmpeg reads the source. Producers turn its outputs into access units:
// one the pictures, and one each track that is encoded here, whose decoded
// sound comes on a pipe of its own, as a track that starts late must not hold
// up the others.
type pipeline struct {
	// parent outlives the programs.
	parent context.Context
	cfg    Config
	cut    *cutter
	in     chan mpegts.PES

	group     *errgroup.Group
	producers sync.WaitGroup
	// opened are the pipes of programs that do not run yet.
	opened []*os.File
	tracks []*track
	origin *int64

	// over is closed when FFmpeg has ended; failed and said are its error and
	// its words.
	over   chan struct{}
	failed error
	said   string
	// damaged is what is wrong with the copied streams; it is read when all
	// producers have ended.
	damaged error

	mu sync.Mutex
	// soundEnd is where the copied sound ends, pictureEnd the start of the last picture.
	soundEnd, pictureEnd int64
	// until is where the Event ends if the last picture must stand; 0 if not.
	until int64
	// nothing says that no picture was left to encode: all is stored.
	nothing bool
	// shared are the frames that more than one picture had to share.
	shared []int64
}

func newPipeline(ctx context.Context, c Config, cut *cutter) (*pipeline, context.Context, context.CancelFunc) {
	parent := ctx
	ctx, cancel := context.WithCancel(ctx)
	g, ctx := errgroup.WithContext(ctx)
	return &pipeline{parent: parent, cfg: c, cut: cut, in: make(chan mpegts.PES, 64),
		group: g, over: make(chan struct{})}, ctx, cancel
}

// pipe opens a pipe between this program and another.
func (p *pipeline) pipe() (r, w *os.File, err error) {
	if r, w, err = os.Pipe(); err != nil {
		return nil, nil, fmt.Errorf("open a pipe: %w", err)
	}
	p.opened = append(p.opened, r, w)
	return r, w, nil
}

// close closes the pipes of programs that were never started.
func (p *pipeline) close() {
	for _, f := range p.opened {
		_ = f.Close()
	}
}

// transcode prepares the tracks that are encoded here. It returns FFmpeg's
// arguments for their decoded sound.
func (p *pipeline) transcode(cmd *ffmpeg.Cmd) ([]string, error) {
	var args []string
	for i, s := range p.cfg.Decision.Sound {
		if s.Copy {
			continue
		}
		coder, err := p.newEncoder()
		if err != nil {
			return nil, err
		}
		decoded, w, err := p.pipe()
		if err != nil {
			return nil, err
		}
		t := newTrack(uint16(audioPID+i), s, coder, decoded)
		args = append(append(args, t.decodeArgs()...), "pipe:"+strconv.Itoa(3+len(cmd.Outputs)))
		cmd.Outputs = append(cmd.Outputs, w)
		p.tracks = append(p.tracks, t)
		p.cut.dense[t.pid] = true
	}
	return args, nil
}

// start runs the FFmpeg that reads the source, and the tracks' encoders. From
// now on, each pipe is closed by who uses it.
func (p *pipeline) start(ctx context.Context, cmd ffmpeg.Cmd) {
	p.opened = nil
	for _, t := range p.tracks {
		p.group.Go(t.read)
		p.produce(func() error { return t.encode(ctx, p.send) })
	}
	cmd.Heard = func(said string) { p.said = said }
	p.group.Go(func() error {
		defer close(p.over)
		p.failed = ffmpeg.Run(ctx, cmd)
		return nil
	})
}

// produce runs something that sends access units.
func (p *pipeline) produce(f func() error) {
	p.producers.Add(1)
	p.group.Go(func() error {
		defer p.producers.Done()
		return f()
	})
}

func (p *pipeline) send(ctx context.Context, unit mpegts.PES) error {
	select {
	case p.in <- unit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// advance tells the tracks where the Event starts, from where on sound is
// wanted, and where the pictures are.
func (p *pipeline) advance(origin, from, picture int64) error {
	p.mu.Lock()
	p.pictureEnd = max(p.pictureEnd, picture)
	p.mu.Unlock()
	if err := p.begin(origin, from); err != nil {
		return err
	}
	for _, t := range p.tracks {
		if err := t.pictureAt(picture); err != nil {
			return err
		}
	}
	return nil
}

// begin tells the tracks where the Event starts, and from where on sound is
// wanted.
func (p *pipeline) begin(origin, from int64) error {
	for _, t := range p.tracks {
		if err := t.begin(origin, from); err != nil {
			return err
		}
	}
	return nil
}

func (p *pipeline) heard(end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.soundEnd = max(p.soundEnd, end)
}

// ended is called when the pictures have. It waits for the end of all sound,
// decides where the Event ends, and ends the tracks there.
func (p *pipeline) ended(ctx context.Context) error {
	until, err := p.waitSound(ctx)
	if err != nil {
		return err
	}
	for _, t := range p.tracks {
		if err := t.finish(max(until, p.pictureEnd+timeline.TickRate)); err != nil {
			return err
		}
	}
	return nil
}

// waitSound waits until the source was read to its end, and returns where the
// Event ends: with its longest stream.
func (p *pipeline) waitSound(ctx context.Context) (until int64, err error) {
	wait := []chan struct{}{p.over}
	for _, t := range p.tracks {
		wait = append(wait, t.done)
	}
	for _, c := range wait {
		select {
		case <-c:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tracks {
		p.soundEnd = max(p.soundEnd, t.endTicks())
	}
	period := (timeline.Timeline{Rate: p.cfg.Decision.Rate}).FrameStartTicks(1)
	if p.soundEnd > p.pictureEnd+period+ringTicks {
		p.until = p.soundEnd
	}
	if end := p.announced(); end > p.pictureEnd+period+announcedTicks && p.incomplete() == "" {
		p.until = max(p.until, end)
	}
	return p.until, nil
}

// announced is where the container's index or its last fragment says that the
// video ends; 0 where it has no index, or says nothing.
func (p *pipeline) announced() int64 {
	info := p.cfg.Info
	if end := info.Joins.End(); end > 0 && p.origin != nil {
		return end
	}
	if p.origin == nil || info.Video.DurationMicros == 0 || !indexed(info.Container) {
		return 0
	}
	return *p.origin + timeline.MulDiv(info.Video.DurationMicros, timeline.TickRate, 1_000_000)
}

// indexed reports whether a container has an index that knows how long its
// streams are.
func indexed(container string) bool {
	return strings.HasPrefix(container, "mov,") || strings.HasPrefix(container, "matroska")
}

// brokenSigns are FFmpeg's words for a connection that was lost, cutOffSigns
// those for a file that lacks its end.
var (
	brokenSigns = []string{"Input/output error", "Connection reset by peer", "Connection timed out", "Connection refused",
		"Operation timed out", "Stream ends prematurely", "Network is unreachable", "keepalive request failed"}
	cutOffSigns = []string{"partial file", "File ended prematurely"}
)

// incomplete says what the source lacks at its end.
func (p *pipeline) incomplete() string {
	for _, sign := range cutOffSigns {
		if strings.Contains(p.said, sign) {
			announced := ""
			if d := p.cfg.Info.Video.DurationMicros; d > 0 {
				announced = fmt.Sprintf(" of %.1f s", float64(d)/1e6)
			}
			got := float64(0)
			if p.origin != nil {
				got = float64(p.pictureEnd-*p.origin) / timeline.TickRate
			}
			return fmt.Sprintf("the source is cut off after %.1f s%s", got, announced)
		}
	}
	return ""
}

// broken is the error of a source that was not read to its end.
func (p *pipeline) broken() error {
	if p.failed != nil {
		return p.failed
	}
	last := ""
	for line := range strings.Lines(p.said) {
		// A warning may tell of a connection that was made again.
		if strings.Contains(line, "[error]") && slices.ContainsFunc(brokenSigns, func(sign string) bool {
			return strings.Contains(line, sign)
		}) {
			last = strings.TrimSpace(line)
		}
	}
	if last == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrBroken, last)
}

// drain takes all access units to the cutter, and then declares the end.
func (p *pipeline) drain() error {
	ctx := p.parent
	go func() {
		p.producers.Wait()
		close(p.in)
	}()
	var stop *Irregular
	for unit := range p.in {
		var err error
		if stop == nil {
			err = p.cut.add(ctx, unit)
		} else if err = p.cut.rest(ctx, unit); err == nil && len(p.cut.groups) == 0 {
			return p.abandon(stop)
		}
		if err != nil && !errors.As(err, &stop) {
			return p.abandon(err)
		}
	}
	if stop != nil {
		return p.abandon(stop)
	}
	err := p.group.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if broken := p.broken(); broken != nil && !errors.Is(broken, context.Canceled) {
		return p.unreadable(broken)
	}
	switch {
	case err != nil:
		return err
	case p.damaged != nil:
		return p.cut.irregular("%v", p.damaged)
	}
	if p.cfg.Decision.Mode == probe.Mezzanine {
		// There is a picture in every frame.
		p.until = 0
	}
	return p.cut.finish(ctx, p.until, p.incomplete())
}

// unreadable is called when FFmpeg failed. What it copied until then may be
// whole where what it says is of the stream, and decoding may go on there.
func (p *pipeline) unreadable(err error) error {
	said, ok := errors.AsType[*ffmpeg.Error](err)
	if !ok || ffmpeg.Killed(err) || said.Kind != nil && !errors.Is(said, ffmpeg.ErrCorrupt) ||
		p.cfg.Decision.Mode != probe.Copy {
		return err
	}
	return p.cut.irregular("FFmpeg cannot remux it any further")
}

// abandon ends everything with an error.
func (p *pipeline) abandon(err error) error {
	p.group.Go(func() error { return err })
	go func() {
		for range p.in {
		}
	}()
	_ = p.group.Wait()
	return err
}
