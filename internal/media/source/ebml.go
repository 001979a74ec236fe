// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"math/bits"
)

// IDs of Matroska's elements, with their length marks. (RFC 9559)
const (
	idEBML        = 0x1a45dfa3
	idSegment     = 0x18538067
	idSeekHead    = 0x114d9b74
	idInfo        = 0x1549a966
	idTracks      = 0x1654ae6b
	idCluster     = 0x1f43b675
	idCues        = 0x1c53bb6b
	idTags        = 0x1254c367
	idChapters    = 0x1043a770
	idAttachments = 0x1941a469

	idVoid           = 0xec
	idCRC            = 0xbf
	idTimestamp      = 0xe7
	idPosition       = 0xa7
	idPrevSize       = 0xab
	idSimpleBlock    = 0xa3
	idBlockGroup     = 0xa0
	idBlock          = 0xa1
	idEncryptedBlock = 0xaf
	idSilentTracks   = 0x5854
	idTimestampScale = 0x2ad7b1
	idTrackEntry     = 0xae
	idTrackNumber    = 0xd7
	idTrackType      = 0x83
)

var ebmlMagic = []byte("\x1a\x45\xdf\xa3")

// level1 are the elements that a damaged file is entered at again.
var level1 = map[uint32]bool{idSeekHead: true, idInfo: true, idTracks: true, idCluster: true, idCues: true,
	idTags: true, idChapters: true, idAttachments: true}

// inCluster are the elements of a Cluster.
var inCluster = map[uint32]bool{idTimestamp: true, idPosition: true, idPrevSize: true, idSimpleBlock: true,
	idBlockGroup: true, idSilentTracks: true, idEncryptedBlock: true, idVoid: true, idCRC: true}

const (
	// elementHeader is the most that an element's ID and size take.
	elementHeader = 4 + 8
	// unknownSize is that of elements that end with their parent, or with the
	// next of their kind.
	unknownSize = int64(-1)
)

// element is the header of an EBML element.
type element struct {
	id uint32
	// header is its length in bytes, idLen that of the ID.
	header, idLen int
	size          int64
}

// whole is the length of an element of known size.
func (e element) whole() int64 { return int64(e.header) + e.size }

// vint reads a number of variable length, without its length mark; n is 0
// where there is none.
func vint(b []byte) (v uint64, n int) {
	if len(b) == 0 || b[0] == 0 {
		return 0, 0
	}
	n = bits.LeadingZeros8(b[0]) + 1
	if len(b) < n {
		return 0, 0
	}
	v = uint64(b[0]) &^ (1 << (8 - n))
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, n
}

// elementAt reads the header of an element; ok is false where none begins.
func elementAt(b []byte) (e element, ok bool) {
	id, n := vint(b)
	if n == 0 || n > 4 {
		return e, false
	}
	size, k := vint(b[n:])
	if k == 0 {
		return e, false
	}
	e = element{id: uint32(id) | 1<<(7*n), idLen: n, header: n + k, size: int64(size)}
	if size+1 == 1<<(7*k) {
		e.size = unknownSize
	}
	return e, true
}

// uintOf reads an unsigned number of up to eight bytes.
func uintOf(b []byte) uint64 {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// children calls a function with each element in a body.
func children(b []byte, each func(id uint32, body []byte)) {
	for len(b) > 0 {
		e, ok := elementAt(b)
		if !ok || e.size < 0 || e.whole() > int64(len(b)) {
			return
		}
		each(e.id, b[e.header:e.whole()])
		b = b[e.whole():]
	}
}

// putUint is an element with an unsigned number in so many bytes.
func putUint(id byte, v uint64, width int) []byte {
	b := []byte{id, 0x80 | byte(width)}
	for i := width - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

// widthOf is how many bytes a number takes.
func widthOf(v uint64) int { return max((bits.Len64(v)+7)/8, 1) }

// putSize is a size in eight bytes.
func putSize(size int64) []byte {
	if size == unknownSize {
		return []byte{0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	return binary.BigEndian.AppendUint64(nil, 1<<56|uint64(size))
}

// void is an element of n bytes, at least two, that says nothing.
func void(n int) []byte {
	b := make([]byte, n)
	b[0] = idVoid
	if n < 10 {
		b[1] = 0x80 | byte(n-2)
	} else {
		copy(b[1:], putSize(int64(n-9)))
	}
	return b
}

// clusterHead is the begin of a Cluster: all that comes before its first
// block.
type clusterHead struct {
	element
	raw []byte
	// stamp is the width of the Timestamp, -1 if there is none.
	stamp     int
	timestamp uint64
	// length is that of the elements in it.
	length int
}

// maxHead bounds the begin of a Cluster.
const maxHead = 4 << 10

// headOf reads the begin of a Cluster from bytes that begin with it. more says
// that it may go on behind them.
func headOf(b []byte) (h clusterHead, more bool) {
	e, ok := elementAt(b)
	if !ok {
		return h, true
	}
	h = clusterHead{element: e, stamp: -1}
	at := e.header
	for (e.size < 0 || int64(h.length) < e.size) && at < maxHead {
		c, ok := elementAt(b[at:])
		if !ok && len(b)-at < elementHeader {
			return h, true
		}
		switch {
		case !ok || c.size < 0 || c.size > maxHead || e.size >= 0 && int64(h.length)+c.whole() > e.size:
			ok = false
		case c.id == idTimestamp:
			ok = c.size <= 8 && h.stamp < 0
		default:
			ok = c.id == idCRC || c.id == idPosition || c.id == idPrevSize || c.id == idVoid
		}
		if !ok {
			break
		}
		n := int(c.whole())
		if len(b)-at < n {
			return h, true
		}
		if c.id == idTimestamp {
			h.stamp, h.timestamp = int(c.size), uintOf(b[at+c.header:at+n])
		}
		at += n
		h.length += n
	}
	h.raw = b[:at]
	return h, false
}

// retimed is the head with another time. The other elements make room for it:
// what they say of bytes is not true any more. grown is by how much the Cluster
// became longer all the same.
func (h clusterHead) retimed(timestamp uint64) (b []byte, grown int) {
	if h.stamp >= 0 && timestamp == h.timestamp {
		return h.raw, 0
	}
	width := max(widthOf(timestamp), h.stamp)
	length := 2 + width
	var fill []byte
	switch room := h.length - length; {
	case room == 1 && width < 8:
		width++
	case room == 1:
		fill = void(2) // and one byte more
	case room > 1:
		fill = void(room)
	}
	body := append(putUint(idTimestamp, timestamp, width), fill...)
	grown = len(body) - h.length
	b = append(b, h.raw[:h.header]...)
	if grown > 0 && h.size >= 0 {
		b = append(b[:h.idLen], putSize(h.size+int64(grown))...)
		grown = len(b) + len(body) - len(h.raw)
	}
	return append(b, body...), grown
}
