// SPDX-License-Identifier: Apache-2.0

package pcm

// Limiter keeps a mix below -1 dBFS. It looks ahead, so that the gain is down
// before a peak comes, and touches only what is near one: all else passes bit
// for bit. What goes in comes out at the same place.
type Limiter struct {
	channels int
	// waiting are samples whose gain is not known yet, and need is the gain that
	// each sample frame of them needs by itself.
	waiting []float32
	need    []float64
	// held is the last gain before smoothing, past a ring of the last ones, sum
	// their sum, and open how many of the last ones were 1.
	held float64
	past [ahead]float64
	at   int
	sum  float64
	open int
	// lead samples are not given out.
	lead int
}

const (
	// ceiling is -1 dBFS.
	ceiling = 0.89125094
	// ahead is how many samples the gain takes to come down (5 ms).
	ahead = Rate / 200
	// release is the share of the way back to 1 that the gain goes with each
	// sample: two thirds of it in 50 ms.
	release = 20.0 / Rate
	// unity is near enough to 1.
	unity = 0.9999
)

// NewLimiter limits sound of a number of channels.
func NewLimiter(channels int) *Limiter {
	// Silence before the first sample, so that the gain can be down at it.
	l := &Limiter{channels: channels, held: 1, sum: ahead, open: ahead, lead: ahead * channels,
		waiting: make([]float32, ahead*channels), need: make([]float64, ahead)}
	for i := range l.need {
		l.need[i] = 1
	}
	for i := range l.past {
		l.past[i] = 1
	}
	return l
}

// Write takes samples and returns those that are finished.
func (l *Limiter) Write(in []float32) []float32 {
	l.waiting = append(l.waiting, in...)
	for n := 0; n < len(in); n += l.channels {
		peak := float32(0)
		for _, x := range in[n : n+l.channels] {
			peak = max(peak, x, -x)
		}
		l.need = append(l.need, min(1, ceiling/max(float64(peak), ceiling)))
	}
	return l.finish(len(l.need) - ahead)
}

// Close returns the rest.
func (l *Limiter) Close() []float32 { return l.finish(len(l.need)) }

// finish applies the gain to n sample frames. The gain is the mean, over the last
// 5 ms, of the least that is needed in the 5 ms from each sample on, so that at a
// peak all that it is the mean of is low enough.
func (l *Limiter) finish(n int) []float32 {
	if n <= 0 {
		return nil
	}
	out := l.waiting[:n*l.channels]
	for i, least := range slidingMin(l.need, ahead)[:n] {
		gain, touched := l.next(least)
		if !touched {
			continue
		}
		for c := range l.channels {
			out[i*l.channels+c] *= float32(gain)
		}
	}
	l.waiting, l.need = append([]float32(nil), l.waiting[len(out):]...), append([]float64(nil), l.need[n:]...)
	skip := min(l.lead, len(out))
	l.lead -= skip
	return out[skip:]
}

// next is the gain at the next sample frame, and whether it is less than 1.
func (l *Limiter) next(least float64) (float64, bool) {
	back := l.held + (1-l.held)*release
	if back > unity {
		back = 1
	}
	l.held = min(least, back)
	l.open++
	if l.held < 1 {
		l.open = 0
	}
	l.sum += l.held - l.past[l.at]
	l.past[l.at] = l.held
	l.at = (l.at + 1) % ahead
	if l.open >= ahead {
		// Nothing of the sum's own rounding may stay.
		l.sum = ahead
		return 1, false
	}
	return l.sum / ahead, true
}

// slidingMin is, for each place, the least of the values in a window from it on.
func slidingMin(values []float64, window int) []float64 {
	out := make([]float64, len(values))
	// Places from the back, each smaller than all between it and the one after.
	var stack []int
	first := 0
	for i := len(values) - 1; i >= 0; i-- {
		for len(stack) > first && values[stack[len(stack)-1]] >= values[i] {
			stack = stack[:len(stack)-1]
		}
		stack = append(stack, i)
		for stack[first] >= i+window {
			first++
		}
		out[i] = values[stack[first]]
	}
	return out
}
