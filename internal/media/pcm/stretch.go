// SPDX-License-Identifier: Apache-2.0

package pcm

import "math"

const (
	// taps of the filter around a sample, and phases between two samples for
	// which it is kept.
	taps   = 32
	phases = 1024
)

// Stretcher makes a number of sample frames into slightly more or fewer, for
// sound whose clock is that of pictures that are shown at another rate.
type Stretcher struct {
	channels int
	in, out  int64
	kernel   [][taps]float32
	// have is the input that is still needed, from sample frame first on; fed
	// sample frames have come, and next is the output's next.
	have             []float32
	first, fed, next int64
}

// NewStretcher makes in sample frames into out.
func NewStretcher(channels int, in, out int64) *Stretcher {
	s := &Stretcher{channels: channels, in: in, out: out, kernel: make([][taps]float32, phases+1)}
	for p := range s.kernel {
		var sum float64
		var k [taps]float64
		for t := range k {
			x := float64(t-taps/2+1) - float64(p)/phases
			k[t] = sinc(x) * (0.5 + 0.5*math.Cos(2*math.Pi*x/taps))
			sum += k[t]
		}
		for t := range k {
			s.kernel[p][t] = float32(k[t] / sum)
		}
	}
	// Silence before the first sample.
	s.have, s.first = make([]float32, (taps/2)*channels), -taps/2
	return s
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// Write takes samples and returns those that are finished. With the last of the
// samples it returns all that are left.
func (s *Stretcher) Write(in []float32) []float32 {
	s.have = append(s.have, in...)
	s.fed += int64(len(in) / s.channels)
	if s.fed == s.in {
		s.have = append(s.have, make([]float32, (taps+1)*s.channels)...)
	}
	var out []float32
	end := s.first + int64(len(s.have)/s.channels)
	for ; s.next < s.out; s.next++ {
		// The place of the output sample among the input's.
		whole := s.next * s.in / s.out
		phase := (s.next * s.in % s.out) * phases / s.out
		from := whole - taps/2 + 1
		if from+taps > end {
			break
		}
		k := &s.kernel[phase]
		at := s.have[(from-s.first)*int64(s.channels):]
		for c := range s.channels {
			var sum float32
			for t, g := range k {
				sum += g * at[t*s.channels+c]
			}
			out = append(out, sum)
		}
	}
	if drop := s.next*s.in/max(s.out, 1) - taps - s.first; drop > 0 {
		s.have = append([]float32(nil), s.have[drop*int64(s.channels):]...)
		s.first += drop
	}
	return out
}
