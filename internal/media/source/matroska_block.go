// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// heldBlock is a block in the held bytes: where it begins, where its time is.
type heldBlock struct {
	at, stamp int
	line      *line
	time      int64
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
