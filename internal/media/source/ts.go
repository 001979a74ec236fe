// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"io"
	"slices"
)

const (
	tickRate = 90000
	wrapPTS  = int64(1) << 33
)

// elementary is a PID that FFmpeg sees.
type elementary struct {
	pid   uint16
	class string
	track *track
	// last is the last continuity counter written, delta what is added to the
	// source's. restart says that the next packet written goes on from last,
	// fresh that the next packet read does: units may wait in between.
	last           int
	delta          byte
	restart, fresh bool
	// own packets are made here.
	own bool
	// header reads the frames of sound, if that can be read; pes is the PES
	// packet that is being read.
	header audioHeader
	pes    []byte
	// trimmed are packets that wait for the end of their PES packet, and
	// trimPTS its stamp.
	trimmed []byte
	trimPTS int64
}

// retimer makes of a transport stream, as it comes, one with a single
// programme, packets of 188 bytes and a clock without jumps.
type retimer struct {
	src     io.ReadCloser
	in      *packets
	out     []byte
	given   int
	err     error
	clock   *clock
	tables  *tables
	options Options
	// programme is the one taken; its map is written on pmtPID under number.
	programme service
	number    int
	pmtPID    uint16
	// section is the map as it is written, current as the source has it.
	pat, pmt         *elementary
	section, current []byte
	// streams are all that FFmpeg was ever told of, by PID; routes lead there
	// from the PIDs of the source.
	streams []*elementary
	routes  map[uint16]*elementary
	// guess: there are no tables; whatever looks like a stream is one.
	guess bool
}

// outBuffer is filled as far as the input has packets at hand.
const outBuffer = 64 << 10

func newRetimer(src io.ReadCloser, known *tables, o Options) *retimer {
	r := &retimer{src: src, in: newPackets(src), options: o, tables: known.clone(), routes: map[uint16]*elementary{}}
	r.clock = newClock(tickRate, wrapPTS, r.write, o.Joined)
	first, ok := r.tables.choose(o.Programme)
	if !ok {
		r.guess = true
		return r
	}
	r.programme, r.number, r.pmtPID = first, first.number, first.pid
	r.pat, r.pmt = &elementary{pid: patPID, last: 15, own: true}, &elementary{pid: first.pid, last: 15, own: true}
	r.tables.found = r.takeMap
	// Tables may come late, or damaged at first: FFmpeg gets them before all.
	r.takeMap(first.number, r.tables.pmts[first.number])
	return r
}

// Read gives what FFmpeg reads.
func (r *retimer) Read(p []byte) (int, error) {
	for r.given == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		r.out, r.given = r.out[:0], 0
		r.fill()
	}
	n := copy(p, r.out[r.given:])
	r.given += n
	return n, nil
}

// Close ends the reading.
func (r *retimer) Close() error { return r.src.Close() }

func (r *retimer) fill() {
	for {
		b, err := r.in.next()
		if err != nil {
			r.clock.end()
			for _, es := range r.streams {
				r.finishTrim(es)
			}
			r.err = err
			return
		}
		r.take(b)
		if len(r.out) >= outBuffer || len(r.out) > 0 && r.in.in.Buffered() < 2*r.in.stride {
			return
		}
	}
}

// take handles a packet of the source.
func (r *retimer) take(b []byte) {
	pid := binary.BigEndian.Uint16(b[1:]) & 0x1fff
	start := b[1]&0x40 != 0
	payload := payloadOf(b)
	if r.guess {
		r.takeUnknown(pid, b, payload, start)
		return
	}
	if r.tables.isTable(pid) {
		if payload != nil && b[1]&0x80 == 0 {
			r.tables.add(pid, payload, start)
		}
		if pid == patPID && start {
			r.follow()
			r.writeTables()
		}
		return
	}
	if es := r.routes[pid]; es != nil {
		r.pass(es, b, payload, start)
	}
}

// follow finds the programme again when a part comes that numbers it otherwise.
func (r *retimer) follow() {
	if slices.Contains(r.tables.services, r.programme) {
		return
	}
	want := r.options.Programme
	if want == 0 {
		want = r.number
	}
	next, ok := r.tables.choose(want)
	if !ok {
		return // its map has not come yet
	}
	r.programme = next
	r.takeMap(next.number, r.tables.pmts[next.number])
}

// takeMap makes way for the streams of the programme's map.
func (r *retimer) takeMap(number int, m pmt) {
	if number != r.programme.number {
		r.follow()
		return
	}
	if string(m.section) == string(r.current) {
		return
	}
	r.current = m.section
	routes := map[uint16]*elementary{}
	taken := map[*elementary]bool{}
	assign := func(e mapped, es *elementary) {
		es.fresh = es.fresh || r.routes[e.pid] != es
		routes[e.pid], taken[es] = es, true
	}
	// The same PID and class stay; others take the place of one of their class
	// that is gone, in order; the rest are new.
	for _, e := range m.streams {
		if es := r.stream(e.pid); es != nil && es.class == e.class && !taken[es] {
			assign(e, es)
		}
	}
	for _, e := range m.streams {
		if routes[e.pid] != nil {
			continue
		}
		at := slices.IndexFunc(r.streams, func(es *elementary) bool { return es.class == e.class && !taken[es] })
		if at < 0 {
			es := &elementary{pid: r.freePID(e.pid), class: e.class, last: -1, track: r.clock.track(e.kind)}
			if e.kind == sound {
				es.header = headerOf(e.class)
			}
			r.streams = append(r.streams, es)
			at = len(r.streams) - 1
		}
		assign(e, r.streams[at])
	}
	if m.pcr != 0x1fff && routes[m.pcr] == nil {
		es := r.stream(m.pcr)
		if es == nil || es.class != "" {
			es = &elementary{pid: r.freePID(m.pcr), last: -1}
			r.streams = append(r.streams, es)
		}
		routes[m.pcr] = es
	}
	r.routes = routes
	r.section = r.rewriteMap(m)
	r.writeTables()
}

func (r *retimer) stream(pid uint16) *elementary {
	for _, es := range r.streams {
		if es.pid == pid {
			return es
		}
	}
	return nil
}

// freePID is the wanted PID, or another where that one is taken.
func (r *retimer) freePID(want uint16) uint16 {
	for pid := want; ; pid = max(0x20, (pid+1)&0x1fff) {
		if pid != r.pmtPID && pid != 0x1fff && r.stream(pid) == nil {
			return pid
		}
	}
}

// rewriteMap is the source's section with the PIDs that FFmpeg sees.
func (r *retimer) rewriteMap(m pmt) []byte {
	s := slices.Clone(m.section)
	put := func(at int, v uint16) {
		binary.BigEndian.PutUint16(s[at:], binary.BigEndian.Uint16(s[at:])&0xe000|v)
	}
	binary.BigEndian.PutUint16(s[3:], uint16(r.number))
	if es := r.routes[m.pcr]; es != nil {
		put(8, es.pid)
	}
	for _, e := range m.streams {
		put(e.at+1, r.routes[e.pid].pid)
	}
	return seal(s)
}

// seal writes the checksum of a section.
func seal(s []byte) []byte {
	binary.BigEndian.PutUint32(s[len(s)-4:], crc32mpeg(s[:len(s)-4]))
	return s
}

// writeTables writes an association table of the one programme, and its map.
func (r *retimer) writeTables() {
	pat := []byte{tablePAT, 0xb0, 13, 0, 0, 0xc1, 0, 0, 0, 0, 0xe0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(pat[3:], r.tables.stream)
	binary.BigEndian.PutUint16(pat[8:], uint16(r.number))
	binary.BigEndian.PutUint16(pat[10:], 0xe000|r.pmtPID)
	r.writeSection(r.pat, seal(pat))
	r.writeSection(r.pmt, r.section)
}

func (r *retimer) writeSection(es *elementary, s []byte) {
	s = append([]byte{0}, s...) // the pointer to the section's start
	for first := true; len(s) > 0; first = false {
		r.clock.add(unit{data: packetOf(es.pid, &s, first), es: es})
	}
}

// takeUnknown passes a packet of a stream without tables.
func (r *retimer) takeUnknown(pid uint16, b, payload []byte, start bool) {
	if pid == 0x1fff {
		return
	}
	es := r.routes[pid]
	if es == nil {
		es = &elementary{pid: pid, last: -1}
		r.routes[pid] = es
		r.streams = append(r.streams, es)
	}
	if es.track == nil && start && len(payload) > 4 && payload[0] == 0 && payload[1] == 0 && payload[2] == 1 {
		switch id := payload[3]; {
		case id >= 0xe0 && id <= 0xef:
			es.track = r.clock.track(picture)
		case id >= 0xc0 && id <= 0xdf, id == 0xbd:
			es.track = r.clock.track(sound)
		}
	}
	r.pass(es, b, payload, start)
}

func (r *retimer) pass(es *elementary, b, payload []byte, start bool) {
	u := unit{data: b, es: es, track: es.track}
	if at := pcrAt(b); at > 0 {
		u.hasPCR, u.pcr = true, int64(binary.BigEndian.Uint32(b[at:]))<<1|int64(b[at+4]>>7)
	}
	if start && es.track != nil {
		u.timed, u.hasDTS, u.pts, u.dts = stampsOf(payload)
	}
	if es.header != nil {
		if start {
			u.before = soundLength(es.header, es.pes)
			es.pes = es.pes[:0]
		}
		if len(es.pes) < maxTrim {
			es.pes = append(es.pes, payload...)
		}
	}
	if payload != nil && es.fresh {
		u.restart, es.fresh = true, false
	}
	r.clock.add(u)
}

// soundLength is how long the frames of a PES packet last, 0 if that is not known.
func soundLength(header audioHeader, pes []byte) int64 {
	if len(pes) < 9 || len(pes) < 9+int(pes[8]) {
		return 0
	}
	f, ok := walk(header, pes[9+int(pes[8]):])
	if !ok {
		return 0
	}
	return f.ticks(len(f.at))
}

// write puts a unit's stamps, PID and counter into its packet.
func (r *retimer) write(u *unit) {
	b, es := u.data, u.es
	binary.BigEndian.PutUint16(b[1:], binary.BigEndian.Uint16(b[1:])&0xe000|es.pid)
	if u.join {
		for _, o := range r.routes {
			o.restart = o.restart || o.track == nil || !o.track.media()
		}
	}
	es.restart = es.restart || u.restart || es.own
	if u.hasPCR {
		i := pcrAt(b)
		v := u.pcr & (wrapPTS - 1)
		binary.BigEndian.PutUint32(b[i:], uint32(v>>1))
		b[i+4] = b[i+4]&0x7f | byte(v&1)<<7
	}
	if u.timed {
		p := payloadOf(b)
		putStamp(p[9:], u.pts)
		if u.hasDTS {
			putStamp(p[14:], u.dts)
		}
	}
	if !r.trim(u, b) {
		r.put(es, b)
	}
}

// put writes a packet out.
func (r *retimer) put(es *elementary, b []byte) {
	r.count(es, b)
	r.out = append(r.out, b...)
}

// count makes the continuity counter go on where parts meet. What the source
// lost stays visible.
func (r *retimer) count(es *elementary, b []byte) {
	cc := b[3] & 0x0f
	payload := b[3]&0x10 != 0
	switch {
	case es.last < 0:
		es.restart = false
	case es.restart && payload:
		es.delta, es.restart = byte(es.last)+1-cc, false
	case es.restart:
		b[3] = b[3]&0xf0 | byte(es.last)
		return
	}
	cc = (cc + es.delta) & 0x0f
	b[3] = b[3]&0xf0 | cc
	if payload {
		es.last = int(cc)
	}
}
