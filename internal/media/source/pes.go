// SPDX-License-Identifier: Apache-2.0

package source

import "encoding/binary"

// payloadOf is what follows the header and the adaptation field; nil if there
// is nothing, or if it is scrambled.
func payloadOf(b []byte) []byte {
	if b[3]&0x10 == 0 || b[3]&0xc0 != 0 {
		return nil
	}
	if b[3]&0x20 == 0 {
		return b[4:]
	}
	if n := 5 + int(b[4]); n < len(b) {
		return b[n:]
	}
	return nil
}

// pcrAt is where a clock reference is, or 0.
func pcrAt(b []byte) int {
	if b[3]&0x20 != 0 && b[4] >= 7 && b[4] <= 183 && b[5]&0x10 != 0 {
		return 6
	}
	return 0
}

// stampsOf reads the stamps of a PES header. Of a header that does not fit
// into the packet nothing is read: no multiplexer makes such.
func stampsOf(p []byte) (timed, hasDTS bool, pts, dts int64) {
	if len(p) < 14 || p[0] != 0 || p[1] != 0 || p[2] != 1 || p[6]&0xc0 != 0x80 {
		return false, false, 0, 0
	}
	switch p[3] {
	case 0xbc, 0xbe, 0xbf, 0xf0, 0xf1, 0xf2, 0xf8, 0xff: // they have no such header
		return false, false, 0, 0
	}
	switch {
	case p[7]&0x80 == 0 || p[8] < 5:
		return false, false, 0, 0
	case p[7]&0x40 == 0 || p[8] < 10 || len(p) < 19:
		pts = stamp(p[9:])
		return true, false, pts, pts
	}
	return true, true, stamp(p[9:]), stamp(p[14:])
}

func stamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(binary.BigEndian.Uint16(b[1:])>>1)<<15 | int64(binary.BigEndian.Uint16(b[3:])>>1)
}

func putStamp(b []byte, v int64) {
	v &= wrapPTS - 1
	b[0] = b[0]&0xf1 | byte(v>>30)<<1
	binary.BigEndian.PutUint16(b[1:], uint16(v>>15&0x7fff)<<1|1)
	binary.BigEndian.PutUint16(b[3:], uint16(v&0x7fff)<<1|1)
}
