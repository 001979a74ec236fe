// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"slices"
)

// Where parts are joined, the picture follows the picture, and each part's
// sound keeps its offset to it. A recording's sound rarely ends with its
// picture: AAC begins a frame early and ends on a whole frame. The frames of
// the new part that would sound at the same time as the end of the old one are
// left out, to the nearest frame.

// maxTrim bounds a PES packet that is put together to be trimmed.
const maxTrim = 128 << 10

// trim holds back the packets of a PES packet that begins before the sound of
// the old part ends. It says whether it took the packet.
func (r *retimer) trim(u *unit, b []byte) bool {
	es := u.es
	start := b[1]&0x40 != 0
	if len(es.trimmed) > 0 && (start || len(es.trimmed) > maxTrim) {
		r.finishTrim(es)
	}
	switch {
	case start && u.timed && u.track.until != nil:
		if r.clock.diff(u.pts, *u.track.until) >= 0 || u.hasPCR {
			u.track.until = nil
			return false
		}
		es.trimPTS = u.pts
	case start || len(es.trimmed) == 0:
		return false
	}
	if u.hasPCR { // it cannot wait
		r.finishTrim(es)
		return false
	}
	es.trimmed = append(es.trimmed, b...)
	return true
}

// finishTrim writes what is left of the PES packet that was held back.
func (r *retimer) finishTrim(es *elementary) {
	packets := es.trimmed
	es.trimmed = nil
	if len(packets) == 0 {
		return
	}
	var pes []byte
	for p := range slices.Chunk(packets, packetSize) {
		pes = append(pes, payloadOf(p)...)
	}
	until := es.track.until
	es.track.until = nil
	header := 0
	if len(pes) > 9 {
		header = 9 + int(pes[8])
	}
	drop, ticks := 0, int64(0)
	if until != nil && es.header != nil && header > 0 && header < len(pes) {
		over := r.clock.diff(*until, es.trimPTS)
		if f, ok := walk(es.header, pes[header:]); ok {
			for drop < len(f.at) && 2*f.ticks(drop)+f.ticks(1) <= 2*over {
				drop++
			}
			ticks = f.ticks(drop)
			if drop == len(f.at) {
				es.track.until = until // the next one may be early, too
				es.restart = true
				return
			}
			drop = f.at[drop]
		}
	}
	if drop == 0 {
		for p := range slices.Chunk(packets, packetSize) {
			r.put(es, p)
		}
		return
	}
	pes = slices.Delete(pes, header, header+drop)
	putStamp(pes[9:], es.trimPTS+ticks)
	if n := binary.BigEndian.Uint16(pes[4:]); n > 0 {
		binary.BigEndian.PutUint16(pes[4:], uint16(len(pes)-6))
	}
	es.restart = true
	for first := true; len(pes) > 0; first = false {
		p := packetOf(es.pid, &pes, first)
		r.put(es, p)
		es.restart = true
	}
}

// packetOf takes as much of a payload as fits into a packet; a last one is
// stuffed.
func packetOf(pid uint16, payload *[]byte, first bool) []byte {
	p := make([]byte, packetSize)
	p[0], p[1], p[2], p[3] = syncByte, byte(pid>>8), byte(pid), 0x10
	if first {
		p[1] |= 0x40
	}
	at := 4
	if room := packetSize - 4 - len(*payload); room > 0 {
		p[3] |= 0x20
		p[4] = byte(room - 1)
		for i := 6; i < 4+room; i++ {
			p[i] = 0xff
		}
		at += room
	}
	n := copy(p[at:], *payload)
	*payload = (*payload)[n:]
	return p
}
