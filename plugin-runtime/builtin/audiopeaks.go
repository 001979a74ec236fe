// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"fmt"
	"math"
	"sort"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// audioPeaks finds stretches in which the sound is at least riseDb louder than
// the median of the baselineSeconds before: a crowd that starts to cheer.
//
// Loud windows with less than mergeSeconds between them are one peak; it
// counts when its loud windows add up to minSeconds, and it is cut off
// maxPeakSeconds after its onset, which bounds how far a run has to look back
// and how late a peak is reported. What goes on beyond that is no new peak.
// A peak is reported with the chunk in which it is decided: where mergeSeconds
// of quiet have followed, where it is cut off, or where the source ends.
type audioPeaks struct{}

func (audioPeaks) Class() api.PlanPluginClass            { return api.PlanPluginClassFeaturer }
func (audioPeaks) MediaTypes() []api.PlanPluginMediaType { return onlyAudio }
func (audioPeaks) Outputs() []string                     { return []string{"AudioPeak", "levelDb", "riseDb"} }

// floorDB is the lowest baseline: sound that rises out of digital silence has
// to be audible.
const floorDB = -60.0

// leastBaseline is how much sound must precede a window before it can be loud.
const leastBaseline = 2 * second

type audioPeaksConfig struct {
	rise                       float64
	baseline, least, gap, most int64
}

func (audioPeaks) parse(config map[string]any) (audioPeaksConfig, error) {
	r := read(config)
	c := audioPeaksConfig{
		rise:     r.number("riseDb", 8, 1, 60),
		baseline: r.micros("baselineSeconds", 30, 3, 300),
		// One second leaves out whistles and single claps.
		least: r.micros("minSeconds", 1, 0, 30),
		gap:   r.micros("mergeSeconds", 1, 0, 10),
		most:  r.micros("maxPeakSeconds", 10, 1, 60),
	}
	if c.least > c.most {
		r.fail("minSeconds", "it is larger than maxPeakSeconds")
	}
	return c, r.err()
}

func (a audioPeaks) Validate(config map[string]any) error {
	_, err := a.parse(config)
	return err
}

func (a audioPeaks) LookbackChunks(config map[string]any, chunkSeconds int32) int32 {
	c, _ := a.parse(config)
	// Windows are counted in whole ones, of 0.1 s.
	return lookback(c.baseline+c.reach()+second, chunkSeconds)
}

// reach is how long before a chunk the runs of loud windows must be known:
// what is decided in the chunk began at most most+gap before it, and another
// gap tells whether that is really where it began.
func (c audioPeaksConfig) reach() int64 { return c.most + 2*c.gap }

// Feature reports the peaks that are decided in the run's own chunk.
func (a audioPeaks) Feature(in api.FeaturerInput) ([]api.NewResult, error) {
	c, err := a.parse(in.Plugin.Configuration)
	if err != nil {
		return nil, err
	}
	levels, err := levelWindows(in)
	if err != nil {
		return nil, fmt.Errorf("audio-peaks: %w", err)
	}
	tl := in.Timeline.ClosedClock()
	results := []api.NewResult{}
	for _, p := range c.peaks(levels) {
		start, end := p.first*levels.period, (p.last+1)*levels.period
		if tl.Frames >= 0 {
			end = min(end, tl.End().Micros)
		}
		if end <= start {
			continue
		}
		results = append(results, api.NewResult{StartMicros: start, EndMicros: end, Attributes: map[string]any{
			"AudioPeak": true, "levelDb": tenth(p.level), "riseDb": tenth(p.rise),
		}})
	}
	return results, nil
}

func tenth(db float64) float64 { return math.Round(db*10) / 10 }

// levels are the windows of one track, in order; a window that is not known is
// left out.
type levels struct {
	// period is a window's length; window i covers [i*period, (i+1)*period).
	period int64
	index  []int64
	db     []float64
	// from and to are the windows of the run's own chunk; whole says that
	// nothing comes after them, fresh that nothing came before the first.
	from, to     int64
	whole, fresh bool
}

type peak struct {
	first, last, loud int64
	level, rise       float64
}

// peaks runs over the windows and returns the peaks that are decided in the
// own chunk.
func (c audioPeaksConfig) peaks(l levels) []peak {
	if len(l.index) == 0 {
		return nil
	}
	n := func(us int64) int64 { return (us + l.period - 1) / l.period }
	gap, most, least := max(n(c.gap), 1), n(c.most), max(n(c.least), 1)

	var out []peak
	var run *peak
	// A run that was under way where the look-back begins started too early
	// to be decided in this chunk, if the look-back is long enough: wait for
	// a gap before the first.
	stale := !l.fresh
	quietFrom, lastLoud := int64(0), int64(math.MinInt64/2)
	if stale {
		quietFrom = l.from - n(c.reach())
		lastLoud = quietFrom - 1
	}
	over := false // the run was cut off; wait for its end
	// decide ends the run; window at is the one that made it certain.
	decide := func(at int64) {
		if run.loud >= least && at >= l.from && (at <= l.to || l.whole) {
			out = append(out, *run)
		}
		run = nil
	}
	base := newMedian(n(c.baseline))
	for i, w := range l.index {
		db := l.db[i]
		base.forget(w)
		median, enough := base.value(n(leastBaseline))
		base.add(w, db)
		if w < quietFrom {
			continue
		}
		// A gap ends the run before this window is looked at.
		if w-lastLoud > gap {
			if run != nil {
				decide(min(lastLoud+gap, run.first+most))
			}
			over, stale = false, false
		}
		if run != nil && w-run.first >= most {
			decide(run.first + most)
			over = true
		}
		rise := db - max(median, floorDB)
		if !enough || rise < c.rise {
			continue
		}
		lastLoud = w
		if over || stale {
			continue
		}
		if run == nil {
			run = &peak{first: w}
		}
		run.last = w
		run.loud++
		if run.loud == 1 || rise > run.rise {
			run.rise = rise
		}
		if run.loud == 1 || db > run.level {
			run.level = db
		}
	}
	// What the last window of the chunk decides.
	if run != nil {
		decide(min(lastLoud+gap, run.first+most))
	}
	return out
}

// median is that of the windows in the length before the next one, kept
// sorted.
type median struct {
	length int64
	order  []window
	sorted []float64
}

type window struct {
	index int64
	db    float64
}

func newMedian(length int64) *median { return &median{length: length} }

func (m *median) add(index int64, db float64) {
	m.order = append(m.order, window{index, db})
	i := sort.SearchFloat64s(m.sorted, db)
	m.sorted = append(m.sorted, 0)
	copy(m.sorted[i+1:], m.sorted[i:])
	m.sorted[i] = db
}

// forget drops the windows that are too old when the next one is index.
func (m *median) forget(index int64) {
	for len(m.order) > 0 && m.order[0].index < index-m.length {
		i := sort.SearchFloat64s(m.sorted, m.order[0].db)
		m.sorted = append(m.sorted[:i], m.sorted[i+1:]...)
		m.order = m.order[1:]
	}
}

func (m *median) value(least int64) (float64, bool) {
	if int64(len(m.order)) < least {
		return 0, false
	}
	k := len(m.sorted)
	return (m.sorted[(k-1)/2] + m.sorted[k/2]) / 2, true
}
