// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Tags of FLV.
const (
	tagSound   = 8
	tagPicture = 9
	tagScript  = 18
	// tagHeader comes before a tag's data; tagTail, behind it, repeats the size
	// of both.
	tagHeader = 11
	tagTail   = 4
	// maxTag is the most that is read ahead to find out whether bytes behind
	// damage are a tag.
	maxTag = 4 << 20

	milliRate = 1000
	wrapFLV   = int64(1) << 32
)

var flvMagic = []byte("FLV\x01")

// flvRetimer makes of an FLV, as it comes, one with a clock without jumps.
type flvRetimer struct {
	src    io.ReadCloser
	in     window
	out    bytes.Buffer
	err    error
	begun  bool
	clock  *clock
	tracks map[byte]*track
}

func newFLVRetimer(src io.ReadCloser, o Options) *flvRetimer {
	r := &flvRetimer{src: src, in: window{r: src}}
	r.clock = newClock(milliRate, wrapFLV, r.write, o.Joined)
	r.tracks = map[byte]*track{tagSound: r.clock.track(sound), tagPicture: r.clock.track(picture)}
	return r
}

// Read gives what FFmpeg reads.
func (r *flvRetimer) Read(p []byte) (int, error) {
	for r.out.Len() == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if err := r.step(); err != nil {
			r.clock.end()
			r.err = err
		}
	}
	return r.out.Read(p)
}

// Close ends the reading.
func (r *flvRetimer) Close() error { return r.src.Close() }

// step takes a header or a tag, or skips damage.
func (r *flvRetimer) step() error {
	b, err := r.in.peek(tagHeader)
	if len(b) < tagHeader {
		return err // what is left is the rest of a tag that was cut off
	}
	if bytes.HasPrefix(b, flvMagic) {
		n := int(min(binary.BigEndian.Uint32(b[5:]), 64)) + tagTail
		b, err := r.in.peek(n)
		if len(b) < n {
			return err
		}
		// A second header is that of a file that was joined to the first.
		if !r.begun {
			r.begun = true
			r.out.Write(b)
		}
		r.in.skip(n)
		return nil
	}
	if whole, err := r.tag(0, false); whole != nil || err != nil && !errors.Is(err, io.EOF) {
		if whole == nil {
			return err
		}
		r.take(whole)
		r.in.skip(min(len(whole)+tagTail, r.in.buffered()))
		return nil
	}
	return r.resync()
}

// tag returns the tag that begins at an offset, or nil if none does. Behind
// damage (strict) more has to agree.
func (r *flvRetimer) tag(at int, strict bool) ([]byte, error) {
	b, err := r.in.peek(at + tagHeader)
	if len(b) < at+tagHeader {
		return nil, err
	}
	b = b[at:]
	if t := b[0]; t != tagSound && t != tagPicture && t != tagScript {
		return nil, nil
	}
	n := tagHeader + int(binary.BigEndian.Uint32(b)&0xffffff)
	if strict && (n > maxTag || b[8]|b[9]|b[10] != 0) {
		return nil, nil
	}
	b, err = r.in.peek(at + n + tagTail + 1)
	switch b = b[at:]; {
	case len(b) < n || len(b) < n+tagTail && strict:
		return nil, err
	case len(b) < n+tagTail || int(binary.BigEndian.Uint32(b[n:])) == n:
		return b[:n], nil
	case strict || len(b) <= n+tagTail:
		return nil, nil
	}
	// Some writers put another number behind a tag; the next one tells.
	switch b[n+tagTail] {
	case tagSound, tagPicture, tagScript, flvMagic[0]:
		return b[:n], nil
	}
	return nil, nil
}

// resync skips to the next tag.
func (r *flvRetimer) resync() error {
	for at := 1; ; at++ {
		b, err := r.in.peek(at + len(flvMagic))
		if len(b) < at+len(flvMagic) {
			return err
		}
		whole, err := r.tag(at, true)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if whole != nil || bytes.HasPrefix(b[at:], flvMagic) {
			r.in.skip(at)
			return nil
		}
		if at >= readBuffer {
			r.in.skip(at)
			return nil
		}
	}
}

// take handles a tag.
func (r *flvRetimer) take(b []byte) {
	u := unit{data: b, track: r.tracks[b[0]]}
	u.dts = int64(b[7])<<24 | int64(binary.BigEndian.Uint32(b[3:])&0xffffff)
	u.pts = u.dts
	if data := b[tagHeader:]; u.track != nil && len(data) > 0 {
		u.timed = true
		switch {
		case u.track.kind == sound:
			// The configuration of AAC has no time.
			u.timed = data[0]>>4 != 10 || len(data) > 1 && data[1] != 0
		case composed(b):
			u.hasDTS = true
			u.timed = data[1] == 1
			u.pts += int64(int32(binary.BigEndian.Uint32(data[1:])<<8) >> 8)
		case data[0]>>4&7 == 5: // a command to the player
			u.timed = false
		}
	}
	r.clock.add(u)
}

// composed says whether a picture's tag has a presentation time of its own:
// H.264 and HEVC.
func composed(b []byte) bool {
	d := b[tagHeader:]
	return b[0] == tagPicture && len(d) >= 5 && d[0]>>4&7 != 5 && (d[0]&0x0f == 7 || d[0]&0x0f == 12)
}

func (r *flvRetimer) write(u *unit) {
	at := u.dts
	if !u.timed {
		// Configurations and scripts go where the media is.
		at = r.clock.out
		if p, ok := r.clock.nearest(u.dts); !ok || !r.clock.apart(u.dts, p.at, jumpSeconds) {
			at = u.dts + p.shift
		}
	}
	if t := u.track; u.timed && t.until != nil {
		// Sound at the same time as the end of the old part's is left out.
		if 2*r.clock.diff(*t.until, u.pts) > r.clock.period(t) {
			return
		}
		t.until = nil
	}
	start := r.out.Len()
	r.out.Write(u.data)
	b := r.out.Bytes()[start:]
	b[4], b[5], b[6], b[7] = byte(at>>16), byte(at>>8), byte(at), byte(at>>24)
	if u.timed && u.hasDTS {
		offset := u.pts - u.dts
		d := b[tagHeader:]
		d[2], d[3], d[4] = byte(offset>>16), byte(offset>>8), byte(offset)
	}
	r.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(u.data))))
}

// window is a reader that can look ahead as far as it has to.
type window struct {
	r   io.Reader
	b   []byte
	off int
	err error
}

// peek returns the next n bytes, or fewer and the reason.
func (w *window) peek(n int) ([]byte, error) {
	for w.buffered() < n && w.err == nil {
		if w.off > 0 {
			w.b = w.b[:copy(w.b, w.b[w.off:])]
			w.off = 0
		}
		at := len(w.b)
		w.b = append(w.b, make([]byte, readBuffer)...)
		var k int
		k, w.err = w.r.Read(w.b[at:])
		w.b = w.b[:at+k]
	}
	if w.buffered() < n {
		return w.b[w.off:], w.err
	}
	return w.b[w.off : w.off+n], nil
}

func (w *window) buffered() int { return len(w.b) - w.off }

func (w *window) skip(n int) { w.off += n }
