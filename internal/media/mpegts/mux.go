// SPDX-License-Identifier: Apache-2.0

package mpegts

import (
	"bytes"
	"fmt"
	"io"
	"sort"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// counterModulus of the continuity counters: every PID of a unit has a
	// multiple of it in packets.
	counterModulus = 16
	// pcrLead is how far the clock reference runs ahead of decoding (0.5 s).
	pcrLead = 45000
)

// Muxer writes a transport stream.
type Muxer struct {
	w        io.Writer
	streams  []Stream
	pcrPID   uint16
	counters map[uint16]byte
	pat, pmt []byte
}

// NewMuxer writes streams to w. The clock reference goes with the video, or
// with the first stream where there is none.
func NewMuxer(w io.Writer, streams []Stream) (*Muxer, error) {
	if len(streams) == 0 {
		return nil, fmt.Errorf("a transport stream needs a stream")
	}
	m := &Muxer{w: w, streams: streams, pcrPID: streams[0].PID, counters: map[uint16]byte{}}
	for _, s := range streams {
		if s.Video() {
			m.pcrPID = s.PID
			break
		}
	}
	m.pat = table(0x00, []byte{0, 1, 0xe0 | pmtPID>>8, pmtPID & 0xff})
	body := []byte{0xe0 | byte(m.pcrPID>>8), byte(m.pcrPID), 0xf0, 0}
	for _, s := range streams {
		n := len(s.Descriptors)
		body = append(body, s.Type, 0xe0|byte(s.PID>>8), byte(s.PID), 0xf0|byte(n>>8), byte(n))
		body = append(body, s.Descriptors...)
	}
	m.pmt = table(0x02, body)
	if len(m.pmt)+1 > payloadSize {
		return nil, fmt.Errorf("%d streams do not fit into one program map: leave some audio tracks out", len(streams))
	}
	return m, nil
}

// table builds a section with program number (or stream id) 1 and its CRC.
func table(id byte, body []byte) []byte {
	n := 5 + len(body) + 4
	b := append([]byte{id, 0xb0 | byte(n>>8), byte(n), 0, 1, 0xc1, 0, 0}, body...)
	c := crc32mpeg(b)
	return append(b, byte(c>>24), byte(c>>16), byte(c>>8), byte(c))
}

func crc32mpeg(b []byte) uint32 {
	crc := ^uint32(0)
	for _, x := range b {
		crc ^= uint32(x) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// WriteTables writes the program tables.
func (m *Muxer) WriteTables() error {
	for _, t := range []struct {
		pid  uint16
		body []byte
	}{{patPID, m.pat}, {pmtPID, m.pmt}} {
		var pkt [packetSize]byte
		m.header(pkt[:], t.pid, true, false)
		// A pointer field of 0, the section, then stuffing.
		n := copy(pkt[5:], t.body)
		for i := 5 + n; i < packetSize; i++ {
			pkt[i] = 0xff
		}
		if _, err := m.w.Write(pkt[:]); err != nil {
			return err
		}
	}
	return nil
}

func (m *Muxer) header(pkt []byte, pid uint16, start, adaptation bool) {
	pkt[0], pkt[1], pkt[2], pkt[3] = syncByte, byte(pid>>8), byte(pid), 0x10|m.counters[pid]
	if start {
		pkt[1] |= 0x40
	}
	if adaptation {
		pkt[3] |= 0x20
	}
	m.counters[pid] = (m.counters[pid] + 1) % counterModulus
}

// WritePES writes one access unit.
func (m *Muxer) WritePES(p PES) error { return m.write(p, 0) }

// write spreads an access unit over extra more packets than it needs.
func (m *Muxer) write(p PES, extra int) error {
	body := append(pesHeader(p), p.Data...)
	adaptation := m.firstAdaptation(p)
	left := packetsFor(len(body), len(adaptation)) + extra
	for start := true; left > 0; left-- {
		var pkt [packetSize]byte
		room := payloadSize - len(adaptation)
		// Every later packet needs at least a byte.
		take := min(room, len(body)-(left-1))
		adaptation = stuff(adaptation, room-take)
		m.header(pkt[:], p.PID, start, len(adaptation) > 0)
		n := 4 + copy(pkt[4:], adaptation)
		copy(pkt[n:], body[:take])
		if _, err := m.w.Write(pkt[:]); err != nil {
			return err
		}
		body, adaptation, start = body[take:], nil, false
	}
	return nil
}

// packetsFor is the least number of packets for n bytes.
func packetsFor(n, firstAdaptation int) int {
	n -= payloadSize - firstAdaptation
	if n <= 0 {
		return 1
	}
	return 1 + (n+payloadSize-1)/payloadSize
}

// firstAdaptation marks entry points and carries the clock reference.
func (m *Muxer) firstAdaptation(p PES) []byte {
	var flags byte
	if m.entry(p) {
		flags |= 0x40
	}
	if p.PID != m.pcrPID {
		if flags == 0 {
			return nil
		}
		return []byte{1, flags}
	}
	flags |= 0x10
	base := (p.DTS - pcrLead) & (timeline.WrapTicks - 1)
	return []byte{7, flags, byte(base >> 25), byte(base >> 17), byte(base >> 9), byte(base >> 1), byte(base<<7) | 0x7e, 0}
}

func (m *Muxer) entry(p PES) bool {
	for _, s := range m.streams {
		if s.PID == p.PID {
			return !s.Video() || ScanNALs(p.Data).Entry()
		}
	}
	return false
}

// stuff makes an adaptation field n bytes longer.
func stuff(field []byte, n int) []byte {
	if n == 0 {
		return field
	}
	out := append([]byte(nil), field...)
	if len(out) == 0 {
		out = append(out, 0)
		n--
		if n > 0 {
			out = append(out, 0)
			n--
		}
	}
	for ; n > 0; n-- {
		out = append(out, 0xff)
	}
	out[0] = byte(len(out) - 1)
	return out
}

func pesHeader(p PES) []byte {
	stamps := appendStamp(nil, 2, p.PTS)
	flags := byte(0x80)
	if p.DTS != p.PTS {
		flags = 0xc0
		stamps = appendStamp(appendStamp(nil, 3, p.PTS), 1, p.DTS)
	}
	n := 3 + len(stamps) + len(p.Data)
	if n > 0xffff {
		// Only video may leave its length open.
		n = 0
	}
	return append([]byte{0, 0, 1, p.StreamID, byte(n >> 8), byte(n), 0x84, flags, byte(len(stamps))}, stamps...)
}

func appendStamp(b []byte, prefix byte, ticks int64) []byte {
	t := timeline.Wrap(ticks)
	return append(b, prefix<<4|byte(t>>29)&0x0e|1, byte(t>>22), byte(t>>14)|1, byte(t>>7), byte(t<<1)|1)
}

// WriteUnit encodes a unit. Packets are ordered by decoding time, so the bytes
// depend on the elementary streams alone, not on how they arrived.
func WriteUnit(u Unit) ([]byte, error) {
	var out bytes.Buffer
	m, err := NewMuxer(&out, u.Streams)
	if err != nil {
		return nil, err
	}
	packets := append([]PES(nil), u.Packets...)
	sort.SliceStable(packets, func(i, j int) bool {
		a, b := packets[i], packets[j]
		if a.DTS != b.DTS {
			return a.DTS < b.DTS
		}
		return a.PID < b.PID
	})
	extra := m.padding(packets)
	for i, p := range packets {
		// The tables come again every sixteenth of the unit, sixteen times in
		// all.
		for t := range counterModulus {
			if t*len(packets)/counterModulus == i {
				if err := m.WriteTables(); err != nil {
					return nil, err
				}
			}
		}
		if err := m.write(p, extra[i]); err != nil {
			return nil, err
		}
	}
	for _, s := range u.Streams {
		if m.counters[s.PID] != 0 {
			return nil, fmt.Errorf("stream %d of the unit is too small to be padded", s.PID)
		}
	}
	return out.Bytes(), nil
}

// padding decides into how many extra packets access units are split, from the
// last backwards, so that every stream's packets are a multiple of 16.
func (m *Muxer) padding(packets []PES) map[int]int {
	extra := map[int]int{}
	for _, s := range m.streams {
		count := 0
		for _, p := range packets {
			if p.PID == s.PID {
				count += m.packets(p)
			}
		}
		need := (counterModulus - count%counterModulus) % counterModulus
		for i := len(packets) - 1; i >= 0 && need > 0; i-- {
			if p := packets[i]; p.PID == s.PID {
				k := min(need, len(pesHeader(p))+len(p.Data)-m.packets(p))
				extra[i] = k
				need -= k
			}
		}
	}
	return extra
}

func (m *Muxer) packets(p PES) int {
	return packetsFor(len(pesHeader(p))+len(p.Data), len(m.firstAdaptation(p)))
}
