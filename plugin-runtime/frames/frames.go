// SPDX-License-Identifier: Apache-2.0

// Package frames decodes a chunk to raw pictures, for plugins that have no decoder.
//
// It is done once for each size, format and rate that plugins ask for, and kept beside the chunk's file, with which
// it goes.
package frames

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// MaxBytes bounds what a chunk's pictures may take on the disk, of all sizes together.
	MaxBytes = 512 << 20
	// MaxWidth is that of 8K video.
	MaxWidth = 7680
)

// Format of a picture's bytes, row by row and without padding.
type Format string

const (
	// Gray is one byte for a pixel.
	Gray Format = "gray"
	// RGB is three.
	RGB Format = "rgb24"
)

func (f Format) bytes() int64 {
	if f == RGB {
		return 3
	}
	return 1
}

// Params say which pictures are wanted.
type Params struct {
	// Width of the pictures; the height follows from the shape in which the video is seen.
	Width  int
	Format Format
	// Rate of the pictures; that of the video when it is zero, or would be higher. Picture k is the one that is
	// shown k/Rate after the chunk's start.
	Rate timeline.Rational
}

// Set is a file of pictures, one after the other.
type Set struct {
	Path          string
	Width, Height int
	Format        Format
	Rate          timeline.Rational
	Frames        int64
}

// maxRateTerm bounds the terms of a rate that is asked for, far above any real one, so that products of them are
// numbers.
const maxRateTerm = 1_000_000

// RefusedError is a request that cannot be fulfilled, in words for who made it.
type RefusedError struct{ words string }

// Error implements error.
func (e *RefusedError) Error() string { return e.words }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

func (p Params) check() error {
	switch {
	case p.Width < 1 || p.Width > MaxWidth:
		return refused("width is %d; it must be 1 to %d", p.Width, MaxWidth)
	case p.Format != Gray && p.Format != RGB:
		return refused("format is %q; it must be %s or %s", p.Format, Gray, RGB)
	case p.Rate != (timeline.Rational{}) && !p.Rate.Valid():
		return refused("rate is %d/%d; both must be positive", p.Rate.Num, p.Rate.Den)
	case p.Rate.Num > maxRateTerm || p.Rate.Den > maxRateTerm:
		return refused("rate is %d/%d; both must be at most %d", p.Rate.Num, p.Rate.Den, maxRateTerm)
	}
	return nil
}

// flights are the decodes under way, by chunk file and parameters. One decodes at a time: each uses all processors,
// and counts what the others have left of the room.
var (
	mu      sync.Mutex
	flights = map[flight]*decode{}
	turn    = make(chan struct{}, 1)
)

type flight struct {
	media string
	Params
}

type decode struct {
	waiters int
	cancel  context.CancelFunc
	done    chan struct{}
	set     Set
	err     error
}

// Get returns pictures of a chunk's file. Who asks for the same ones at the same time waits for one decode, which
// ends when nobody waits any more.
func Get(ctx context.Context, media string, p Params) (Set, error) {
	if err := p.check(); err != nil {
		return Set{}, err
	}
	d, key := join(ctx, media, p)
	defer d.leave(key)
	select {
	case <-d.done:
		return d.set, d.err
	case <-ctx.Done():
		return Set{}, context.Cause(ctx)
	}
}

func join(ctx context.Context, media string, p Params) (*decode, flight) {
	key := flight{media, p}
	mu.Lock()
	defer mu.Unlock()
	if d, ok := flights[key]; ok {
		d.waiters++
		return d, key
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	d := &decode{waiters: 1, cancel: cancel, done: make(chan struct{})}
	flights[key] = d
	go func() {
		defer close(d.done)
		// A plugin's request must not end the agent, whatever is wrong with the media or with this code.
		defer func() {
			if p := recover(); p != nil {
				d.err = fmt.Errorf("decode the chunk: %v", p)
			}
		}()
		select {
		case turn <- struct{}{}:
		case <-work.Done():
			d.err = work.Err()
			return
		}
		defer func() { <-turn }()
		d.set, d.err = makeSet(work, media, p)
	}()
	return d, key
}

func (d *decode) leave(key flight) {
	mu.Lock()
	defer mu.Unlock()
	if d.waiters--; d.waiters == 0 {
		d.cancel()
		delete(flights, key)
	}
}

// makeSet finds the pictures on the disk, or makes them.
func makeSet(ctx context.Context, media string, p Params) (Set, error) {
	info, err := probe.Probe(ctx, media)
	if err != nil {
		return Set{}, err
	}
	v := info.Video
	if v.Width < 1 || v.Height < 1 || !v.Rate.Valid() {
		return Set{}, refused("the chunk has no pictures")
	}
	s := Set{Width: p.Width, Format: p.Format, Rate: p.Rate}
	width, height := v.DisplaySize()
	s.Height = max(1, int(timeline.MulDiv(int64(p.Width), int64(height), int64(width))))
	// Pictures that the source lost are the one before, so that picture k is the right one after a hole.
	round := "up"
	if !s.Rate.Valid() || s.Rate.Num*v.Rate.Den >= v.Rate.Num*s.Rate.Den {
		s.Rate, round = v.Rate, "near"
	}
	filter := fmt.Sprintf("setpts=PTS-STARTPTS,fps=%s:round=%s,scale=%d:%d:flags=area,format=%s", s.Rate,
		round, s.Width, s.Height, s.Format)
	size := int64(s.Width) * int64(s.Height) * s.Format.bytes()
	s.Path = filepath.Join(filepath.Dir(media),
		fmt.Sprintf("frames-%dx%d-%s-%d-%d.raw", s.Width, s.Height, s.Format, s.Rate.Num, s.Rate.Den))
	if st, err := os.Stat(s.Path); err == nil {
		s.Frames = st.Size() / size
		return s, nil
	}
	used, err := taken(media)
	if err != nil {
		return Set{}, err
	}
	tooMuch := refused("pictures of %dx%d in %s at %s/s would take more than the %d MiB that a chunk's "+
		"pictures may take, of which %d MiB are used: ask for a smaller width, for %s, or for a lower rate", s.Width,
		s.Height, s.Format, s.Rate, MaxBytes>>20, used>>20, Gray)
	if size*timeline.MulDiv(v.DurationMicros, s.Rate.Num, s.Rate.Den*1_000_000) > MaxBytes-used {
		return Set{}, tooMuch
	}
	n, err := write(ctx, media, filter, s.Path, MaxBytes-used, tooMuch)
	if err != nil {
		return Set{}, err
	}
	if s.Frames = n / size; n%size != 0 || n == 0 {
		return Set{}, fmt.Errorf("decode the chunk: the decoder gave %d bytes, which are no pictures of %d", n, size)
	}
	return s, nil
}

// taken is what a chunk's pictures take already.
func taken(media string) (int64, error) {
	files, err := filepath.Glob(filepath.Join(filepath.Dir(media), "frames-*.raw"))
	if err != nil {
		return 0, fmt.Errorf("count the chunk's pictures: %w", err)
	}
	var sum int64
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			return 0, fmt.Errorf("count the chunk's pictures: %w", err)
		}
		sum += st.Size()
	}
	return sum, nil
}

// write decodes to a file beside its place, and moves it there when it is whole.
func write(ctx context.Context, media, filter, path string, room int64, tooMuch error) (n int64, err error) {
	part := path + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, fmt.Errorf("keep the chunk's pictures: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	b := &bounded{file: out, room: room, tooMuch: tooMuch}
	// Where the size changes, filters must not start anew: they would count from 0 again.
	args := append(ffmpeg.Input(media, "-reinit_filter", "0"), "-map", "0:v:0", "-vf", filter,
		"-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1")
	err = ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: args, Stdout: b})
	if closeErr := out.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	switch {
	case b.full:
		return 0, tooMuch
	case err != nil:
		return 0, fmt.Errorf("decode the chunk: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return 0, errors.Join(err, os.Remove(part))
	}
	return b.written, nil
}

// bounded is a file that takes only so much.
type bounded struct {
	file          *os.File
	room, written int64
	full          bool
	tooMuch       error
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if b.full = b.full || int64(len(p)) > b.room-b.written; b.full {
		return 0, b.tooMuch
	}
	n, err := b.file.Write(p)
	b.written += int64(n)
	return n, err
}
