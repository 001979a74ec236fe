// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// Programme is a service of a transport stream.
type Programme struct {
	Number int
	// Name is that of the service description table, if there is one.
	Name    string
	Streams []Stream
}

// Stream is an elementary stream of a programme.
type Stream struct {
	PID int
	// Type is the stream type of the programme map.
	Type byte
	// Picture and Sound tell what the type and the descriptors say.
	Picture, Sound bool
}

// PIDs of tables, and table numbers.
const (
	patPID   = 0x0000
	sdtPID   = 0x0011
	tablePAT = 0x00
	tablePMT = 0x02
	tableSDT = 0x42
)

// assembler puts sections together that may span packets.
type assembler struct{ buf []byte }

// add takes a packet's payload and returns the sections that it completes.
func (a *assembler) add(payload []byte, start bool) [][]byte {
	var done [][]byte
	if start {
		if len(payload) == 0 {
			return nil
		}
		skip := 1 + int(payload[0])
		if skip > len(payload) {
			a.buf = nil
			return nil
		}
		if a.buf != nil {
			a.buf = append(a.buf, payload[1:skip]...)
			done = a.take(done)
		}
		a.buf = append([]byte{}, payload[skip:]...)
	} else {
		if a.buf == nil {
			return nil
		}
		a.buf = append(a.buf, payload...)
	}
	return a.take(done)
}

func (a *assembler) take(done [][]byte) [][]byte {
	for len(a.buf) >= 3 && a.buf[0] != 0xff {
		n := 3 + (int(a.buf[1]&0x0f)<<8 | int(a.buf[2]))
		if len(a.buf) < n {
			return done
		}
		if n >= 12 && crc32mpeg(a.buf[:n]) == 0 {
			done = append(done, a.buf[:n:n])
		}
		a.buf = a.buf[n:]
	}
	if len(a.buf) > 0 && a.buf[0] == 0xff { // stuffing
		a.buf = nil
	}
	return done
}

// crc32mpeg is the checksum of sections; 0 over a whole one.
func crc32mpeg(b []byte) uint32 {
	crc := ^uint32(0)
	for _, v := range b {
		crc ^= uint32(v) << 24
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

// pmt is a programme map.
type pmt struct {
	section []byte
	pcr     uint16
	streams []mapped
}

// mapped is a stream of a programme map, and where its entry is in the section.
type mapped struct {
	pid  uint16
	typ  byte
	kind kind
	// class is equal for streams that can stand for one another.
	class string
	at    int
}

func parsePMT(s []byte) (pmt, bool) {
	m := pmt{section: s, pcr: binary.BigEndian.Uint16(s[8:]) & 0x1fff}
	body := s[:len(s)-4]
	if len(body) < 12 {
		return m, false
	}
	i := 12 + int(binary.BigEndian.Uint16(s[10:])&0x0fff)
	for i+5 <= len(body) {
		n := int(binary.BigEndian.Uint16(body[i+3:]) & 0x0fff)
		if i+5+n > len(body) {
			return m, false
		}
		e := mapped{typ: body[i], pid: binary.BigEndian.Uint16(body[i+1:]) & 0x1fff, at: i}
		e.kind, e.class = classify(e.typ, body[i+5:i+5+n])
		if e.typ == 0x86 && bytes.Contains(body[12:], []byte("CUEI")) {
			e.kind = other // SCTE-35, not DTS
		}
		m.streams = append(m.streams, e)
		i += 5 + n
	}
	return m, len(m.streams) > 0
}

// classify tells what a stream is by its type and descriptors.
func classify(typ byte, descriptors []byte) (kind, string) {
	class := string([]byte{typ})
	switch typ {
	case 0x01, 0x02, 0x10, 0x1b, 0x20, 0x21, 0x24, 0x33, 0x42, 0xd1, 0xd2, 0xea:
		return picture, class
	case 0x03, 0x04, 0x0f, 0x11, 0x1c, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x8a:
		return sound, class
	}
	k := other
	for len(descriptors) >= 2 && len(descriptors) >= 2+int(descriptors[1]) {
		tag, d := descriptors[0], descriptors[2:2+int(descriptors[1])]
		descriptors = descriptors[2+len(d):]
		switch tag {
		case 0x6a, 0x7a, 0x7b, 0x7c: // AC-3, E-AC-3, DTS, AAC in DVB
			k, class = sound, class+string([]byte{tag})
		case 0x05: // registration
			if len(d) < 4 {
				continue
			}
			class += string(d[:4])
			switch string(d[:4]) {
			case "AC-3", "EAC3", "Opus", "DTS1", "DTS2", "DTS3", "BSSD", "AC-4":
				k = sound
			case "HEVC", "drac", "VC-1", "AV01", "VVC ":
				k = picture
			}
		}
	}
	return k, class
}

// service is an entry of the programme association table.
type service struct {
	number int
	pid    uint16
}

// tables follows the tables of a transport stream.
type tables struct {
	assemblers map[uint16]*assembler
	// stream is the identifier of the transport stream.
	stream   uint16
	sections map[byte][]byte
	services []service
	pmts     map[int]pmt
	names    map[int]string
	// found is called with each programme map, known or new.
	found func(number int, m pmt)
}

func newTables() *tables {
	return &tables{assemblers: map[uint16]*assembler{}, sections: map[byte][]byte{},
		pmts: map[int]pmt{}, names: map[int]string{}}
}

// isTable says whether a PID carries a table that is followed.
func (t *tables) isTable(pid uint16) bool {
	return pid == patPID || pid == sdtPID ||
		slices.ContainsFunc(t.services, func(s service) bool { return s.pid == pid })
}

func (t *tables) add(pid uint16, payload []byte, start bool) {
	a := t.assemblers[pid]
	if a == nil {
		a = &assembler{}
		t.assemblers[pid] = a
	}
	for _, s := range a.add(payload, start) {
		switch {
		case s[1]&0x80 == 0 || s[5]&1 == 0: // no long section, or one that is not in force yet
		case pid == patPID && s[0] == tablePAT:
			t.takePAT(s)
		case pid == sdtPID && s[0] == tableSDT:
			t.takeSDT(s)
		case s[0] == tablePMT:
			t.takePMT(pid, s)
		}
	}
}

func (t *tables) takePAT(s []byte) {
	if have := t.sections[s[6]]; have != nil && !bytes.Equal(have, s) {
		clear(t.sections)
	}
	t.sections[s[6]] = s
	t.stream = binary.BigEndian.Uint16(s[3:])
	var all []service
	for n := 0; n <= int(s[7]); n++ {
		p := t.sections[byte(n)]
		if p == nil {
			return
		}
		for i := 8; i+8 <= len(p); i += 4 {
			number, pid := int(binary.BigEndian.Uint16(p[i:])), binary.BigEndian.Uint16(p[i+2:])&0x1fff
			if number != 0 { // 0 is the network
				all = append(all, service{number, pid})
			}
		}
	}
	if slices.Equal(all, t.services) {
		return
	}
	for _, old := range t.services {
		if !slices.Contains(all, old) {
			delete(t.pmts, old.number)
			delete(t.assemblers, old.pid)
		}
	}
	t.services = all
}

func (t *tables) takePMT(pid uint16, s []byte) {
	number := int(binary.BigEndian.Uint16(s[3:]))
	if !slices.Contains(t.services, service{number, pid}) {
		return
	}
	m, ok := parsePMT(s)
	if !ok {
		return
	}
	t.pmts[number] = m
	if t.found != nil {
		t.found(number, m)
	}
}

func (t *tables) takeSDT(s []byte) {
	body := s[:len(s)-4]
	for i := 11; i+5 <= len(body); {
		number := int(binary.BigEndian.Uint16(body[i:]))
		end := min(i+5+int(binary.BigEndian.Uint16(body[i+3:])&0x0fff), len(body))
		for d := i + 5; d+2 <= end; d += 2 + int(body[d+1]) {
			v := body[d+2 : min(d+2+int(body[d+1]), end)]
			if body[d] != 0x48 || len(v) < 3 { // service descriptor
				continue
			}
			if at := 2 + int(v[1]); at < len(v) {
				t.names[number] = dvbText(v[at+1 : min(at+1+int(v[at]), len(v))])
			}
		}
		i = end
	}
}

// dvbText makes text of a DVB string, good enough to recognise a service by.
func dvbText(b []byte) string {
	utf8 := len(b) > 0 && b[0] == 0x15
	switch {
	case len(b) > 2 && b[0] == 0x10:
		b = b[3:]
	case len(b) > 0 && b[0] < 0x20:
		b = b[1:]
	}
	if utf8 {
		return strings.ToValidUTF8(string(b), "")
	}
	var text []rune
	for _, v := range b {
		if v >= 0x20 && (v < 0x7f || v >= 0xa0) {
			text = append(text, rune(v))
		}
	}
	return string(text)
}

// complete says that every programme's map is known.
func (t *tables) complete() bool {
	for _, s := range t.services {
		if _, ok := t.pmts[s.number]; !ok {
			return false
		}
	}
	return len(t.services) > 0
}

// choose is the programme of that number or, where there is none or the number
// is 0, the first with a picture, or else the first of all. It is not known
// before its map is.
func (t *tables) choose(number int) (service, bool) {
	var first, withPicture *service
	for i, s := range t.services {
		m, ok := t.pmts[s.number]
		if s.number == number {
			return s, ok
		}
		if !ok {
			continue
		}
		if first == nil {
			first = &t.services[i]
		}
		if withPicture == nil && slices.ContainsFunc(m.streams, func(e mapped) bool { return e.kind == picture }) {
			withPicture = &t.services[i]
		}
	}
	switch {
	case withPicture != nil:
		return *withPicture, true
	case first != nil:
		return *first, true
	}
	return service{}, false
}

func (t *tables) programmes() []Programme {
	var out []Programme
	for _, s := range t.services {
		p := Programme{Number: s.number, Name: t.names[s.number]}
		for _, e := range t.pmts[s.number].streams {
			p.Streams = append(p.Streams, Stream{
				PID: int(e.pid), Type: e.typ, Picture: e.kind == picture, Sound: e.kind == sound})
		}
		out = append(out, p)
	}
	return out
}

// clone is a copy to go on from.
func (t *tables) clone() *tables {
	n := newTables()
	n.stream, n.services = t.stream, slices.Clone(t.services)
	maps.Copy(n.pmts, t.pmts)
	return n
}
