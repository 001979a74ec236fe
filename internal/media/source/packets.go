// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"errors"
	"io"
)

const (
	packetSize = 188
	syncByte   = 0x47
)

// strides are the distances of packets: plain, with a time stamp of arrival
// (M2TS), with a checksum.
var strides = [...]int{packetSize, 192, 204}

const (
	// readBuffer bounds what is read ahead of FFmpeg.
	readBuffer = 32 << 10
	// syncRun is how many packets in a row are no chance.
	syncRun = 4
	// syncWindow is looked at where packets are not where they should be.
	syncWindow = 2 * syncRun * 204
)

// packets reads 188-byte packets, whatever lies between them.
type packets struct {
	in     *bufio.Reader
	stride int
	// skip is what is left of the packet that was returned last.
	skip int
}

func newPackets(r io.Reader) *packets {
	return &packets{in: bufio.NewReaderSize(r, readBuffer), stride: packetSize}
}

// next returns a packet, which is good until the next call.
func (p *packets) next() ([]byte, error) {
	for {
		if err := p.discard(p.skip); err != nil {
			return nil, err
		}
		p.skip = 0
		// One byte more shows whether the next packet is where it should be.
		b, err := p.in.Peek(p.stride + 1)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(b) >= packetSize && b[0] == syncByte && (len(b) <= p.stride || b[p.stride] == syncByte) {
			p.skip = min(p.stride, len(b))
			return b[:packetSize], nil
		}
		b, err = p.in.Peek(syncWindow)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(b) < packetSize {
			return nil, io.EOF // a last packet that is cut off
		}
		var good bool
		if p.skip, good = p.resync(b, err != nil); good {
			return b[:packetSize], nil
		}
	}
}

// discard skips bytes; that the input ends within them is found by the next read.
func (p *packets) discard(n int) error {
	_, err := p.in.Discard(n)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// resync finds out how far it is to the next packet, and whether b begins with
// a good one.
func (p *packets) resync(b []byte, last bool) (skip int, good bool) {
	starts := b[0] == syncByte
	// A first byte that is damaged does not mean that packets have moved.
	if n := 0; len(b) > p.stride {
		for at := p.stride; at < len(b) && at <= syncRun*p.stride; at += p.stride {
			if b[at] == syncByte {
				n++
			}
		}
		if n >= 2 {
			return p.stride, starts
		}
	}
	end := len(b) - (syncRun-1)*204
	if last {
		end = len(b) - packetSize + 1
	}
	for at := 1; at < end; at++ {
		if b[at] != syncByte {
			continue
		}
		for _, stride := range [...]int{p.stride, strides[0], strides[1], strides[2]} {
			if syncs(b[at:], stride) {
				p.stride = stride
				return at, starts && at >= packetSize
			}
		}
	}
	if last {
		return len(b), starts
	}
	return max(end, 1), starts
}

// syncs says whether packets lie in b from its start, as far as it goes.
func syncs(b []byte, stride int) bool {
	n := 0
	for at := 0; at < len(b) && n < syncRun; at += stride {
		if b[at] != syncByte {
			return false
		}
		n++
	}
	return n >= 2 || len(b) == packetSize
}

// packetStart finds packets in the first bytes of a source.
func packetStart(b []byte) bool {
	for at := range b {
		if b[at] != syncByte {
			continue
		}
		for _, stride := range strides {
			n := 0
			for i := at; i < len(b) && b[i] == syncByte; i += stride {
				n++
			}
			// Twice what is enough behind a known start, or all there is.
			if n >= 2*syncRun || n >= 2 && at+n*stride >= len(b) && at < stride {
				return true
			}
		}
	}
	return false
}
