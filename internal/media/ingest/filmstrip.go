// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// filmstrip turns the pictures that the decoder delivers into one for each
// frame.
type filmstrip struct {
	p            *pipeline
	pace         *pacer
	raw, stamps  *os.File
	encoder      *encoder
	held, coming []byte
	// last is the frame of the picture that is held; it was not written yet.
	last int64
	// standing says that a picture from before the part's start is held.
	standing bool
}

// run reads the pictures to their end.
func (f *filmstrip) run(ctx context.Context) error {
	defer f.encoder.in.Close()
	defer f.raw.Close()
	defer f.stamps.Close()
	size := frameBytes(f.p.cfg)
	f.held, f.coming = make([]byte, size), make([]byte, size)
	lines := &stampLines{in: bufio.NewScanner(f.stamps)}
	pictures := bufio.NewReaderSize(f.raw, 1<<16)
	began := false
	for {
		at, ok, err := lines.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if _, err := io.ReadFull(pictures, f.coming); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return fmt.Errorf("read the decoded pictures: %w", err)
		}
		if at, err = f.confirmed(at, lines); err != nil {
			return err
		}
		frame, ok := f.pace.place(at.ticks)
		if !ok {
			f.held, f.coming, f.standing = f.coming, f.held, true
			continue
		}
		if !began {
			began = true
			f.begin()
		}
		if err := f.take(frame); err != nil {
			return err
		}
		if err := f.p.advance(f.pace.origin(), f.pace.ticksOf(0), f.pace.ticksOf(frame-f.pace.first)); err != nil {
			return err
		}
	}
	end := f.pace.end()
	if !began {
		// What the decoder says is the better error.
		<-f.p.over
		if !f.standing {
			return fmt.Errorf("no picture can be decoded: %w", ffmpeg.ErrEmpty)
		}
		f.begin()
		end = f.pace.first
		if err := f.p.advance(f.pace.origin(), f.pace.ticksOf(0), f.pace.ticksOf(-1)); err != nil {
			return err
		}
	}
	until, err := f.p.waitSound(ctx)
	if err != nil {
		return err
	}
	if end = max(end, f.pace.nearest(until)); began && end <= f.last {
		f.p.dropped(f.last - 1)
	}
	f.p.mu.Lock()
	f.p.nothing = end == f.pace.first
	f.p.mu.Unlock()
	if err := f.write(end); err != nil {
		return err
	}
	return f.p.ended(ctx)
}

// begin starts the part. Where it begins without a picture, the one before
// stands, or else the first one.
func (f *filmstrip) begin() {
	origin := f.pace.origin()
	f.p.mu.Lock()
	f.p.origin = &origin
	f.p.mu.Unlock()
	if f.last = f.pace.first; !f.standing {
		copy(f.held, f.coming)
	}
}

// take writes the picture that is held for each frame up to the next one's,
// and holds that. Of pictures that share a frame, the last is shown.
func (f *filmstrip) take(frame int64) error {
	if frame == f.last && f.pace.shared() {
		f.p.dropped(frame)
	}
	if err := f.write(frame); err != nil {
		return err
	}
	f.held, f.coming = f.coming, f.held
	return nil
}

func (f *filmstrip) write(end int64) error {
	for ; f.last < end; f.last++ {
		if err := f.encoder.write(f.held); err != nil {
			return fmt.Errorf("encode the pictures: %w", err)
		}
	}
	return nil
}

// frameBytes is the size of a raw picture of the units.
func frameBytes(c Config) int {
	n := c.Decision.Picture.Width * c.Decision.Picture.Height * 3 / 2
	if pixelFormat(c.Info) == "yuv420p10le" {
		n *= 2
	}
	return n
}

// confirmed is the stamp of a picture, or a better one where it has none, or
// where the next picture shows that it is damaged.
func (f *filmstrip) confirmed(at stamp, lines *stampLines) (stamp, error) {
	switch {
	case at.missing:
		at.ticks = f.pace.following()
	case f.pace.doubts(at.ticks):
		after, ok, err := lines.peek()
		if err != nil {
			return at, err
		}
		if ok && !after.missing {
			at.ticks = f.pace.between(at.ticks, after.ticks)
		}
	}
	return at, nil
}

// stored reports whether no picture was left to encode.
func (p *pipeline) stored() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.nothing
}

// dropped notes a picture that had to share a frame.
func (p *pipeline) dropped(frame int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shared = append(p.shared, frame)
}

// droppedBefore takes those before a frame off the list, and counts them.
func (p *pipeline) droppedBefore(frame int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.shared) && p.shared[n] < frame {
		n++
	}
	p.shared = p.shared[n:]
	return int64(n)
}
