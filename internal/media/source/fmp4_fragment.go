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

// heldMoof is a movie fragment with all that is behind it up to the next one.
type heldMoof struct {
	moof
	// at is where it was in its file, media the box behind it.
	at     int64
	media  box
	behind []byte
}

// moof takes a movie fragment.
func (r *fmp4Retimer) moof(x box) error {
	if x.size == 0 || x.size > maxMoof {
		return r.damage()
	}
	b, err := r.in.peek(int(x.size) + boxHeader)
	if err != nil && !errors.Is(err, io.EOF) || int64(len(b)) < x.size {
		return err
	}
	m, ok := moofOf(bytes.Clone(b[:x.size]), r.tracks)
	if !ok {
		return r.damage()
	}
	h := &heldMoof{moof: m, at: r.read - r.partAt}
	if next, ok := boxAt(b[x.size:]); ok && next.kind == "mdat" {
		h.media = next
	}
	r.skip(int(x.size))
	r.held = append(r.held, h)
	r.bytes += len(m.data)
	r.drain(false)
	return nil
}

// drain gives the held fragments to FFmpeg, as far as their places are known.
func (r *fmp4Retimer) drain(over bool) {
	for len(r.held) > 0 {
		h := r.held[0]
		verdicts := make([]verdict, len(h.trafs))
		for i, t := range h.trafs {
			if verdicts[i] = r.verdict(t, over); verdicts[i] == unclear {
				return
			}
		}
		r.place(h)
		r.settle(h, verdicts)
		r.held = r.held[1:]
		r.bytes -= len(h.data) + len(h.behind)
		r.out.Write(h.data)
		r.out.Write(h.behind)
		r.written += int64(len(h.data) + len(h.behind))
	}
	r.held, r.bytes = nil, 0
}

// verdict says where the fragment of a track belongs, the first of those held.
func (r *fmp4Retimer) verdict(f *traf, over bool) verdict {
	t := f.track
	if !t.started || f.time == 0 {
		return stays
	}
	s := situation{end: t.end, before: t.began, first: f.first() + t.shift,
		last: f.last() + t.shift, over: over, fresh: t.fresh}
	if next := r.nextOf(f); next != nil {
		s.hasNext, s.next = true, next.first()+t.shift
	}
	v := s.verdict()
	if v == joins && t.kind != picture && !over {
		// The pictures of the part say where it goes.
		for _, o := range r.tracks {
			if o.kind == picture && o.started && o.shift == t.shift && r.heldOf(o) == nil && !s.hasNext {
				return unclear
			}
		}
	}
	return v
}

// nextOf is the fragment of the same track behind one that is held.
func (r *fmp4Retimer) nextOf(f *traf) *traf {
	found := false
	for _, h := range r.held {
		for _, t := range h.trafs {
			if found && t.track == f.track {
				return t
			}
			found = found || t == f
		}
	}
	return nil
}

// heldOf is the first held fragment of a track.
func (r *fmp4Retimer) heldOf(track *fragmentTrack) *traf {
	for _, h := range r.held {
		for _, t := range h.trafs {
			if t.track == track {
				return t
			}
		}
	}
	return nil
}

// settle gives the fragments of the first held moof their times.
func (r *fmp4Retimer) settle(h *heldMoof, verdicts []verdict) {
	for i, f := range h.trafs {
		t, seam := f.track, f.track.seamed || f.track.fresh || verdicts[i] != stays
		shift := t.shift
		switch verdicts[i] {
		case joins:
			t.shift = r.joinOf(f)
			shift = t.shift
		case follows:
			shift = r.followOf(f, []*traf{f})
		}
		t.seamed, t.fresh = verdicts[i] == follows, false
		t.line.seam(seam)
		r.write(h.data, f, shift)
	}
}

// joinOf is the shift of a track in a new part: that of another track that is
// in it, or a new one.
func (r *fmp4Retimer) joinOf(f *traf) int64 {
	const apart = 5 * nanoRate
	if d := f.first() + r.part - f.track.end; r.part != f.track.shift && d > -apart && d < apart {
		return r.part
	}
	var part []*traf
	for _, t := range r.sorted() {
		if o := r.heldOf(t); o != nil && t.shift == f.track.shift {
			part = append(part, o)
		}
	}
	by := f
	for _, o := range part {
		if o.track.started && o.track.kind == picture && by.track.kind != picture {
			by = o
		}
	}
	shift := r.followOf(by, part)
	first := slices.Min(append([]int64{farNanos}, by.times...))
	joinAt(r.joined, first+shift-by.track.edit, f.track.shift-shift)
	r.part = shift
	return shift
}

// sorted are the tracks in the order of their numbers.
func (r *fmp4Retimer) sorted() []*fragmentTrack {
	var all []*fragmentTrack
	for _, t := range r.tracks {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *fragmentTrack) int { return int(a.id) - int(b.id) })
	return all
}

// followOf is the shift with which the fragments of a part follow what came.
func (r *fmp4Retimer) followOf(by *traf, part []*traf) int64 {
	// Decoding times must grow, too.
	least := by.track.end - by.first()
	if !by.track.line.seen || len(by.times) == 0 {
		return least
	}
	var spans []*span
	var lead *span
	for _, f := range part {
		s := &span{line: f.track.line, times: f.times}
		if spans = append(spans, s); f == by {
			lead = s
		}
	}
	return max(follow(spans, lead), least)
}

// write gives a fragment its time, and leaves out sound at the same time as
// what came before.
func (r *fmp4Retimer) write(data []byte, f *traf, shift int64) {
	t := f.track
	f.retime(data, timeline.MulDiv(shift, t.scale, nanoRate))
	n := 0
	for n < len(f.times) && t.line.covered(f.times[n]+shift) {
		n++
	}
	if n > 0 {
		f.start += timeline.MulDiv(shift, t.scale, nanoRate)
		f.drop(data, n)
		shift = 0
	}
	t.line.open()
	for _, at := range f.times {
		t.line.add(at + shift)
	}
	if f.time > 0 {
		t.began, t.end = f.first()+shift, f.last()+shift
	} else {
		t.began, t.end = t.end, t.end+nanosOf(f.length, t.scale)
	}
	t.started = true
}

// place makes the fragment's media be where it is. FFmpeg cannot go back for it.
func (r *fmp4Retimer) place(h *heldMoof) {
	size := int64(len(h.data))
	for _, f := range h.trafs {
		if f.base == 0 {
			continue
		}
		base := int64(binary.BigEndian.Uint64(h.data[f.base:]))
		off := base - h.at
		if off < 0 || off > size+boxHeader {
			off = 0 // the file was changed; nearly all write the fragment's own place
		}
		f.own = off
		binary.BigEndian.PutUint64(h.data[f.base:], uint64(r.written+off))
	}
	if h.media.size > 0 {
		h.fit(size+h.media.header, size+h.media.size)
	}
}
