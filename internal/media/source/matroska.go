// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
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

// heldCluster is a Cluster that jumps, with all behind it, until its place is
// known.
type heldCluster struct {
	head   clusterHead
	data   []byte
	base   int64
	spans  []*span
	blocks []heldBlock
}

// heldBlock is a block in the held bytes: where it begins, where its time is.
type heldBlock struct {
	at, stamp int
	line      *line
	time      int64
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

// leave ends a Cluster.
func (r *matroskaRetimer) leave() {
	r.inside = false
	if r.hold != nil {
		r.decide(nil, false)
	}
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

// cluster takes the begin of a Cluster.
func (r *matroskaRetimer) cluster() error {
	h, err := r.head()
	if err != nil {
		return err
	}
	base := r.nanos(h.timestamp)
	r.decide(&base, false)
	r.base = base
	h.raw = bytes.Clone(h.raw)
	r.in.skip(len(h.raw))
	if r.goesOn(base) {
		r.enter(h, r.shift)
	} else {
		r.hold = &heldCluster{head: h, base: base}
	}
	r.inside, r.left = true, unknownSize
	if h.size >= 0 {
		r.left = h.size - int64(h.length)
	}
	return nil
}

func (r *matroskaRetimer) head() (clusterHead, error) {
	for n := 64; ; n *= 2 {
		b, err := r.in.peek(n)
		h, more := headOf(b)
		if !more {
			return h, nil
		}
		if len(b) < n {
			return h, err
		}
	}
}

// goesOn says that a Cluster goes on from what came, as far as its time tells.
func (r *matroskaRetimer) goesOn(base int64) bool {
	if !r.began {
		return true
	}
	at := base + r.shift
	if r.fresh || r.seamed || at < r.baseLast-orderNanos {
		return false
	}
	var top int64
	for _, l := range r.lines {
		if l.kind != other && l.seen {
			top = max(top, l.end())
		}
	}
	none := true
	for _, l := range r.lines {
		if l.kind == other || !l.seen || l.end() < top-quietSeconds*nanoRate {
			continue
		}
		none = false
		if d := at - l.end(); d >= -nearNanos && d <= nearNanos {
			return true
		}
	}
	return none
}

// enter begins a Cluster whose shift is known.
func (r *matroskaRetimer) enter(h clusterHead, shift int64) {
	r.now = shift
	r.timestamp = timeline.MulDiv(max(r.base+shift, 0), 1, r.scaleOut)
	written := uint64(r.timestamp)
	if r.same() {
		written = h.timestamp // whatever it says
	}
	b, grown := h.retimed(written)
	if grown > 0 {
		r.breakOff(false) // the Segment becomes longer than FFmpeg was told
	}
	r.out.Write(b)
	for _, l := range r.lines {
		l.open()
	}
	r.began, r.baseLast, r.fresh = true, r.base+shift, false
}

// same says that times are written as they are read.
func (r *matroskaRetimer) same() bool { return r.now == 0 && r.scale == r.scaleOut }

// child takes an element of a Cluster.
func (r *matroskaRetimer) child() error {
	b, err := r.in.peek(elementHeader)
	e, ok := elementAt(b)
	switch {
	case !ok && len(b) < elementHeader:
		return err
	case ok && r.left == unknownSize && (level1[e.id] || e.id == idEBML || e.id == idSegment):
		r.leave()
		return nil
	case !ok || e.size < 0 || e.size > maxBlock || r.left >= 0 && (e.whole() > r.left || level1[e.id]):
		return r.lose()
	}
	left := r.left
	if left > 0 {
		left -= e.whole()
	}
	lost := e.size <= maxAhead && !r.followed(e.whole(), left)
	if lost && !inCluster[e.id] {
		return r.lose()
	}
	if e.id == idSimpleBlock || e.id == idBlockGroup {
		if err := r.block(e); err != nil {
			return err
		}
	}
	if !lost {
		r.left, r.pass = left, e.whole()
		return nil
	}
	// FFmpeg takes it, and looks for what follows in it.
	n := int(e.whole())
	r.put(r.in.b[r.in.off : r.in.off+n])
	r.in.skip(1)
	return r.lose()
}

// lose ends a Cluster in its middle.
func (r *matroskaRetimer) lose() error {
	r.breakOff(true)
	r.leave()
	return r.damage()
}

// block notes a block's time, and changes it where it has to be.
func (r *matroskaRetimer) block(e element) error {
	if _, err := r.in.peek(int(min(e.whole(), groupHead))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	b := r.in.b[r.in.off:]
	number, at := blockOf(b, e)
	l := r.lines[number]
	if at == 0 || l == nil {
		return nil
	}
	time := r.base + r.offset(b[at:])
	h := r.hold
	if h == nil {
		if l.kind != other && l.seen {
			time = r.mend(e, number, at, l.top-r.now, l.period())
		}
		r.stamp(r.in.b[r.in.off:], at, l, time)
		return nil
	}
	i := slices.IndexFunc(h.spans, func(s *span) bool { return s.line == l })
	if i < 0 {
		i = len(h.spans)
		h.spans = append(h.spans, &span{line: l})
	}
	s := h.spans[i]
	if n := len(s.times); l.kind != other && n > 0 {
		time = r.mend(e, number, at, slices.Max(s.times), usualStep(s.times, l.period()))
	}
	s.times = append(s.times, time)
	h.blocks = append(h.blocks, heldBlock{at: len(h.data), stamp: len(h.data) + at, line: l, time: time})
	return nil
}

// offset is a block's time from its Cluster's.
func (r *matroskaRetimer) offset(b []byte) int64 {
	return int64(int16(binary.BigEndian.Uint16(b))) * r.scale
}

// blockOf finds the track number of a block, and where its time is; 0 where it
// has none.
func blockOf(b []byte, e element) (number uint64, at int) {
	b = b[:min(int64(len(b)), e.whole(), groupHead)]
	at = e.header
	for e.id == idBlockGroup {
		c, ok := elementAt(b[min(at, len(b)):])
		if !ok || c.size < 0 || c.size > maxBlock {
			return 0, 0
		}
		if c.id == idBlock {
			at += c.header
			break
		}
		at += int(c.whole())
	}
	number, n := vint(b[min(at, len(b)):])
	if at += n; n == 0 || at+2 > len(b) {
		return 0, 0
	}
	return number, at
}

// mend sets the time of a block right that does not go with those around it,
// and returns it. e is the block at hand, top the latest time before it.
func (r *matroskaRetimer) mend(e element, number uint64, at int, top, period int64) int64 {
	b := r.in.b[r.in.off+at:]
	time := r.base + r.offset(b)
	s := situation{end: top + period, before: -farNanos, first: time, last: time + period}
	if s.verdict() != unclear {
		return time
	}
	if s.next, s.hasNext = r.nextTime(e, number); !s.hasNext || s.verdict() != follows {
		return time
	}
	b = r.in.b[r.in.off+at:]
	// One bit is wrong, most likely.
	best, off := s.end, nearNanos
	read := binary.BigEndian.Uint16(b)
	written := uint16(int16(min(max((best-r.base)/r.scale, -1<<15), 1<<15-1)))
	for bit := range 16 {
		try := read ^ 1<<bit
		when := r.base + int64(int16(try))*r.scale
		if d := max(when-s.end, s.end-when); d < off {
			best, written, off = when, try, d
		}
	}
	binary.BigEndian.PutUint16(b, written)
	return best
}

// nextTime looks for the next block of a track.
func (r *matroskaRetimer) nextTime(e element, number uint64) (int64, bool) {
	base := r.base
	for at := e.whole(); at < maxAhead; {
		b, _ := r.in.peek(int(at) + groupHead)
		if int64(len(b)) <= at {
			break
		}
		c, ok := elementAt(b[at:])
		if !ok || c.size < 0 && c.id != idCluster {
			break
		}
		switch c.id {
		case idCluster:
			at += int64(c.header)
			continue
		case idTimestamp:
			if end := at + c.whole(); c.size <= 8 && end <= int64(len(b)) {
				base = r.nanos(uintOf(b[at+int64(c.header) : end]))
			}
		case idSimpleBlock, idBlockGroup:
			if n, i := blockOf(b[at:], c); i > 0 && n == number {
				return base + r.offset(b[at+int64(i):]), true
			}
		}
		at += c.whole()
	}
	return 0, false
}

// stamp writes the time of a block, whose bytes begin with its ID.
func (r *matroskaRetimer) stamp(b []byte, at int, l *line, time int64) {
	time += r.now
	if l.covered(time) {
		b[0] = idVoid
		return
	}
	l.add(time)
	if r.scale != r.scaleOut {
		off := timeline.MulDiv(time, 1, r.scaleOut) - r.timestamp
		binary.BigEndian.PutUint16(b[at:], uint16(int16(min(max(off, -1<<15), 1<<15-1))))
	}
}

// decide finds the place of the Cluster that is held, if that can be told: next
// is the time of the one behind it, over says that it is not waited for.
func (r *matroskaRetimer) decide(next *int64, over bool) {
	h := r.hold
	if h == nil {
		return
	}
	verdict, by := stays, lead(h.spans)
	if by != nil && r.began {
		verdict = r.situation(h, by, next, over).verdict()
	}
	if verdict == unclear {
		return
	}
	shift, seam := r.shift, r.seamed || r.fresh || verdict != stays
	r.seamed = verdict == follows
	if verdict != stays {
		shift = follow(h.spans, by)
	}
	for _, l := range r.lines {
		l.seam(seam)
	}
	if verdict == joins {
		joinAt(r.joined, by.first()+shift, r.shift-shift)
		r.shift = shift
	}
	r.hold = nil
	r.enter(h.head, shift)
	for _, b := range h.blocks {
		r.stamp(h.data[b.at:], b.stamp-b.at, b.line, b.time)
	}
	r.out.Write(h.data)
}

func (r *matroskaRetimer) situation(h *heldCluster, by *span, next *int64, over bool) situation {
	s := situation{end: by.line.end(), before: r.baseLast - orderNanos, over: over, fresh: r.fresh,
		first: by.first() + r.shift, last: by.last() + r.shift}
	// As it goes on, if any stream does: others may have holes.
	for _, o := range h.spans {
		if r.fresh {
			break
		}
		if d := o.first() + r.shift - o.line.end(); o.line.kind != other && o.line.seen && d >= -nearNanos && d <= nearNanos {
			s.end = s.first
		}
	}
	if next != nil {
		s.hasNext, s.next = true, *next+r.shift+by.first()-h.base
	}
	return s
}
