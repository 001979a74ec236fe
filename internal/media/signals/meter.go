// SPDX-License-Identifier: Apache-2.0

package signals

import (
	"context"
	"math"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pcm"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// warmUp is the number of audio frames of the unit before that are decoded and
// thrown away. AAC needs one; its noise bands do not matter beyond that.
const warmUp = 3

// meter measures levels. Each unit's audio is a run of its own, decoded after
// the same few frames of the unit before, so its samples do not depend on
// where the chunk began.
type meter struct {
	tl      timeline.Timeline
	before  map[int][]mpegts.PES
	runs    []run
	windows map[int]map[int64]Window
	count   int
}

// run is the audio of one track in one unit, after skip frames of warm-up.
type run struct {
	track, rate, skip int
	frames            []mpegts.PES
}

func newMeter(tl timeline.Timeline) *meter {
	return &meter{tl: tl, before: map[int][]mpegts.PES{}, windows: map[int]map[int64]Window{}}
}

// remember keeps the end of a unit's audio for the next unit.
func (m *meter) remember(u mpegts.Unit) {
	for track := 1; track <= u.AudioTracks(); track++ {
		if sound, ok := u.Audio(track); ok {
			m.before[track] = sound[max(0, len(sound)-warmUp):]
		}
	}
}

// add takes the audio of the next unit.
func (m *meter) add(u mpegts.Unit) error {
	m.count = max(m.count, u.AudioTracks())
	for track := 1; track <= u.AudioTracks(); track++ {
		sound, _ := u.Audio(track)
		if len(sound) == 0 {
			continue
		}
		rate, err := mpegts.SampleRate(sound[0].Data)
		if err != nil {
			return err
		}
		before := m.before[track]
		m.runs = append(m.runs, run{track: track, rate: rate, skip: len(before), frames: append(slices.Clone(before), sound...)})
	}
	m.remember(u)
	return nil
}

// listen decodes and measures what was added.
func (m *meter) listen(ctx context.Context) error {
	byRate := map[int][]run{}
	for _, r := range m.runs {
		byRate[r.rate] = append(byRate[r.rate], r)
	}
	for rate, runs := range byRate {
		var frames [][]mpegts.PES
		for _, r := range runs {
			frames = append(frames, r.frames)
		}
		sounds, err := pcm.Decode(ctx, frames, rate, 1)
		if err != nil {
			return err
		}
		for i, r := range runs {
			if m.windows[r.track] == nil {
				m.windows[r.track] = map[int64]Window{}
			}
			for _, b := range sounds[i].Place(m.tl.OriginTicks)[r.skip:] {
				m.measure(m.windows[r.track], b, int64(rate))
			}
		}
	}
	return nil
}

// measure adds a block to the windows it lies in.
func (m *meter) measure(windows map[int64]Window, b pcm.Placed, rate int64) {
	first := b.At
	for i := 0; i < len(b.Samples); {
		k := timeline.MulDivFloor(first+int64(i), 1_000_000, rate*WindowMicros)
		// The first sample of the next window: ceil((k+1) * rate / 10).
		next := -timeline.MulDivFloor(-(k + 1), rate*WindowMicros, 1_000_000)
		end := min(len(b.Samples), int(next-first))
		w := windows[k]
		for _, v := range b.Samples[i:end] {
			x := int64(v)
			w.Squares += x * x
			w.Peak = max(w.Peak, int32(max(x, -x)))
		}
		w.Samples += int64(end - i)
		windows[k] = w
		i = end
	}
}

func (m *meter) tracks() []Track {
	out := make([]Track, 0, m.count)
	for track := 1; track <= m.count; track++ {
		t := Track{Track: track, Levels: []int32{}, Peaks: []int32{}}
		lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
		for k := range m.windows[track] {
			lo, hi = min(lo, k), max(hi, k)
		}
		if lo <= hi {
			t.FirstWindow, t.Head, t.Tail = lo, m.windows[track][lo], m.windows[track][hi]
		}
		for k := lo; k <= hi; k++ {
			w := m.windows[track][k]
			t.Levels, t.Peaks = append(t.Levels, w.level()), append(t.Peaks, w.peak())
		}
		out = append(out, t)
	}
	return out
}

func (w Window) level() int32 {
	if w.Samples == 0 || w.Squares == 0 {
		return Silence
	}
	return max(Silence, int32(math.Round(1000*math.Log10(float64(w.Squares)/float64(w.Samples)/(32768*32768)))))
}

func (w Window) peak() int32 {
	if w.Peak == 0 {
		return Silence
	}
	return int32(math.Round(2000 * math.Log10(float64(w.Peak)/32768)))
}
