// SPDX-License-Identifier: Apache-2.0

package mpegts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Demuxer takes access units out of a transport stream.
type Demuxer struct {
	in      *bufio.Reader
	clock   *timeline.Unwrapper
	pmt     int
	streams []Stream
	open    map[uint16]*[]byte
	ready   []PES
	ended   bool
	packet  [packetSize]byte
}

// NewDemuxer reads from r. Time stamps are unwrapped near those that the clock
// saw last; a zero Unwrapper takes the first as it is.
func NewDemuxer(r io.Reader, clock *timeline.Unwrapper) *Demuxer {
	return &Demuxer{in: bufio.NewReaderSize(r, 1<<16), clock: clock, pmt: -1, open: map[uint16]*[]byte{}}
}

// Streams lists the elementary streams, once a packet was returned.
func (d *Demuxer) Streams() []Stream { return d.streams }

// Next returns the next access unit in the order in which they end in the
// stream, or io.EOF.
func (d *Demuxer) Next() (PES, error) {
	for len(d.ready) == 0 {
		if d.ended {
			return PES{}, io.EOF
		}
		switch _, err := io.ReadFull(d.in, d.packet[:]); {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			d.ended = true
			if err := d.flush(); err != nil {
				return PES{}, err
			}
		case err != nil:
			return PES{}, fmt.Errorf("read transport stream: %w", err)
		default:
			if err := d.take(d.packet[:]); err != nil {
				return PES{}, err
			}
		}
	}
	p := d.ready[0]
	d.ready = d.ready[1:]
	return p, nil
}

func (d *Demuxer) flush() error {
	for _, s := range d.streams {
		if b := d.open[s.PID]; b != nil {
			if err := d.finish(s.PID, *b); err != nil {
				return err
			}
		}
	}
	return nil
}

// take handles one 188-byte packet.
func (d *Demuxer) take(pkt []byte) error {
	if pkt[0] != syncByte {
		return errors.New("transport stream lost its packet alignment")
	}
	pid := uint16(pkt[1]&0x1f)<<8 | uint16(pkt[2])
	start := pkt[1]&0x40 != 0
	payload := pkt[4:]
	if pkt[3]&0x20 != 0 {
		n := 1 + int(payload[0])
		if n > len(payload) {
			return errors.New("transport stream has an adaptation field that is too long")
		}
		payload = payload[n:]
	}
	if pkt[3]&0x10 == 0 || len(payload) == 0 {
		return nil
	}
	switch {
	case pid == patPID:
		return d.takePAT(payload, start)
	case int(pid) == d.pmt:
		return d.takePMT(payload, start)
	}
	return d.takePayload(pid, payload, start)
}

// section returns the body of a table that fits into one packet, as FFmpeg's
// muxer and this package make them.
func section(payload []byte, start bool) ([]byte, error) {
	if !start {
		return nil, nil
	}
	skip := 1 + int(payload[0])
	if skip+3 > len(payload) {
		return nil, errors.New("transport stream has a damaged table")
	}
	b := payload[skip:]
	n := 3 + (int(b[1]&0x0f)<<8 | int(b[2]))
	if n > len(b) || n < 12 {
		return nil, errors.New("transport stream has a table that does not fit into a packet")
	}
	return b[:n-4], nil
}

func (d *Demuxer) takePAT(payload []byte, start bool) error {
	b, err := section(payload, start)
	if err != nil || b == nil {
		return err
	}
	for i := 8; i+4 <= len(b); i += 4 {
		if b[i] != 0 || b[i+1] != 0 {
			d.pmt = int(b[i+2]&0x1f)<<8 | int(b[i+3])
			return nil
		}
	}
	return nil
}

func (d *Demuxer) takePMT(payload []byte, start bool) error {
	b, err := section(payload, start)
	if err != nil || b == nil || d.streams != nil {
		return err
	}
	if len(b) < 12 {
		return errors.New("transport stream has a damaged program map")
	}
	audio := 0
	for i := 12 + (int(b[10]&0x0f)<<8 | int(b[11])); i+5 <= len(b); {
		n := int(b[i+3]&0x0f)<<8 | int(b[i+4])
		if i+5+n > len(b) {
			return errors.New("transport stream has a damaged program map")
		}
		s := Stream{Type: b[i], PID: uint16(b[i+1]&0x1f)<<8 | uint16(b[i+2]),
			Descriptors: append([]byte(nil), b[i+5:i+5+n]...)}
		if s.Type == TypeADTS || s.Type == TypePCM {
			audio++
			s.AudioTrack = audio
		}
		if s.AudioTrack > 0 || s.Type == TypeH264 {
			d.streams = append(d.streams, s)
		}
		i += 5 + n
	}
	return nil
}

func (d *Demuxer) takePayload(pid uint16, payload []byte, start bool) error {
	known := false
	for _, s := range d.streams {
		known = known || s.PID == pid
	}
	if !known {
		return nil
	}
	if start {
		if b := d.open[pid]; b != nil {
			if err := d.finish(pid, *b); err != nil {
				return err
			}
		}
		b := append(make([]byte, 0, 4096), payload...)
		d.open[pid] = &b
	} else if b := d.open[pid]; b != nil {
		*b = append(*b, payload...)
	}
	// A packet that tells its length need not wait for the next one.
	if b := d.open[pid]; b != nil && len(*b) >= 6 {
		if n := int((*b)[4])<<8 | int((*b)[5]); n > 0 && len(*b) >= 6+n {
			return d.finish(pid, (*b)[:6+n])
		}
	}
	return nil
}

func (d *Demuxer) finish(pid uint16, b []byte) error {
	delete(d.open, pid)
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || 9+int(b[8]) > len(b) {
		return errors.New("transport stream has a damaged packet header")
	}
	flags, head := b[7]>>6, b[9:9+int(b[8])]
	if flags&2 == 0 || len(head) < 5 || (flags == 3 && len(head) < 10) {
		return errors.New("transport stream has an access unit without a time stamp")
	}
	p := PES{PID: pid, StreamID: b[3], Data: b[9+int(b[8]):]}
	p.PTS = d.clock.Unwrap(readStamp(head))
	p.DTS = p.PTS
	if flags == 3 {
		p.DTS = timeline.Near(readStamp(head[5:]), p.PTS)
	}
	d.ready = append(d.ready, p)
	return nil
}

func readStamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// Unit is a stored unit in memory.
type Unit struct {
	Streams []Stream
	Packets []PES
}

// UnitFile is a stored unit on the local disk.
type UnitFile struct {
	Path string
	// FirstTicks, the unwrapped PTS of the unit's first frame, anchors its
	// time stamps.
	FirstTicks int64
	// FirstFrame is that frame's number; the others follow by order.
	FirstFrame int64
}

// Read reads the whole unit.
func (f UnitFile) Read() (Unit, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return Unit{}, fmt.Errorf("open unit: %w", err)
	}
	defer file.Close()
	u, err := ReadUnit(file, f.FirstTicks)
	if err != nil {
		return Unit{}, fmt.Errorf("read unit %s: %w", f.Path, err)
	}
	return u, nil
}

// ReadUnit reads a whole unit; the unwrapped PTS of its first frame anchors
// its time stamps.
func ReadUnit(r io.Reader, firstTicks int64) (Unit, error) {
	d := NewDemuxer(r, timeline.NewUnwrapper(firstTicks))
	var u Unit
	for {
		p, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Unit{}, err
		}
		u.Packets = append(u.Packets, p)
	}
	u.Streams = d.Streams()
	if len(u.Packets) == 0 {
		return Unit{}, errors.New("the unit has no media")
	}
	return u, nil
}

// Video returns the access units of the picture in decoding order.
func (u Unit) Video() []PES {
	for _, s := range u.Streams {
		if s.Video() {
			return u.of(s.PID)
		}
	}
	return nil
}

// Audio returns the frames of an audio track, counted from 1, by time.
func (u Unit) Audio(track int) ([]PES, bool) {
	for _, s := range u.Streams {
		if s.AudioTrack == track && track > 0 {
			out := u.of(s.PID)
			sort.SliceStable(out, func(i, j int) bool { return out[i].PTS < out[j].PTS })
			return out, true
		}
	}
	return nil, false
}

// AudioTracks is the number of audio tracks.
func (u Unit) AudioTracks() int {
	n := 0
	for _, s := range u.Streams {
		n = max(n, s.AudioTrack)
	}
	return n
}

func (u Unit) of(pid uint16) []PES {
	var out []PES
	for _, p := range u.Packets {
		if p.PID == pid {
			out = append(out, p)
		}
	}
	return out
}
