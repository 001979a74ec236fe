// SPDX-License-Identifier: Apache-2.0

package check

import (
	"math"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/media/film"
)

const (
	// window is the length of sound that is compared at one place, in microseconds; less than shortest says nothing.
	window, shortest = 250_000, 60_000
	// near and far are how far the sound is looked for, in samples: where it should be, then half a second around.
	near, far = 300, film.SampleRate / 2
	// edge is how much beside the begin or end of sound is not judged, in microseconds: two frames of a codec.
	edge = 45_000
	// attack is the very first sound of a part, in samples. It is judged apart, and levels from settled microseconds on.
	attack, settled = 512, 30_000
	// tooLoud and tooQuiet are 0.5 dB beside what is right. Each pass through an AAC encoder takes some 0.1 dB of noise.
	tooLoud, tooQuiet = 1.059, 0.923
	// overshoot is what an encoder may add to a peak of -1 dBFS: 2.8 dB was seen of noise, to 1.23.
	overshoot = 1.29
	// silence is the level below which nothing is heard: -60 dBFS.
	silence = 0.001
)

// checkSound looks at begin, middle and end of every part.
func checkSound(r *Report, ask Ask, sound [][]float64, firsts []int) {
	if len(sound) < 2 {
		return // checkStreams has said so
	}
	track := ask.Clock.Tracks[ask.Track-1]
	for i, channel := range sound {
		if peak := max(slices.Max(channel), -slices.Min(channel)); peak > overshoot {
			r.add(Level, "channel %d reaches %+.1f dBFS", i+1, decibel(peak))
		}
	}
	var begin int64
	for i, p := range ask.Parts {
		n := p[1] - p[0]
		at := ask.Clock.Time(p[0])
		if ask.Clock.Drifts && len(firsts) == len(ask.Parts) {
			// Which picture a frame shows is a matter of where the difference of the rates is made good. Sound goes with it.
			at = ask.Clock.Shown(firsts[i])
		}
		from, to := ask.samples(begin), min(ask.samples(begin+n), int64(len(sound[0])))
		begin += n
		s := soundPart{ask: ask, track: track, report: r, sound: sound, from: from, to: to, at: at}
		s.check()
	}
}

// samples is the number of samples before a frame of the output.
func (a Ask) samples(frame int64) int64 {
	return timeline.Timeline{Rate: a.Clock.EventRate}.SampleOfFrame(frame, film.SampleRate)
}

// soundPart is the sound of one part of an output.
type soundPart struct {
	ask    Ask
	track  film.Track
	report *Report
	sound  [][]float64
	// from and to bound it in the output, in samples; at is its time in the source, in microseconds.
	from, to, at int64
}

func (s soundPart) check() {
	length := micros(s.to - s.from)
	w := min(int64(window), length)
	for _, begin := range []int64{0, (length - w) / 2, length - w} {
		span, run, ok := s.judge(film.Span{From: s.at + begin, To: s.at + begin + w})
		if !ok {
			continue
		}
		s.window(span, run)
	}
	s.attack()
}

func micros(samples int64) int64 { return samples * 1_000_000 / film.SampleRate }
func samplesOf(us int64) int64   { return us * film.SampleRate / 1_000_000 }

// judge takes out of a span what can be judged: the longest piece that is not soft and lies within one run or between
// runs. The run is nil where silence is right.
func (s soundPart) judge(span film.Span) (film.Span, *film.Run, bool) {
	pieces := []film.Span{span}
	for _, soft := range s.track.Soft {
		pieces = without(pieces, soft)
	}
	for i := range s.track.Runs {
		for _, border := range []int64{s.track.Runs[i].At, s.track.Runs[i].At + s.track.Runs[i].Len} {
			pieces = without(pieces, film.Span{From: border - edge, To: border + edge})
		}
	}
	best := film.Span{}
	for _, p := range pieces {
		if p.To-p.From > best.To-best.From {
			best = p
		}
	}
	if best.To-best.From < shortest {
		return best, nil, false
	}
	for i := range s.track.Runs {
		if r := &s.track.Runs[i]; r.At <= best.From && best.To <= r.At+r.Len {
			return best, r, true
		}
	}
	return best, nil, true
}

func without(spans []film.Span, hole film.Span) []film.Span {
	var out []film.Span
	for _, s := range spans {
		if hole.To <= s.From || s.To <= hole.From {
			out = append(out, s)
			continue
		}
		if s.From < hole.From {
			out = append(out, film.Span{From: s.From, To: hole.From})
		}
		if hole.To < s.To {
			out = append(out, film.Span{From: hole.To, To: s.To})
		}
	}
	return out
}

// heard is the output's sound in a span of the source.
func (s soundPart) heard(span film.Span) [2][]float64 {
	a := s.from + samplesOf(span.From-s.at)
	b := min(a+samplesOf(span.To-span.From), s.to)
	return [2][]float64{s.sound[0][a:b], s.sound[1][a:b]}
}

func (s soundPart) window(span film.Span, run *film.Run) {
	if run != nil && run.SlowPPM != 0 {
		// A longer one would be blurred.
		span.To = min(span.To, span.From+shortest)
	} else if span.From < s.at+settled && span.To > s.at+settled+shortest {
		span.From = s.at + settled
	}
	out := s.heard(span)
	where := float64(span.From) / 1e6
	if run == nil {
		if level := max(rms(out[0]), rms(out[1])); level > silence {
			s.report.add(Sound, "at %.3f s: %.1f dBFS where silence is right", where, decibel(level))
		}
		return
	}
	ref := newReference(s.ask.Clock.Seed, *run, span.From, len(out[0]))
	lag, likeness := ref.find(out)
	if likeness < 0.35 {
		s.report.add(Sound, "at %.3f s: the sound is not there (likeness %.2f, level %.1f dBFS)",
			where, likeness, decibel(max(rms(out[0]), rms(out[1]))))
		return
	}
	// What is found later in the source was heard too early.
	late := -micros(int64(lag))
	if abs(late) > abs(s.report.SoundOffset) {
		s.report.SoundOffset = late
	}
	if abs(late) > s.ask.SoundTolerance {
		s.report.add(Sound, "at %.3f s: %+.1f ms", where, float64(late)/1000)
	}
	if run.SlowPPM == 0 && !run.Loud {
		s.mix(ref, out, lag, where)
	}
}

// mix finds how much of every channel is in the output, by least squares.
func (s soundPart) mix(ref reference, out [2][]float64, lag int, where float64) {
	for side := range out {
		got := solve(ref.channels, far+lag, out[side])
		for c, g := range got {
			want := ref.run.Gains[c][side]
			switch {
			case want == 0 && math.Abs(g) > 0.05:
				s.report.add(Level, "at %.3f s: channel %d is heard at %.1f dB on side %d, where it should not be",
					where, c+1, decibel(math.Abs(g)), side+1)
			case want != 0 && (g > want*tooLoud || g < want*tooQuiet):
				s.report.add(Level, "at %.3f s: channel %d is heard at %.1f dB on side %d instead of %.1f",
					where, c+1, decibel(math.Abs(g)), side+1, decibel(want))
			}
		}
	}
}

// attack checks that the first milliseconds of a part are there: a decoder that begins in the middle is quiet at first.
func (s soundPart) attack() {
	if s.to-s.from < attack {
		return
	}
	span := film.Span{From: s.at, To: s.at + micros(attack)}
	for _, soft := range s.track.Soft {
		if len(without([]film.Span{span}, soft)) != 1 {
			return
		}
	}
	for _, run := range s.track.Runs {
		if run.At > span.From-edge || span.To+edge > run.At+run.Len {
			continue
		}
		out := s.heard(span)
		ref := newReference(s.ask.Clock.Seed, run, span.From, len(out[0]))
		lag, likeness := ref.find(out)
		if lag = min(max(lag, -near), near); likeness < 0.35 {
			lag = 0
		}
		gain := project(ref.mix[0][far+lag:][:len(out[0])], out[0])
		if gain < 0.7 {
			s.report.add(Sound, "at %.3f s: the first %.1f ms are at %.1f dB of what they should be", float64(s.at)/1e6,
				float64(micros(attack))/1000, decibel(max(gain, 1e-6)))
		}
	}
}

func abs(n int64) int64 { return max(n, -n) }

func decibel(v float64) float64 { return 20 * math.Log10(max(v, 1e-9)) }

func rms(x []float64) float64 {
	var sum float64
	for _, v := range x {
		sum += v * v
	}
	return math.Sqrt(sum / float64(max(len(x), 1)))
}
