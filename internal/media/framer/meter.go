// SPDX-License-Identifier: Apache-2.0

package framer

import (
	"context"
	"math"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pcm"
	"github.com/mre-operator/mre-operator/internal/media/signals"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// meter measures levels. Each unit's audio is a run of its own, decoded after
// the same end of the unit before, so its samples do not depend on where the
// chunk began.
type meter struct {
	tl      timeline.Timeline
	before  map[int][]mpegts.PES
	runs    []run
	windows map[int]map[int64]signals.Window
	count   int
}

// run is the audio of one track in one unit, from the given ticks on; what is
// before them warms the decoder up.
type run struct {
	track  int
	from   int64
	frames []mpegts.PES
}

func newMeter(tl timeline.Timeline) *meter {
	return &meter{tl: tl, before: map[int][]mpegts.PES{}, windows: map[int]map[int64]signals.Window{}}
}

// remember keeps the end of a unit's audio for the next unit.
func (m *meter) remember(u mpegts.Unit) {
	for track := 1; track <= u.AudioTracks(); track++ {
		sound, _ := u.Audio(track)
		i := len(sound)
		for i > 0 && sound[i-1].PTS > sound[len(sound)-1].PTS-pcm.WarmUp {
			i--
		}
		m.before[track] = sound[i:]
	}
}

// add takes the audio of the next unit.
func (m *meter) add(u mpegts.Unit) {
	m.count = max(m.count, u.AudioTracks())
	for track := 1; track <= u.AudioTracks(); track++ {
		if sound, _ := u.Audio(track); len(sound) > 0 {
			m.runs = append(m.runs, run{track: track, from: sound[0].PTS,
				frames: append(slices.Clone(m.before[track]), sound...)})
		}
	}
	m.remember(u)
}

// listen decodes and measures what was added. What cannot be decoded is silent.
func (m *meter) listen(ctx context.Context) error {
	var frames [][]mpegts.PES
	for _, r := range m.runs {
		frames = append(frames, r.frames)
	}
	sounds, err := pcm.Decode(ctx, frames)
	if err != nil {
		return err
	}
	for i, r := range m.runs {
		if m.windows[r.track] == nil {
			m.windows[r.track] = map[int64]signals.Window{}
		}
		from := timeline.MulDiv(r.from-m.tl.OriginTicks, pcm.Rate, timeline.TickRate)
		for _, b := range sounds[i].Place(m.tl.OriginTicks) {
			skip := max(0, from-b.At)
			if mono := pcm.Mono(b.Block); skip < int64(len(mono)) {
				m.measure(m.windows[r.track], b.At+skip, mono[skip:])
			}
		}
	}
	return nil
}

// measure adds samples to the windows they lie in.
func (m *meter) measure(windows map[int64]signals.Window, first int64, samples []float32) {
	for i := 0; i < len(samples); {
		k := timeline.MulDivFloor(first+int64(i), 1_000_000, pcm.Rate*signals.WindowMicros)
		// The first sample of the next window: ceil((k+1) * rate / 10).
		next := -timeline.MulDivFloor(-(k + 1), pcm.Rate*signals.WindowMicros, 1_000_000)
		end := min(len(samples), int(next-first))
		w := windows[k]
		for _, v := range samples[i:end] {
			x := int64(math.Round(float64(max(-1, min(v, 1)) * signals.FullScale)))
			w.Squares += x * x
			w.Loudest = max(w.Loudest, int32(max(x, -x)))
		}
		w.Samples += int64(end - i)
		windows[k] = w
		i = end
	}
}

func (m *meter) tracks() []signals.Track {
	out := make([]signals.Track, 0, m.count)
	for track := 1; track <= m.count; track++ {
		t := signals.Track{Track: track, Levels: []int32{}, Peaks: []int32{}}
		lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
		for k := range m.windows[track] {
			lo, hi = min(lo, k), max(hi, k)
		}
		if lo <= hi {
			t.FirstWindow, t.Head, t.Tail = lo, m.windows[track][lo], m.windows[track][hi]
		}
		for k := lo; k <= hi; k++ {
			w := m.windows[track][k]
			t.Levels, t.Peaks = append(t.Levels, w.Level()), append(t.Peaks, w.Peak())
		}
		out = append(out, t)
	}
	return out
}
