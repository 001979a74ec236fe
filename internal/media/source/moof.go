// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Flags of the boxes of a movie fragment. (ISO/IEC 14496-12, 8.8)
const (
	tfhdBase     = 0x01
	tfhdStsd     = 0x02
	tfhdDuration = 0x08
	tfhdSize     = 0x10
	tfhdMoof     = 0x20000

	trunOffset      = 0x001
	trunFirstFlags  = 0x004
	trunDuration    = 0x100
	trunSize        = 0x200
	trunSampleFlags = 0x400
	trunComposition = 0x800
)

// moof is a movie fragment, whose bytes are changed in their places.
type moof struct {
	data  []byte
	trafs []*traf
}

// traf is the fragment of a track.
type traf struct {
	track *fragmentTrack
	// base is where the offset of its media is in the bytes of the moof, 0 if
	// it is the moof's own; time where its decoding time is, 0 if there is none.
	base, time int
	// own is where the offsets of its runs count from, from the moof's begin;
	// chained says that it is where the media of the one before it ends.
	own     int64
	chained bool
	long    bool
	start   int64
	runs    []run
	// length is how long its samples last.
	length int64
	// times are those at which its samples are shown.
	times []int64
}

// run is a run of samples: where it is in the bytes of the moof.
type run struct {
	at, end int
	flags   uint32
	count   int
	// duration and size are those of samples that do not have their own.
	duration, size uint32
}

// field is where a value of a sample is, 0 if it does not have one of its own.
func (r run) field(i int, flag uint32) int {
	at := r.first() + i*r.step()
	for f := uint32(trunDuration); f <= trunComposition; f <<= 1 {
		switch {
		case f == flag && r.flags&f != 0:
			return at
		case f == flag:
			return 0
		case r.flags&f != 0:
			at += 4
		}
	}
	return 0
}

// first is where the first sample is, step how many bytes each takes.
func (r run) first() int {
	at := r.at + 8
	for _, f := range []uint32{trunOffset, trunFirstFlags} {
		if r.flags&f != 0 {
			at += 4
		}
	}
	return at
}

func (r run) step() int {
	n := 0
	for f := uint32(trunDuration); f <= trunComposition; f <<= 1 {
		if r.flags&f != 0 {
			n += 4
		}
	}
	return n
}

func (r run) durationOf(b []byte, i int) int64 {
	if at := r.field(i, trunDuration); at > 0 {
		return int64(binary.BigEndian.Uint32(b[at:]))
	}
	return int64(r.duration)
}

func (r run) sizeOf(b []byte, i int) int64 {
	if at := r.field(i, trunSize); at > 0 {
		return int64(binary.BigEndian.Uint32(b[at:]))
	}
	return int64(r.size)
}

func (r run) compositionOf(b []byte, i int) int64 {
	if at := r.field(i, trunComposition); at > 0 {
		return int64(int32(binary.BigEndian.Uint32(b[at:])))
	}
	return 0
}

// moofOf reads a movie fragment; ok is false where it is damaged.
func moofOf(data []byte, tracks map[uint32]*fragmentTrack) (m moof, ok bool) {
	m.data = data
	x, ok := boxAt(data)
	if !ok {
		return m, false
	}
	start, whole := int(x.header), true
	ok = eachBox(data[start:], func(kind string, at int, body []byte) {
		if kind == "traf" {
			t, read := trafOf(data, start+at, body, tracks)
			if whole = whole && read; read {
				m.trafs = append(m.trafs, t)
			}
		}
	})
	return m, ok && whole
}

// trafOf reads the fragment of a track, whose body begins at an offset.
func trafOf(data []byte, start int, body []byte, tracks map[uint32]*fragmentTrack) (*traf, bool) {
	t := &traf{}
	whole := true
	var duration, size uint32
	ok := eachBox(body, func(kind string, at int, body []byte) {
		at += start
		version, flags, b, read := full(body, 4)
		switch {
		case kind != "tfhd" && kind != "tfdt" && kind != "trun":
			return
		case !read:
			whole = false
		case kind == "tfhd":
			if t.track = tracks[binary.BigEndian.Uint32(b)]; t.track == nil {
				return
			}
			duration, size = t.track.duration, t.track.size
			t.chained = flags&(tfhdBase|tfhdMoof) == 0
			if flags&tfhdBase != 0 {
				t.base = at + 8
			}
			next := 4
			for _, f := range []uint32{tfhdBase, tfhdStsd, tfhdDuration, tfhdSize} {
				width := 4
				if f == tfhdBase {
					width = 8
				}
				switch {
				case flags&f == 0:
					continue
				case next+width > len(b):
					whole = false
					return
				case f == tfhdDuration:
					duration = binary.BigEndian.Uint32(b[next:])
				case f == tfhdSize:
					size = binary.BigEndian.Uint32(b[next:])
				}
				next += width
			}
		case kind == "tfdt" && version == 1 && len(b) >= 8:
			t.time, t.long, t.start = at+4, true, int64(binary.BigEndian.Uint64(b))
		case kind == "tfdt":
			t.time, t.start = at+4, int64(binary.BigEndian.Uint32(b))
		case kind == "trun":
			r := run{at: at, end: at + len(body), flags: flags, count: int(binary.BigEndian.Uint32(b)),
				duration: duration, size: size}
			if r.first() > r.end || r.step() > 0 && r.count > (r.end-r.first())/r.step() || r.count > maxSamples {
				whole = false
				return
			}
			t.runs = append(t.runs, r)
		}
	})
	if !ok || !whole || t.track == nil {
		return t, false
	}
	// A damaged time must leave room for sums.
	t.start = min(t.start&(1<<63-1), (farNanos/nanoRate-7200)*t.track.scale)
	t.mend(data)
	t.read(data)
	return t, true
}

// fit makes the samples lie in the media that follows the fragment, from one
// offset from it to another: FFmpeg gives up where it would have to go back for
// a sample on a pipe, and where one has no bytes.
func (m moof) fit(from, to int64) {
	m.repair(to - from)
	next := from
	for i, f := range m.trafs {
		if f.chained && i > 0 {
			f.own = next
		}
		for k := range f.runs {
			r := &f.runs[k]
			if r.flags&trunOffset != 0 {
				at := r.at + 8
				if offset := int64(int32(binary.BigEndian.Uint32(m.data[at:]))) + f.own; offset >= from && offset <= to {
					next = offset
				} else {
					binary.BigEndian.PutUint32(m.data[at:], uint32(next-f.own))
				}
			}
			next = r.cut(m.data, next, to)
		}
		f.read(m.data)
	}
}

// repair mends a size that is wrong by one bit, where all samples together do
// not have the size that they should, and only one can be the reason.
func (m moof) repair(size int64) {
	excess := -size
	m.each(func(r run, i int) { excess += r.sizeOf(m.data, i) })
	if excess == 0 {
		return
	}
	wrong, found := 0, 0
	m.each(func(r run, i int) {
		at := r.field(i, trunSize)
		if right := r.sizeOf(m.data, i) - excess; at > 0 && right > 0 && right < 1<<32 &&
			bits.OnesCount32(binary.BigEndian.Uint32(m.data[at:])^uint32(right)) == 1 {
			wrong, found = at, found+1
		}
	})
	if found == 1 {
		binary.BigEndian.PutUint32(m.data[wrong:], uint32(int64(binary.BigEndian.Uint32(m.data[wrong:]))-excess))
	}
}

// each calls a function with every sample.
func (m moof) each(sample func(r run, i int)) {
	for _, f := range m.trafs {
		for _, r := range f.runs {
			for i := range r.count {
				sample(r, i)
			}
		}
	}
}

// cut ends a run with the last sample that is before a place, and returns where
// that ends.
func (r *run) cut(b []byte, at, to int64) int64 {
	for i := range r.count {
		size := r.sizeOf(b, i)
		if field := r.field(i, trunSize); size == 0 && field > 0 {
			size = 1
			binary.BigEndian.PutUint32(b[field:], 1)
		}
		if size == 0 || at+size > to {
			r.count = i
			binary.BigEndian.PutUint32(b[r.at+4:], uint32(i))
			break
		}
		at += size
	}
	return at
}

// maxSamples bounds those of a run, which need no bytes.
const maxSamples = 1 << 20

// read finds out when the samples are shown.
func (t *traf) read(data []byte) {
	t.length, t.times = 0, t.times[:0]
	for _, r := range t.runs {
		for i := range r.count {
			t.times = append(t.times, nanosOf(t.start+t.length+r.compositionOf(data, i), t.track.scale))
			t.length += r.durationOf(data, i)
		}
	}
}

// mend sets right how long pictures wait from their decoding, where a bit of
// that is wrong: they would be shown long after the whole fragment is decoded,
// or long before. In a hole pictures may wait as long as it is.
func (t *traf) mend(data []byte) {
	var waits []int64
	for _, r := range t.runs {
		for i := range r.count {
			waits = append(waits, r.compositionOf(data, i))
			t.length += r.durationOf(data, i)
		}
	}
	if len(waits) < 3 {
		return
	}
	usual, most := slices.Sorted(slices.Values(waits))[len(waits)/2], waitSeconds*t.track.scale
	at := int64(0)
	for _, r := range t.runs {
		for i := range r.count {
			wait, field := r.compositionOf(data, i), r.field(i, trunComposition)
			if shown := at + wait; field > 0 && (shown > t.length+most || shown < -most) {
				for bit := range 32 {
					if try := int32(uint32(wait) ^ 1<<bit); int64(try)-usual <= most && usual-int64(try) <= most {
						binary.BigEndian.PutUint32(data[field:], uint32(try))
					}
				}
			}
			at += r.durationOf(data, i)
		}
	}
}

// first and last are the decoding times at which it begins and ends.
func (t *traf) first() int64 { return nanosOf(t.start, t.track.scale) }

func (t *traf) last() int64 { return nanosOf(t.start+t.length, t.track.scale) }

// retime adds to its decoding time. A time that has no room for that stays.
func (t *traf) retime(data []byte, ticks int64) {
	v := t.start + ticks
	switch {
	case ticks == 0 || t.time == 0 || v < 0:
		return
	case t.long:
		binary.BigEndian.PutUint64(data[t.time:], uint64(v))
	case v < 1<<32:
		binary.BigEndian.PutUint32(data[t.time:], uint32(v))
	}
}

// drop leaves out the first samples of the first run.
func (t *traf) drop(data []byte, n int) {
	if len(t.runs) == 0 || n == 0 || t.time == 0 {
		return
	}
	r := &t.runs[0]
	if n = min(n, r.count); r.flags&trunOffset == 0 {
		return
	}
	size, length := int64(0), int64(0)
	for i := range n {
		size += r.sizeOf(data, i)
		length += r.durationOf(data, i)
	}
	first, step := r.first(), r.step()
	rest := copy(data[first:r.end], data[first+n*step:r.end])
	clear(data[first+rest : r.end])
	r.count -= n
	binary.BigEndian.PutUint32(data[r.at+4:], uint32(r.count))
	offset := int64(int32(binary.BigEndian.Uint32(data[r.at+8:]))) + size
	binary.BigEndian.PutUint32(data[r.at+8:], uint32(offset))
	t.start += length
	t.retimeTo(data)
	t.read(data)
}

// retimeTo writes the time at which it starts.
func (t *traf) retimeTo(data []byte) {
	if t.long {
		binary.BigEndian.PutUint64(data[t.time:], uint64(t.start))
	} else {
		binary.BigEndian.PutUint32(data[t.time:], uint32(t.start))
	}
}
