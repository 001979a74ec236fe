// SPDX-License-Identifier: Apache-2.0

package pcm

// Speakers, as bits of a set.
const (
	frontLeft = 1 << iota
	frontRight
	centre
	effects
	backLeft
	backRight
	backCentre
	sideLeft
	sideRight
)

// speakers are where the channels of a number of them are heard, in FFmpeg's
// order.
var speakers = [...][]int{
	0: nil,
	1: {centre},
	2: {frontLeft, frontRight},
	3: {frontLeft, frontRight, centre},
	4: {frontLeft, frontRight, centre, backCentre},
	5: {frontLeft, frontRight, centre, backLeft, backRight},
	6: {frontLeft, frontRight, centre, effects, backLeft, backRight},
	7: {frontLeft, frontRight, centre, effects, backCentre, sideLeft, sideRight},
	8: {frontLeft, frontRight, centre, effects, backLeft, backRight, sideLeft, sideRight},
}

// minus3 is half the power.
const minus3 = 0.70710678

// instead says which speakers play a channel where its own is missing: the
// first of the lists that the output has. This is ITU-R BS.775's Lo/Ro: centre
// and surrounds 3 dB down, low frequency effects left out, nothing scaled.
var instead = map[int][]int{
	frontLeft:  {centre},
	frontRight: {centre},
	centre:     {frontLeft | frontRight},
	backLeft:   {sideLeft, backCentre, frontLeft},
	backRight:  {sideRight, backCentre, frontRight},
	backCentre: {backLeft | backRight, sideLeft | sideRight, frontLeft | frontRight},
	sideLeft:   {backLeft, frontLeft},
	sideRight:  {backRight, frontRight},
}

// gains is the matrix from one number of channels to another, row by output.
func gains(to, from int) [][]float32 {
	all := 0
	for _, s := range speakers[to] {
		all |= s
	}
	out := make([][]float32, to)
	for o := range out {
		out[o] = make([]float32, from)
	}
	for i, s := range speakers[from] {
		where, gain := s, float32(1)
		if from == 1 && to > 1 {
			// Mono is as loud on both sides as it is.
			where = frontLeft | frontRight
		} else if all&s == 0 {
			where, gain = 0, minus3
			for _, other := range instead[s] {
				if all&other == other {
					where = other
					break
				}
			}
		}
		for o, t := range speakers[to] {
			if where&t != 0 {
				out[o][i] = gain
			}
		}
	}
	return out
}

// mix mixes samples to a number of channels.
func mix(out []float32, to int, in []float32, from int) {
	if to == from {
		copy(out, in)
		return
	}
	matrix := gains(to, from)
	for n := 0; n*to < len(out); n++ {
		frame := in[n*from : (n+1)*from]
		for o, row := range matrix {
			var sum float32
			for i, g := range row {
				sum += g * frame[i]
			}
			out[n*to+o] = sum
		}
	}
}

// Mono is the mean of both sides of a block's stereo mix.
func Mono(b Block) []float32 {
	if b.Channels == 1 {
		return b.Samples
	}
	both := make([]float32, 2*b.length())
	mix(both, 2, b.Samples, b.Channels)
	out := make([]float32, b.length())
	for i := range out {
		out[i] = (both[2*i] + both[2*i+1]) / 2
	}
	return out
}
