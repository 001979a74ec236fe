// SPDX-License-Identifier: Apache-2.0

package film

import (
	"encoding/binary"
	"io"
	"math"
)

// SampleRate of the sound that films are made of, and of every output.
const SampleRate = 48000

// box is the length of the moving averages that make white noise into noise below 2 kHz, which every codec keeps as it
// is: encoders replace what lies higher with noise of their own.
const box = 12

// Noise is the endless sound of one channel: never the same twice, so that its place can be told to the sample.
type Noise struct {
	Seed           uint64
	Track, Channel int
}

// white is a number in [-2^20, 2^20) for each sample.
func (n Noise) white(i int64) int64 {
	x := n.Seed*0x9e3779b97f4a7c15 + uint64(n.Track)<<48 + uint64(n.Channel)<<40 + uint64(i)*0xbf58476d1ce4e5b9
	for range 2 {
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		x ^= x >> 31
	}
	return int64(x>>43) - 1<<20
}

// Fill gives the samples from a place on, 1 being full scale; they are at -24 dBFS.
func (n Noise) Fill(dst []float64, from int64) {
	const scale = 0.5 / (1 << 20) / (box * box * box)
	var sums [3]int64
	var rings [3][box]int64
	for i := -int64(3 * box); i < int64(len(dst)); i++ {
		v := n.white(from + i)
		slot := int((i + 3*box) % box)
		for k := range sums {
			sums[k] += v - rings[k][slot]
			rings[k][slot] = v
			v = sums[k]
		}
		if i >= 0 {
			dst[i] = float64(v) * scale
		}
	}
}

// Sound is a piece of the noise of a number of channels.
type Sound struct {
	Seed            uint64
	Track, Channels int
	// From is a place in the noise, in samples.
	From, Samples int64
	// Loud multiplies the level; 0 means 1.
	Loud float64
}

// Reader gives the sound as interleaved samples of 16 bits.
func (s Sound) Reader() io.Reader { return &soundReader{Sound: s} }

type soundReader struct {
	Sound
	next int64
	rest []byte
}

// Read implements io.Reader.
func (r *soundReader) Read(out []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.next >= r.Samples {
			return 0, io.EOF
		}
		r.fill(min(SampleRate, r.Samples-r.next))
	}
	n := copy(out, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *soundReader) fill(n int64) {
	r.rest = make([]byte, n*int64(r.Channels)*2)
	samples := make([]float64, n)
	for c := range r.Channels {
		Noise{r.Seed, r.Track, c}.Fill(samples, r.From+r.next)
		for i, v := range samples {
			if r.Loud > 0 {
				v = min(max(v*r.Loud, -1), 1)
			}
			binary.LittleEndian.PutUint16(r.rest[2*(i*r.Channels+c):], uint16(int16(math.Round(v*32767))))
		}
	}
	r.next += n
}
