// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
)

// box is the header of a box of MP4. (ISO/IEC 14496-12, 4.2)
type box struct {
	kind string
	// header and size are in bytes; the size is that of all of it, 0 for one
	// that ends with the file.
	header, size int64
}

// boxHeader is the most that a header takes.
const boxHeader = 16

// boxAt reads the header of a box; ok is false where none begins.
func boxAt(b []byte) (x box, ok bool) {
	if len(b) < 8 {
		return x, false
	}
	x = box{kind: string(b[4:8]), header: 8, size: int64(binary.BigEndian.Uint32(b))}
	if x.size == 1 {
		if len(b) < boxHeader {
			return x, false
		}
		x.header, x.size = boxHeader, int64(binary.BigEndian.Uint64(b[8:]))
	}
	return x, x.size == 0 || x.size >= x.header
}

// eachBox calls a function with each box in a body: where it begins, and its
// own body. It says whether the body holds nothing else.
func eachBox(b []byte, each func(kind string, at int, body []byte)) bool {
	for at := 0; at < len(b); {
		x, ok := boxAt(b[at:])
		if !ok || x.size == 0 || x.size > int64(len(b)-at) {
			return false
		}
		each(x.kind, at+int(x.header), b[at+int(x.header):at+int(x.size)])
		at += int(x.size)
	}
	return true
}

// full takes a full box apart; n is how many bytes must follow its flags.
func full(body []byte, n int) (version byte, flags uint32, rest []byte, ok bool) {
	if len(body) < 4+n {
		return 0, 0, nil, false
	}
	return body[0], binary.BigEndian.Uint32(body) & 0xffffff, body[4:], true
}

// movieTrack is what the index says of a track.
type movieTrack struct {
	id    uint32
	scale int64
	kind  kind
	// length is that of the samples in the index, edit what an edit list takes
	// from the times of all samples, in nanoseconds.
	length, edit int64
	// duration and size are those of samples that do not have their own.
	duration, size uint32
}

// movie reads an index. fragmented says that more comes in fragments.
func movie(moov []byte) (tracks []*movieTrack, fragmented bool) {
	scale := int64(0)
	eachBox(moov, func(kind string, _ int, body []byte) {
		switch kind {
		case "mvhd":
			scale = timescaleOf(body)
		case "trak":
			if t := trackOf(body, scale); t.scale > 0 {
				tracks = append(tracks, t)
			}
		case "mvex":
			fragmented = true
		}
	})
	eachBox(moov, func(kind string, _ int, body []byte) {
		if kind != "mvex" {
			return
		}
		eachBox(body, func(kind string, _ int, body []byte) {
			_, _, b, ok := full(body, 20)
			if kind != "trex" || !ok {
				return
			}
			for _, t := range tracks {
				if t.id == binary.BigEndian.Uint32(b) {
					t.duration, t.size = binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
				}
			}
		})
	})
	return tracks, fragmented
}

// timescaleOf reads a movie's or track's header.
func timescaleOf(body []byte) int64 {
	version, _, b, ok := full(body, 20)
	if !ok {
		return 0
	}
	if version == 1 {
		b = b[8:]
	}
	return int64(binary.BigEndian.Uint32(b[8:]))
}

func trackOf(trak []byte, movieScale int64) *movieTrack {
	t := &movieTrack{}
	var edits []byte
	var walk func(kind string, at int, body []byte)
	walk = func(kind string, _ int, body []byte) {
		version, _, b, ok := full(body, 20)
		switch {
		case kind == "mdia" || kind == "minf" || kind == "stbl" || kind == "edts":
			eachBox(body, walk)
		case kind == "elst":
			edits = body
		case kind == "stts":
			for b = body[min(len(body), 8):]; len(b) >= 8; b = b[8:] {
				t.length += int64(binary.BigEndian.Uint32(b)) * int64(binary.BigEndian.Uint32(b[4:]))
			}
		case !ok:
		case kind == "tkhd" && version == 1:
			t.id = binary.BigEndian.Uint32(b[16:])
		case kind == "tkhd":
			t.id = binary.BigEndian.Uint32(b[8:])
		case kind == "mdhd":
			t.scale = timescaleOf(body)
		case kind == "hdlr" && string(b[4:8]) == "vide":
			t.kind = picture
		case kind == "hdlr" && string(b[4:8]) == "soun":
			t.kind = sound
		}
	}
	eachBox(trak, walk)
	t.edit = editOf(edits, t.scale, movieScale)
	return t
}

// editOf is what an edit list takes from the times of a track.
func editOf(elst []byte, scale, movieScale int64) int64 {
	version, _, b, ok := full(elst, 4)
	if !ok || scale == 0 || movieScale == 0 {
		return 0
	}
	empty := int64(0)
	for b = b[4:]; ; {
		var length, start int64
		switch {
		case version == 1 && len(b) >= 20:
			length, start, b = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:])), b[20:]
		case version == 0 && len(b) >= 12:
			length, start, b = int64(binary.BigEndian.Uint32(b)), int64(int32(binary.BigEndian.Uint32(b[4:]))), b[12:]
		default:
			return -empty
		}
		if start >= 0 {
			return nanosOf(start, scale) - empty
		}
		empty += nanosOf(length, movieScale)
	}
}

// nanosOf is a time of a clock of so many ticks a second.
func nanosOf(ticks, scale int64) int64 {
	if ticks < 0 || ticks/scale > farNanos/nanoRate-1 {
		return farNanos
	}
	return ticks/scale*nanoRate + ticks%scale*nanoRate/scale
}
