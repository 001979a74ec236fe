// SPDX-License-Identifier: Apache-2.0

package pictures

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Feed is a transport stream for FFmpeg that holds the pictures of one range of
// frames or of several, which become the frames from 0 on. Only the groups of
// pictures that are needed go in, each range moved into its own slot of a new
// time axis, so one decoder and one input serve any number of ranges and FFmpeg
// never has to seek.
type Feed struct {
	rate  timeline.Rational
	slots []slot
	video mpegts.Stream
	// cursor is the end of the last slot.
	cursor int64

	// Frames of all ranges. Given of them have a picture of their own, or one
	// that stands at the begin of a range; Missing ones are in no unit, and
	// Frozen of them come before the first picture that is.
	Frames, Given, Missing, Frozen int64
	// Shape is that of the first picture; Changes says that others differ.
	Shape   mpegts.Picture
	Changes bool
}

// slot is a stretch of the time axis.
type slot struct {
	files []mpegts.UnitFile
	// fed are the pictures that the decoder gets, in its order, and pts and dts
	// the time stamps that put them on the grid.
	fed      []listed
	pts, dts []int64
	// from and to (exclusive) are the places of the wanted frames, and begin is
	// the number of the first in what comes out.
	from, to, begin int64
}

const (
	// startSeconds leave room for decoding time stamps and the clock reference
	// before the first slot; gapSeconds keep slots apart.
	startSeconds = 10
	gapSeconds   = 1
)

// NewFeed makes an empty feed.
func NewFeed(rate timeline.Rational) *Feed {
	f := &Feed{rate: rate}
	f.cursor = f.places(startSeconds)
	return f
}

// places is the number of grid places that take at least the given time, and
// that a decoder can need.
func (f *Feed) places(seconds int64) int64 { return seconds*f.rate.Num/f.rate.Den + 1 + Lead }

// Append adds the frames from in to out (exclusive). A frame that the source lost
// is shown by the picture before it, and without any before, by the first that
// there is.
func (f *Feed) Append(l *List, in, out int64) error {
	chains := l.usable()
	if len(chains) == 0 {
		return errors.New("the units hold no picture at which decoding can start")
	}
	f.video = l.video
	at := in
	for i, c := range chains {
		end := out
		if i+1 < len(chains) {
			end = min(out, max(at, c.end, chains[i+1].pictures[0].frame))
		}
		if at < end {
			f.add(l, c, at, end)
			at = end
		}
	}
	return nil
}

// usable are the chains at which decoding can start, from there on.
func (l *List) usable() []chain {
	var out []chain
	for _, c := range l.chains {
		for i, p := range c.pictures {
			if p.shape != nil {
				out = append(out, chain{pictures: c.pictures[i:], end: c.end})
				break
			}
		}
	}
	return out
}

// add gives a slot to frames that one chain shows.
func (f *Feed) add(l *List, c chain, in, out int64) {
	start, stands := choose(c.pictures, in)
	fed := append([]listed(nil), c.pictures[start:]...)
	stands -= start
	f.Missing += out - in - distinct(fed, in, out)
	f.Frozen += max(0, min(fed[stands].frame, out)-in)
	fed[stands].frame = in
	f.Given += distinct(fed, in, out)
	last := stands
	for i, p := range fed {
		if i > last && p.frame >= in && p.frame < out {
			last = i
		}
	}
	s := slot{files: l.files, fed: fed[:last+1], begin: f.Frames}
	f.learn(s.fed)
	f.place(&s, in, out)
	f.slots = append(f.slots, s)
	f.Frames += out - in
}

// choose returns where decoding starts, and the picture that stands at the first
// frame. The first of the pictures is an entry point.
func choose(all []listed, in int64) (start, stands int) {
	for i, p := range all {
		if p.shape != nil && p.frame <= in {
			start = i
		}
	}
	stands = start
	for i := start + 1; i < len(all); i++ {
		p, s := all[i].frame, all[stands].frame
		later := s > in
		if p <= in && (later || p >= s) || later && p < s {
			stands = i
		}
	}
	return start, stands
}

// distinct counts the frames of a range that have a picture.
func distinct(fed []listed, in, out int64) int64 {
	there := map[int64]bool{}
	for _, p := range fed {
		if p.frame >= in && p.frame < out {
			there[p.frame] = true
		}
	}
	return int64(len(there))
}

func (f *Feed) learn(fed []listed) {
	for _, p := range fed {
		switch {
		case p.shape == nil:
		case f.Shape.Width == 0:
			f.Shape = *p.shape
		case p.shape.Width != f.Shape.Width || p.shape.Height != f.Shape.Height || p.shape.SAR != f.Shape.SAR:
			f.Changes = true
		}
	}
}

// place puts a slot behind the last one.
func (f *Feed) place(s *slot, in, out int64) {
	first, last := s.fed[0].frame, s.fed[0].frame
	for _, p := range s.fed {
		first, last = min(first, p.frame), max(last, p.frame)
	}
	places := make([]int64, len(s.fed))
	for i, p := range s.fed {
		places[i] = f.cursor + p.frame - first
	}
	s.pts, s.dts = Stamps(f.rate, places)
	s.from = f.cursor + in - first
	s.to = s.from + out - in
	f.cursor = max(f.cursor+last-first, s.to) + f.places(gapSeconds)
}

// Select is the filter that takes the wanted pictures out of what was decoded, in
// a time base of a frame, each with the frame number that it has in what comes
// out.
func (f *Feed) Select() string {
	var ranges, shifts []string
	for _, s := range f.slots {
		in := fmt.Sprintf("%d,%d", s.from, s.to-1)
		ranges = append(ranges, "between(pts,"+in+")")
		shifts = append(shifts, fmt.Sprintf("between(PTS,%s)*%d", in, s.from-s.begin))
	}
	return fmt.Sprintf("settb=%d/%d,select='%s',setpts='PTS-(%s)'", f.rate.Den, f.rate.Num,
		strings.Join(ranges, "+"), strings.Join(shifts, "+"))
}

// Fill is the filter that makes it exactly all frames: what is missing repeats
// the picture before, so that later ones keep their places.
func (f *Feed) Fill() string {
	return fmt.Sprintf("fps=%s:start_time=0:round=near,tpad=stop=-1:stop_mode=clone,trim=end_frame=%d", f.rate, f.Frames)
}

// Input are FFmpeg's arguments for its standard input. A picture that cannot be
// decoded is no failure. Where a size changes, the first filter must be one that
// bears it.
func (f *Feed) Input(options ...string) []string {
	args := append([]string{"-max_error_rate", "1", "-threads", "2", "-copyts"}, options...)
	if f.Changes {
		args = append(args, "-reinit_filter", "0")
	}
	return append(args, "-f", "mpegts", "-i", "pipe:0")
}

// Open streams the pictures. The reader must be closed, which ends the writer.
func (f *Feed) Open() *io.PipeReader {
	pr, pw := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(pw, 1<<16)
		err := f.write(out)
		if err == nil {
			err = out.Flush()
		}
		pw.CloseWithError(err)
	}()
	return pr
}

func (f *Feed) write(w io.Writer) error {
	m, err := mpegts.NewMuxer(w, []mpegts.Stream{f.video})
	if err != nil {
		return err
	}
	if err := m.WriteTables(); err != nil {
		return err
	}
	for _, s := range f.slots {
		var video []mpegts.PES
		for i, p := range s.fed {
			if i == 0 || p.unit != s.fed[i-1].unit {
				u, err := s.files[p.unit].Read()
				if err != nil {
					return err
				}
				video = u.Video()
			}
			pic := video[p.packet]
			pic.PID, pic.PTS, pic.DTS = f.video.PID, s.pts[i], s.dts[i]
			if err := m.WritePES(pic); err != nil {
				return err
			}
		}
	}
	return nil
}
