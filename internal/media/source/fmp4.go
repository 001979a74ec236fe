// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

const (
	// maxMoof bounds a movie fragment without its media, maxIndex the index of
	// a fragmented file, which has few samples of its own.
	maxMoof  = 8 << 20
	maxIndex = 1 << 20
	// longFragment is how long a fragment may be: FFmpeg reads pictures and
	// sound of it one after the other from a pipe.
	longFragment = 8 * nanoRate
)

// fragmentTrack is a track of a fragmented MP4.
type fragmentTrack struct {
	*movieTrack
	line *line
	// end is the decoding time at which the last fragment ended, began that at
	// which it began, both on the closed clock; started says that there is one.
	end, began int64
	started    bool
	// shift is added to the times of the part, fresh says that none of it came
	// yet.
	shift int64
	fresh bool
	// seamed says that the next fragment does not follow the last one's media.
	seamed bool
}

// fmp4Retimer makes of a fragmented MP4, as it comes, one whose time does not
// go back. Only movie fragments are read; all else is passed as it is.
type fmp4Retimer struct {
	src    io.ReadCloser
	in     window
	out    bytes.Buffer
	err    error
	joined func(Join)
	ended  func(int64)

	// pass are bytes that go out unread; endless says that all do.
	pass    int64
	endless bool
	tracks  map[uint32]*fragmentTrack
	// begun says that the index came, part is the shift of the newest part.
	begun bool
	part  int64
	// read and written count bytes, partAt is where the file begins that is
	// read.
	read, written, partAt int64
	// held are movie fragments whose place is not known, with what is behind
	// them.
	held  []*heldMoof
	bytes int
}

func newFMP4Retimer(src io.ReadCloser, o Options) *fmp4Retimer {
	return &fmp4Retimer{src: src, in: window{r: src}, joined: o.Joined,
		ended: o.Ended, tracks: map[uint32]*fragmentTrack{}}
}

// Read gives what FFmpeg reads.
func (r *fmp4Retimer) Read(p []byte) (int, error) {
	for r.out.Len() == 0 || r.err == nil && r.out.Len() < outBuffer && r.in.buffered() > boxHeader {
		if r.err != nil {
			return 0, r.err
		}
		if err := r.step(); err != nil {
			r.put(r.in.b[r.in.off:]) // a box that was cut off
			r.drain(true)
			r.err = err
			r.end()
		}
	}
	return r.out.Read(p)
}

// end tells where the pictures end.
func (r *fmp4Retimer) end() {
	end := int64(0)
	for _, t := range r.tracks {
		if t.kind == picture && t.started {
			end = max(end, t.end-t.edit)
		}
	}
	if end > 0 && r.ended != nil && errors.Is(r.err, io.EOF) {
		r.ended(ticksOf(end))
	}
}

// Close ends the reading.
func (r *fmp4Retimer) Close() error { return r.src.Close() }

// put gives bytes to FFmpeg, behind the movie fragments that are held.
func (r *fmp4Retimer) put(b []byte) {
	if n := len(r.held); n > 0 {
		r.held[n-1].behind = append(r.held[n-1].behind, b...)
		if r.bytes += len(b); r.bytes > heldBytes {
			r.drain(true)
		}
		return
	}
	r.out.Write(b)
	r.written += int64(len(b))
}

// take gives the next n bytes, which were peeked at, to FFmpeg.
func (r *fmp4Retimer) take(n int) {
	r.put(r.in.b[r.in.off : r.in.off+n])
	r.skip(n)
}

func (r *fmp4Retimer) skip(n int) {
	r.in.skip(n)
	r.read += int64(n)
}

func (r *fmp4Retimer) step() error {
	if r.pass > 0 || r.endless {
		b, err := r.in.peek(1)
		if len(b) == 0 {
			return err
		}
		n := r.in.buffered()
		if !r.endless {
			n = int(min(r.pass, int64(n)))
			r.pass -= int64(n)
		}
		r.take(n)
		return nil
	}
	return r.top()
}

// known are the boxes of the upper level.
var known = map[string]bool{"ftyp": true, "styp": true, "moov": true, "moof": true, "mdat": true, "free": true,
	"skip": true, "wide": true, "sidx": true, "ssix": true, "prft": true, "emsg": true, "mfra": true, "uuid": true,
	"meta": true, "pdin": true, "udta": true, "pssh": true}

// top takes a box of the upper level.
func (r *fmp4Retimer) top() error {
	b, err := r.in.peek(boxHeader)
	if len(b) < 8 {
		return err
	}
	x, ok := boxAt(b)
	if !ok && len(b) < boxHeader {
		return err
	}
	if !ok || !known[x.kind] && !r.followed(x.size) {
		return r.damage()
	}
	switch x.kind {
	case "ftyp", "moov":
		return r.index(x)
	case "moof":
		return r.moof(x)
	case "sidx", "mfra":
		// Their times are those of another file.
		if r.begun && r.partAt > 0 {
			copy(r.in.b[r.in.off+4:], "free")
		}
	}
	r.pass, r.endless = x.size, x.size == 0
	return nil
}

// index takes the begin of a file. That of a second file is passed, too; FFmpeg
// keeps to the first.
func (r *fmp4Retimer) index(x box) error {
	if x.kind == "ftyp" {
		if r.begun {
			r.join()
		}
		r.pass = x.size
		return nil
	}
	if !r.begun && x.size > 0 && x.size <= maxIndex {
		b, err := r.in.peek(int(x.size))
		if int64(len(b)) < x.size {
			return err
		}
		tracks, _ := movie(b[x.header:])
		for _, t := range tracks {
			end := nanosOf(t.length, t.scale)
			r.tracks[t.id] = &fragmentTrack{movieTrack: t, line: &line{kind: t.kind}, end: end, started: t.length > 0}
			if t.length > 0 {
				r.tracks[t.id].line.add(end - nanoRate/25)
			}
		}
	} else if r.begun && !slices.ContainsFunc(r.sorted(), func(t *fragmentTrack) bool { return t.fresh }) {
		r.join() // one without a file type
	}
	r.begun = true
	r.pass, r.endless = x.size, x.size == 0
	return nil
}

// join begins a file that was joined to the one before.
func (r *fmp4Retimer) join() {
	r.drain(true)
	r.partAt = r.read
	for _, t := range r.tracks {
		t.fresh = t.started
	}
}

// followed says whether a box that is known, or the end, comes at an offset.
func (r *fmp4Retimer) followed(at int64) bool {
	if at <= 0 || at > maxAhead {
		return false
	}
	b, _ := r.in.peek(int(at) + boxHeader)
	if int64(len(b)) <= at {
		return int64(len(b)) == at
	}
	x, ok := boxAt(b[at:])
	return ok && known[x.kind]
}

// damage leaves out what is not MP4, up to the next movie fragment or file.
func (r *fmp4Retimer) damage() error {
	for at := 1; ; at++ {
		b, err := r.in.peek(at + 16)
		if len(b) < at+16 {
			r.skip(len(b))
			return err
		}
		x, ok := boxAt(b[at:])
		if ok && (x.kind == "moof" && string(b[at+12:at+16]) == "mfhd" || x.kind == "ftyp") &&
			x.size <= maxMoof || at >= readBuffer {
			r.skip(at)
			return nil
		}
	}
}

// fragmentedMP4 reads until it is known whether an MP4 comes in fragments that
// are short enough to be read from a pipe.
func fragmentedMP4(src io.Reader) bool {
	in := window{r: src}
	tracks := map[uint32]*fragmentTrack{}
	for left := int64(maxAhead); left > 0; {
		b, _ := in.peek(boxHeader)
		x, ok := boxAt(b)
		if !ok || x.size == 0 || !known[x.kind] || x.kind == "moov" && x.size > maxIndex || x.size > left {
			return false
		}
		if b, _ = in.peek(int(x.size)); int64(len(b)) < x.size {
			return false
		}
		switch x.kind {
		case "moov":
			all, fragmented := movie(b[x.header:])
			for _, t := range all {
				tracks[t.id] = &fragmentTrack{movieTrack: t}
				fragmented = fragmented && nanosOf(t.length, t.scale) <= longFragment
			}
			if !fragmented {
				return false
			}
		case "moof":
			m, ok := moofOf(b, tracks)
			for _, f := range m.trafs {
				ok = ok && nanosOf(f.length, f.track.scale) <= longFragment
			}
			return ok && len(m.trafs) > 0
		}
		in.skip(int(x.size))
		left -= x.size
	}
	return false
}
