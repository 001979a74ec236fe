// SPDX-License-Identifier: Apache-2.0

package check

import (
	"math"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// reference is what should be heard in a window, with half a second before and after it.
type reference struct {
	run      film.Run
	channels [][]float64
	// mix is the right mix, left and right.
	mix [2][]float64
}

func newReference(seed uint64, run film.Run, from int64, n int) reference {
	r := reference{run: run, channels: make([][]float64, len(run.Gains))}
	size := n + 2*far
	first := run.From + place(run, from) - far
	for c := range r.channels {
		raw := make([]float64, size+size/100+1)
		film.Noise{Seed: seed, Track: run.Track, Channel: c}.Fill(raw, first)
		if run.SlowPPM != 0 {
			raw = slowed(raw, size, run.SlowPPM)
		}
		r.channels[c] = raw[:size]
	}
	for side := range r.mix {
		r.mix[side] = make([]float64, size)
		for c, ch := range r.channels {
			if g := run.Gains[c][side]; g != 0 {
				for i, v := range ch {
					r.mix[side][i] += g * v
				}
			}
		}
	}
	return r
}

// place is how many samples of the noise have been heard at a time.
func place(run film.Run, at int64) int64 {
	samples := samplesOf(at - run.At)
	return samples - samples*run.SlowPPM/(1_000_000+run.SlowPPM)
}

// slowed stretches around the window's begin.
func slowed(raw []float64, size int, ppm int64) []float64 {
	out := make([]float64, size)
	for i := range out {
		k := float64(i-far)/(1+float64(ppm)/1e6) + far
		a := int(math.Floor(k))
		f := k - float64(a)
		a = min(max(a, 0), len(raw)-2)
		out[i] = raw[a]*(1-f) + raw[a+1]*f
	}
	return out
}

// find gives the place in the reference, in samples from where it should be, that is most like the output, and how like
// that is. A side of the output may be silent.
func (r reference) find(out [2][]float64) (lag int, likeness float64) {
	side := 0
	if rms(out[1]) > 2*rms(out[0]) {
		side = 1
	}
	lag, likeness = best(r.mix[side], out[side], far-near, far+near)
	if likeness < 0.5 {
		lag, likeness = best(r.mix[side], out[side], 0, 2*far)
	}
	return lag - far, likeness
}

// best is the place in ref from a to b with the highest correlation.
func best(ref, out []float64, a, b int) (at int, likeness float64) {
	var energy, own float64
	for i, v := range out {
		own += v * v
		energy += ref[a+i] * ref[a+i]
	}
	for k := a; k <= b && k+len(out) <= len(ref); k++ {
		var sum float64
		for i, v := range out {
			sum += v * ref[k+i]
		}
		if c := sum / math.Sqrt(max(own*energy, 1e-12)); c > likeness {
			at, likeness = k, c
		}
		if k+len(out) < len(ref) {
			energy += ref[k+len(out)]*ref[k+len(out)] - ref[k]*ref[k]
		}
	}
	return at, likeness
}

// project is how much of a signal is in another.
func project(ref, out []float64) float64 {
	var ab, aa float64
	for i, v := range out {
		ab += v * ref[i]
		aa += ref[i] * ref[i]
	}
	return ab / max(aa, 1e-12)
}

// solve finds the gains of channels whose sum comes closest to the output (normal equations, Gauss-Jordan).
func solve(channels [][]float64, at int, out []float64) []float64 {
	n := len(channels)
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n+1)
		for j := range channels {
			m[i][j] = dot(channels[i][at:], channels[j][at:], len(out))
		}
		m[i][n] = dot(channels[i][at:], out, len(out))
	}
	for i := range m {
		pivot := m[i][i]
		for j := range m[i] {
			m[i][j] /= pivot
		}
		for k := range m {
			if k == i {
				continue
			}
			f := m[k][i]
			for j := range m[k] {
				m[k][j] -= f * m[i][j]
			}
		}
	}
	gains := make([]float64, n)
	for i := range m {
		gains[i] = m[i][n]
	}
	return gains
}

func dot(a, b []float64, n int) (sum float64) {
	for i := range n {
		sum += a[i] * b[i]
	}
	return sum
}
