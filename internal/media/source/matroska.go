// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	// maxInfo bounds the elements that are read as a whole: Info and Tracks.
	maxInfo = 8 << 20
	// maxBlock is the longest block that FFmpeg takes.
	maxBlock = 256 << 20
	// maxAhead bounds the elements that are read as a whole to see whether
	// another one follows.
	maxAhead = 8 << 20
	// maxUnknown is how many elements in a row may not be known.
	maxUnknown = 4
	// groupHead is how far a BlockGroup is searched for its Block.
	groupHead = 4 << 10

	usualScale = 1_000_000
)

// matroskaRetimer makes of a Matroska file, as it comes, one whose time does
// not go back. All bytes but those of times are passed as they are.
type matroskaRetimer struct {
	src    io.ReadCloser
	in     window
	out    bytes.Buffer
	err    error
	joined func(Join)

	// pass are bytes that go out unread, drop such that do not.
	pass, drop int64
	// scale is the unit of the times that come, scaleOut of those that go.
	scale, scaleOut int64
	lines           map[uint64]*line
	// later says that the bytes are of a file that was joined to the first,
	// fresh that no Cluster of it came yet.
	begun, later, fresh bool
	// bounded says that FFmpeg knows where the Segment ends.
	bounded bool

	// shift is added to the times of the part.
	shift int64
	// left is what is left of the Cluster; in says that there is one.
	inside   bool
	left     int64
	base     int64
	began    bool
	baseLast int64
	// now is the shift of the Cluster, timestamp its time as it is written.
	now       int64
	timestamp int64
	// seamed says that the next Cluster does not follow the last one's media.
	seamed bool
	hold   *heldCluster
}

func newMatroskaRetimer(src io.ReadCloser, o Options) *matroskaRetimer {
	return &matroskaRetimer{src: src, in: window{r: src}, joined: o.Joined, scale: usualScale, scaleOut: usualScale,
		lines: map[uint64]*line{}}
}

// Read gives what FFmpeg reads.
func (r *matroskaRetimer) Read(p []byte) (int, error) {
	for r.out.Len() == 0 || r.err == nil && r.out.Len() < outBuffer && r.in.buffered() > elementHeader {
		if r.err != nil {
			return 0, r.err
		}
		if err := r.step(); err != nil {
			r.put(r.in.b[r.in.off:]) // an element that was cut off
			r.decide(nil, true)
			r.err = err
		}
	}
	return r.out.Read(p)
}

// Close ends the reading.
func (r *matroskaRetimer) Close() error { return r.src.Close() }

// put gives bytes to FFmpeg, behind the Cluster that is held.
func (r *matroskaRetimer) put(b []byte) {
	if r.hold != nil {
		r.hold.data = append(r.hold.data, b...)
		if len(r.hold.data) > heldBytes {
			r.decide(nil, true)
		}
		return
	}
	r.out.Write(b)
}

// take gives the next n bytes, which were peeked at, to FFmpeg.
func (r *matroskaRetimer) take(n int) {
	r.put(r.in.b[r.in.off : r.in.off+n])
	r.in.skip(n)
}

func (r *matroskaRetimer) step() error {
	switch {
	case r.pass > 0 || r.drop > 0:
		b, err := r.in.peek(1)
		if len(b) == 0 {
			return err
		}
		if r.drop > 0 {
			n := int(min(r.drop, int64(r.in.buffered())))
			r.in.skip(n)
			r.drop -= int64(n)
			return nil
		}
		n := int(min(r.pass, int64(r.in.buffered())))
		r.take(n)
		r.pass -= int64(n)
		return nil
	case r.inside && r.left == 0:
		r.leave()
		return nil
	case r.inside:
		return r.child()
	}
	return r.top()
}

// top takes an element of the file's two upper levels.
func (r *matroskaRetimer) top() error {
	b, err := r.in.peek(elementHeader)
	e, ok := elementAt(b)
	if !ok && len(b) < elementHeader {
		return err
	}
	switch {
	case ok && e.id == idCluster:
		return r.cluster()
	case ok && e.id == idEBML && e.size >= 0:
		if r.begun {
			// A file that was joined to the first one. FFmpeg knows the tracks.
			r.decide(nil, true)
			r.later, r.fresh, r.bounded = true, true, false
			r.scale = usualScale
		}
		r.begun = true
		r.whole(e)
	case ok && e.id == idSegment:
		if r.later {
			r.in.skip(e.header)
			return nil
		}
		r.bounded = e.size != unknownSize
		r.take(e.header)
	case ok && (e.id == idInfo || e.id == idTracks) && e.size >= 0 && e.size <= maxInfo:
		b, err := r.in.peek(int(e.whole()))
		if int64(len(b)) < e.whole() {
			return err
		}
		if e.id == idInfo {
			r.info(b[e.header:])
		} else if !r.later {
			r.tracks(b[e.header:])
		}
		r.whole(e)
	case ok && (level1[e.id] || e.id == idVoid || e.id == idCRC) && e.size >= 0:
		r.whole(e)
	case ok && e.size >= 0 && e.size <= maxAhead && r.followed(e.whole(), 0):
		r.whole(e) // something new
	default:
		r.in.skip(1)
		return r.damage()
	}
	return nil
}

// whole lets an element go by.
func (r *matroskaRetimer) whole(e element) {
	if r.later {
		r.drop = e.whole()
	} else {
		r.pass = e.whole()
	}
}

// damage leaves out what is not Matroska, up to the next element of the first
// level in it. FFmpeg goes on there, too, but it would have to read again what
// a damaged size made it skip, which it cannot on a pipe.
func (r *matroskaRetimer) damage() error {
	r.breakOff(false)
	for at := 0; ; at++ {
		b, err := r.in.peek(at + 4)
		if len(b) < at+4 {
			r.in.skip(len(b))
			return err
		}
		if id := binary.BigEndian.Uint32(b[at:]); level1[id] || id == idEBML || at >= readBuffer {
			r.in.skip(at)
			return nil
		}
	}
}

// breakOff makes FFmpeg look for the next element of the first level, and
// believe no more in the sizes of the Cluster and the Segment it is in: a
// Segment can be in neither of them. It looks for it behind the last element
// that it knows, so that gets an empty one before.
func (r *matroskaRetimer) breakOff(inside bool) {
	switch {
	case inside && r.left != unknownSize:
		r.put([]byte{idPosition, 0x80})
	case r.bounded && !inside:
		r.put(append(binary.BigEndian.AppendUint32(nil, idCues), 0x80))
	default:
		return
	}
	r.put(binary.BigEndian.AppendUint32(nil, idSegment))
	r.put(putSize(unknownSize))
	r.bounded = false
}

// followed says whether another element, or the end, comes at an offset, or
// behind a few there that are not known. left is what is left there of the
// Cluster.
func (r *matroskaRetimer) followed(at, left int64) bool {
	for range maxUnknown {
		b, _ := r.in.peek(int(at) + elementHeader)
		if int64(len(b)) <= at {
			return true
		}
		e, ok := elementAt(b[at:])
		switch {
		case !ok:
			return len(b) < int(at)+elementHeader
		case level1[e.id] || e.id == idEBML || e.id == idSegment:
			return left <= 0
		case e.id == idVoid || e.id == idCRC || left != 0 && inCluster[e.id]:
			return true
		case e.size < 0 || at+e.whole() > maxAhead || left > 0 && left < e.whole():
			return false
		}
		if at += e.whole(); left > 0 {
			left -= e.whole()
		}
	}
	return false
}

func (r *matroskaRetimer) info(b []byte) {
	children(b, func(id uint32, body []byte) {
		if scale := uintOf(body); id == idTimestampScale && len(body) <= 8 && scale > 0 && scale <= uint64(nanoRate) {
			r.scale = int64(scale)
			if !r.later {
				r.scaleOut = r.scale
			}
		}
	})
}

func (r *matroskaRetimer) tracks(b []byte) {
	children(b, func(id uint32, body []byte) {
		if id != idTrackEntry {
			return
		}
		number, k := uint64(0), other
		children(body, func(id uint32, body []byte) {
			switch {
			case id == idTrackNumber && len(body) <= 8:
				number = uintOf(body)
			case id == idTrackType && len(body) == 1 && body[0] == 1:
				k = picture
			case id == idTrackType && len(body) == 1 && body[0] == 2:
				k = sound
			}
		})
		if r.lines[number] == nil {
			r.lines[number] = &line{kind: k}
		}
	})
}

// nanos is a time of the file.
func (r *matroskaRetimer) nanos(timestamp uint64) int64 {
	if timestamp > uint64(farNanos/r.scale) {
		return farNanos
	}
	return int64(timestamp) * r.scale
}
