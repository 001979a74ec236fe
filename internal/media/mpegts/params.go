// SPDX-License-Identifier: Apache-2.0

package mpegts

import (
	"errors"
	"fmt"
)

// sampleRates by ADTS index.
var sampleRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// SampleRate reads the sample rate from an ADTS header.
func SampleRate(b []byte) (int, error) {
	if len(b) < 7 || b[0] != 0xff || b[1]&0xf0 != 0xf0 {
		return 0, errors.New("the audio is not AAC in ADTS form")
	}
	i := int(b[2] >> 2 & 15)
	if i >= len(sampleRates) {
		return 0, fmt.Errorf("the audio has sample rate index %d, which does not exist", i)
	}
	return sampleRates[i], nil
}

// PictureSize reads the size of the picture, after cropping, from the sequence
// parameter set in an access unit.
func PictureSize(accessUnit []byte) (width, height int, err error) {
	sps := findNAL(accessUnit, 7)
	if len(sps) < 4 {
		return 0, 0, errors.New("the access unit has no sequence parameter set")
	}
	r := &bitReader{data: unescape(sps[1:])}
	profile := r.bits(8)
	r.bits(16)
	r.ue()
	chroma := uint32(1)
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128:
		chroma = r.ue()
		if chroma == 3 {
			r.bits(1)
		}
		r.ue()
		r.ue()
		r.bits(1)
		if r.bits(1) == 1 {
			r.scalingLists(chroma)
		}
	}
	r.ue()
	switch r.ue() {
	case 0:
		r.ue()
	case 1:
		r.bits(1)
		r.ue()
		r.ue()
		for range min(r.ue(), 255) {
			r.ue()
		}
	}
	r.ue()
	r.bits(1)
	w, h := int(r.ue()+1)*16, int(r.ue()+1)*16
	field := 2 - int(r.bits(1))
	h *= field
	if field == 2 {
		r.bits(1)
	}
	r.bits(1)
	if r.bits(1) == 1 {
		ux, uy := 1, field
		if chroma == 1 || chroma == 2 {
			ux = 2
		}
		if chroma == 1 {
			uy *= 2
		}
		w -= ux * (int(r.ue()) + int(r.ue()))
		h -= uy * (int(r.ue()) + int(r.ue()))
	}
	if r.overrun || w <= 0 || h <= 0 {
		return 0, 0, errors.New("the sequence parameter set is damaged")
	}
	return w, h, nil
}

func findNAL(b []byte, kind byte) []byte {
	start := -1
	for i := 0; i+3 <= len(b); i++ {
		if b[i] != 0 || b[i+1] != 0 || b[i+2] != 1 {
			continue
		}
		if start >= 0 {
			return b[start:i]
		}
		if i+3 < len(b) && b[i+3]&0x1f == kind {
			start = i + 3
		}
		i += 2
	}
	if start >= 0 {
		return b[start:]
	}
	return nil
}

// unescape removes the emulation prevention bytes.
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	zeros := 0
	for _, x := range b {
		if zeros >= 2 && x == 3 {
			zeros = 0
			continue
		}
		if x == 0 {
			zeros++
		} else {
			zeros = 0
		}
		out = append(out, x)
	}
	return out
}

type bitReader struct {
	data    []byte
	at      int
	overrun bool
}

func (r *bitReader) bits(n int) uint32 {
	v := uint32(0)
	for range n {
		v <<= 1
		if r.at/8 >= len(r.data) {
			r.overrun = true
			continue
		}
		v |= uint32(r.data[r.at/8]>>(7-r.at%8)) & 1
		r.at++
	}
	return v
}

// ue reads an Exp-Golomb code.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for r.bits(1) == 0 {
		if zeros++; zeros > 31 || r.overrun {
			r.overrun = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}

func (r *bitReader) scalingLists(chroma uint32) {
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if r.bits(1) == 0 {
			continue
		}
		size := 16
		if i >= 6 {
			size = 64
		}
		last, next := int32(8), int32(8)
		for range size {
			if next != 0 {
				next = (last + r.se() + 256) % 256
			}
			if next != 0 {
				last = next
			}
		}
	}
}
