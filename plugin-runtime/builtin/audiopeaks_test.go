// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bed is n windows of quiet sound.
func bed(n int, db float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = db + float64(i%3)/10
	}
	return out
}

// raise lifts windows from to to (exclusive) by some decibels.
func raise(db []float64, from, to int, by float64) []float64 {
	for i := from; i < to; i++ {
		db[i] += by
	}
	return db
}

// whole is a source as one chunk.
func whole(db []float64) levels {
	l := levels{period: second / 10, from: 0, to: int64(len(db)) - 1, whole: true, fresh: true}
	for i, v := range db {
		l.index, l.db = append(l.index, int64(i)), append(l.db, v)
	}
	return l
}

type span struct{ First, Last int64 }

func spans(peaks []peak) []span {
	var out []span
	for _, p := range peaks {
		out = append(out, span{p.first, p.last})
	}
	return out
}

func TestAudioPeaks(t *testing.T) {
	tests := map[string]struct {
		config map[string]any
		db     []float64
		want   []span
	}{
		"quiet":     {db: bed(600, -40)},
		"a cheer":   {db: raise(bed(600, -40), 300, 350, 15), want: []span{{300, 349}}},
		"too short": {db: raise(bed(600, -40), 300, 307, 15)},
		"short is long here": {config: map[string]any{"minSeconds": "0.5"},
			db: raise(bed(600, -40), 300, 307, 15), want: []span{{300, 306}}},
		"not loud enough":  {db: raise(bed(600, -40), 300, 350, 7)},
		"just loud enough": {db: raise(bed(600, -40), 300, 350, 9), want: []span{{300, 349}}},
		"a dip is merged":  {db: raise(raise(bed(600, -40), 300, 320, 15), 328, 350, 15), want: []span{{300, 349}}},
		"a gap is not": {db: raise(raise(bed(600, -40), 300, 320, 15), 331, 350, 15),
			want: []span{{300, 319}, {331, 349}}},
		"cut off": {db: raise(bed(900, -40), 300, 440, 15), want: []span{{300, 399}}},
		"no second peak until it is quiet": {config: map[string]any{"maxPeakSeconds": 2},
			db: raise(raise(bed(900, -40), 300, 400, 15), 500, 530, 15), want: []span{{300, 319}, {500, 519}}},
		"open at the end":      {db: raise(bed(600, -40), 570, 600, 15), want: []span{{570, 599}}},
		"no baseline":          {db: raise(bed(600, -40), 0, 18, 15)},
		"out of silence":       {db: raise(bed(600, -120), 300, 350, 50)},
		"audible out of it":    {db: raise(bed(600, -120), 300, 350, 75), want: []span{{300, 349}}},
		"a louder hall is one": {db: raise(bed(1200, -40), 300, 1200, 12), want: []span{{300, 399}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := audioPeaks{}.parse(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, spans(c.peaks(whole(tt.db)))); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Property: chunks of any size, each with the look-back that the plugin asks
// for, find what one pass finds.
func TestAudioPeaksAreTheSameForEveryChunkSize(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 3))
		n := 600 + rng.IntN(2400)
		db := bed(n, -40)
		for i := range db {
			db[i] += rng.NormFloat64() * 2
		}
		for range rng.IntN(30) {
			from := rng.IntN(n)
			raise(db, from, min(n, from+rng.IntN(150)), rng.Float64()*20)
		}
		config := map[string]any{"baselineSeconds": 3 + rng.Float64()*20, "minSeconds": rng.Float64(),
			"mergeSeconds": rng.Float64() * 2, "maxPeakSeconds": 1 + rng.Float64()*10, "riseDb": 4 + rng.Float64()*5}
		c, err := audioPeaks{}.parse(config)
		if err != nil {
			t.Fatal(err)
		}
		want := c.peaks(whole(db))
		for _, chunk := range []int{5, 10, 37, 60, 200, 600} {
			back := chunk * int(audioPeaks{}.LookbackChunks(config, int32(max(chunk/10, 1))))
			if chunk < 10 {
				back *= 2 // chunkSeconds is a whole number
			}
			var got []peak
			for from := 0; from < n; from += chunk {
				to := min(from+chunk, n)
				first := max(0, from-back)
				l := levels{period: second / 10, from: int64(from), to: int64(to) - 1, whole: to == n, fresh: first == 0}
				for i := first; i < to; i++ {
					l.index, l.db = append(l.index, int64(i)), append(l.db, db[i])
				}
				got = append(got, c.peaks(l)...)
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(peak{})); diff != "" {
				t.Fatalf("seed %d, chunks of %d windows, %v (-one pass +chunks):\n%s", seed, chunk, config, diff)
			}
		}
	}
}

// A chunk whose sound is not known is a hole, not an error.
func TestAudioPeaksGoOnBehindAHole(t *testing.T) {
	c, err := audioPeaks{}.parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := whole(raise(raise(bed(900, -40), 300, 330, 15), 600, 640, 15))
	l.index = append(l.index[:320:320], l.index[400:]...)
	l.db = append(l.db[:320:320], l.db[400:]...)
	if diff := cmp.Diff([]span{{300, 319}, {600, 639}}, spans(c.peaks(l))); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

func TestAudioPeaksLookback(t *testing.T) {
	for _, tt := range []struct{ seconds, want int32 }{{6, 9}, {20, 3}, {60, 1}} {
		if got := (audioPeaks{}).LookbackChunks(nil, tt.seconds); got != tt.want {
			t.Errorf("chunks of %d s: %d, want %d", tt.seconds, got, tt.want)
		}
	}
}

func TestAudioPeaksValidate(t *testing.T) {
	wantInvalid(t, audioPeaks{}, map[string]any{"riseDb": "loud"}, "configuration.riseDb")
	wantInvalid(t, audioPeaks{}, map[string]any{"baselineSeconds": 1}, "configuration.baselineSeconds")
	wantInvalid(t, audioPeaks{}, map[string]any{"minSeconds": 20}, "configuration.minSeconds")
	wantInvalid(t, audioPeaks{}, map[string]any{"maxPeakSeconds": []any{}}, "configuration.maxPeakSeconds")
}
