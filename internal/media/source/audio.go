// SPDX-License-Identifier: Apache-2.0

package source

import (
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// audioFrames are the frames that begin in a PES packet.
type audioFrames struct {
	// at is where each begins.
	at            []int
	samples, rate int64
}

// ticks is how long n frames last.
func (f audioFrames) ticks(n int) int64 {
	return timeline.MulDiv(int64(n)*f.samples, tickRate, f.rate)
}

// audioHeader reads a frame's header: its length in bytes and samples, and the
// sample rate. ok is false where no frame begins.
type audioHeader func(b []byte) (size int, samples, rate int64, ok bool)

// headerOf is how the frames of a class of streams are read, or nil: then
// sound is known by its PES packets alone.
func headerOf(class string) audioHeader {
	switch {
	case class == "":
		return nil
	case class[0] == 0x0f:
		return adtsHeader
	case class[0] == 0x03 || class[0] == 0x04:
		return mpegHeader
	case class[0] == 0x81 || strings.HasPrefix(class, "\x06\x6a") || strings.HasPrefix(class, "\x06AC-3"):
		return ac3Header
	}
	return nil
}

// walk finds the frames in the body of a PES packet. It may begin with the end
// of a frame of the packet before; its last frame may go on in the next.
func walk(header audioHeader, body []byte) (audioFrames, bool) {
	var f audioFrames
	for at := 0; at < len(body); {
		size, samples, rate, ok := header(body[at:])
		if ok && len(f.at) == 0 && at > 0 && at+size < len(body) {
			_, _, _, ok = header(body[at+size:]) // no chance
		}
		switch {
		case ok:
			if len(f.at) == 0 {
				f.samples, f.rate = samples, rate
			}
			f.at = append(f.at, at)
			at += size
		case len(f.at) == 0:
			at++
		default:
			return f, true
		}
	}
	return f, len(f.at) > 0
}

var adtsRates = [...]int64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

func adtsHeader(b []byte) (size int, samples, rate int64, ok bool) {
	if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 || int(b[2]>>2&15) >= len(adtsRates) {
		return 0, 0, 0, false
	}
	size = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
	return size, 1024 * int64(b[6]&3+1), adtsRates[b[2]>>2&15], size >= 7
}

// mpegBits are bit rates in kbit/s: MPEG-1 layers 1 to 3, then MPEG-2 layer 1,
// then its layers 2 and 3.
var mpegBits = [5][15]int{
	{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
	{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
	{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
	{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
}

func mpegHeader(b []byte) (size int, samples, rate int64, ok bool) {
	if len(b) < 4 || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return 0, 0, 0, false
	}
	version, layer := b[1]>>3&3, 4-int(b[1]>>1&3)
	bits, rates, padding := b[2]>>4, b[2]>>2&3, int(b[2]>>1&1)
	if version == 1 || layer == 4 || bits == 0 || bits == 15 || rates == 3 {
		return 0, 0, 0, false
	}
	rate = []int64{44100, 48000, 32000}[rates]
	table := layer - 1
	if version != 3 {
		rate /= 2
		if version == 0 {
			rate /= 2
		}
		table = 3 + min(layer-1, 1)
	}
	bitRate := mpegBits[table][bits] * 1000
	switch {
	case layer == 1:
		return (12*bitRate/int(rate) + padding) * 4, 384, rate, true
	case layer == 3 && version != 3:
		return 72*bitRate/int(rate) + padding, 576, rate, true
	}
	return 144*bitRate/int(rate) + padding, 1152, rate, true
}

var ac3Bits = [...]int{32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640}

func ac3Header(b []byte) (size int, samples, rate int64, ok bool) {
	if len(b) < 6 || b[0] != 0x0b || b[1] != 0x77 || b[4]>>6 == 3 {
		return 0, 0, 0, false
	}
	rate = []int64{48000, 44100, 32000}[b[4]>>6]
	if b[5]>>3 > 10 { // E-AC-3
		blocks := []int64{1, 2, 3, 6}[b[4]>>4&3]
		return 2 * ((int(b[2]&7)<<8 | int(b[3])) + 1), 256 * blocks, rate, true
	}
	code := int(b[4] & 0x3f)
	if code/2 >= len(ac3Bits) {
		return 0, 0, 0, false
	}
	bits := ac3Bits[code/2]
	switch rate {
	case 48000:
		size = 4 * bits
	case 44100:
		size = 2 * (320*bits/147 + code&1)
	default:
		size = 6 * bits
	}
	return size, 1536, rate, true
}
