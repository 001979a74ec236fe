// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/probe"
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
	lines := bufio.NewScanner(f.stamps)
	pictures := bufio.NewReaderSize(f.raw, 1<<16)
	began := false
	for {
		pts, ok, err := nextStamp(lines, f.pace)
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
		frame, ok := f.pace.place(pts)
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

// nextStamp reads a picture's stamp: "frame:12   pts:43200   pts_time:0.48".
// Other lines are its metadata.
func nextStamp(lines *bufio.Scanner, p *pacer) (pts int64, ok bool, err error) {
	for lines.Scan() {
		_, rest, found := strings.Cut(lines.Text(), "pts:")
		if !found || !strings.HasPrefix(lines.Text(), "frame:") {
			continue
		}
		word, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if word == "NOPTS" {
			// A picture without a stamp follows the one before it.
			return p.following(), true, nil
		}
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return 0, false, fmt.Errorf("read the stamps of the decoded pictures: %w", err)
		}
		return n + probe.OffsetTicks, true, nil
	}
	if err := lines.Err(); err != nil {
		return 0, false, fmt.Errorf("read the stamps of the decoded pictures: %w", err)
	}
	return 0, false, nil
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
