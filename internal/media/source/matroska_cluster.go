// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// heldCluster is a Cluster that jumps, with all behind it, until its place is
// known.
type heldCluster struct {
	head   clusterHead
	data   []byte
	base   int64
	spans  []*span
	blocks []heldBlock
}

// leave ends a Cluster.
func (r *matroskaRetimer) leave() {
	r.inside = false
	if r.hold != nil {
		r.decide(nil, false)
	}
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
