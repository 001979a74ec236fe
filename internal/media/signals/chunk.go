// SPDX-License-Identifier: Apache-2.0

package signals

import (
	"bufio"
	"io"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pictures"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// chunk is the video of a chunk's units, on an exact grid of frames.
type chunk struct {
	files  []UnitFile
	rate   timeline.Rational
	video  mpegts.Stream
	frames []int64 // of all pictures, in decoding order
}

func (c *chunk) add(file UnitFile, u mpegts.Unit) {
	for _, p := range pictures.Of(c.rate, file, u) {
		c.frames = append(c.frames, p.Frame)
	}
	for _, s := range u.Streams {
		if s.Video() {
			c.video = s
		}
	}
}

// span is the chunk's first frame and how many there are up to its last.
func (c *chunk) span() (first, frames int64) {
	first = slices.Min(c.frames)
	return first, slices.Max(c.frames) + 1 - first
}

// leadSeconds leave room for decoding time stamps and the clock reference.
const leadSeconds = 10

// lead is the place of the first frame on the grid.
func (c *chunk) lead() int64 { return leadSeconds*c.rate.Num/c.rate.Den + 1 + pictures.Lead }

// feed streams the pictures with their place as time stamp. It must be closed.
func (c *chunk) feed() *io.PipeReader {
	pr, pw := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(pw, 1<<16)
		err := c.write(out)
		if err == nil {
			err = out.Flush()
		}
		pw.CloseWithError(err)
	}()
	return pr
}

func (c *chunk) write(w io.Writer) error {
	m, err := mpegts.NewMuxer(w, []mpegts.Stream{c.video})
	if err != nil {
		return err
	}
	if err := m.WriteTables(); err != nil {
		return err
	}
	first, _ := c.span()
	places := make([]int64, len(c.frames))
	for i, f := range c.frames {
		places[i] = c.lead() + f - first
	}
	pts, dts := pictures.Stamps(c.rate, places)
	for _, file := range c.files {
		u, err := file.Read()
		if err != nil {
			return err
		}
		for _, pic := range u.Video() {
			pic.PID, pic.PTS, pic.DTS = c.video.PID, pts[0], dts[0]
			pts, dts = pts[1:], dts[1:]
			if err := m.WritePES(pic); err != nil {
				return err
			}
		}
	}
	return nil
}
