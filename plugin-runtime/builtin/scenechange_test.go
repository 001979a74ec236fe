// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pictures makes the differences of frames 0, 1, 2… from their values.
func pictures(percent ...float64) []frameDiff {
	var out []frameDiff
	for i, p := range percent {
		out = append(out, frameDiff{int64(i), p})
	}
	return out
}

func TestSceneChange(t *testing.T) {
	still := []float64{0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}
	with := func(at map[int]float64) []frameDiff {
		p := append([]float64{}, still...)
		for i, v := range at {
			p[i] = v
		}
		return pictures(p...)
	}
	tests := map[string]struct {
		diffs []frameDiff
		want  []frameDiff
	}{
		"still":                     {diffs: with(nil)},
		"a cut":                     {diffs: with(map[int]float64{7: 40}), want: []frameDiff{{7, 39}}},
		"a cut on the second frame": {diffs: with(map[int]float64{1: 40}), want: []frameDiff{{1, 40}}},
		"the first frame is none":   {diffs: with(map[int]float64{0: 40, 1: 1})},
		"below the threshold":       {diffs: with(map[int]float64{7: 9})},
		"motion is no cut":          {diffs: with(map[int]float64{5: 8, 6: 15, 7: 20, 8: 24, 9: 20, 10: 14, 11: 8})},
		"a flash counts once":       {diffs: with(map[int]float64{7: 40, 8: 40, 9: 1}), want: []frameDiff{{7, 39}}},
		"flashes count once":        {diffs: with(map[int]float64{4: 40, 7: 40, 10: 40}), want: []frameDiff{{4, 39}}},
		"two cuts":                  {diffs: with(map[int]float64{4: 40, 9: 40}), want: []frameDiff{{4, 39}, {9, 39}}},
		"behind a hole": {diffs: append(with(nil)[:4:4], frameDiff{9, 60}, frameDiff{10, 1}, frameDiff{11, 40}),
			want: []frameDiff{{11, 39}}},
		"what precedes is not known": {diffs: []frameDiff{{50, 60}, {51, 2}, {52, 40}}, want: []frameDiff{{52, 38}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := sceneChange{}.parse(nil)
			if err != nil {
				t.Fatal(err)
			}
			// 0.2 s at 25 frames a second.
			if diff := cmp.Diff(tt.want, c.cuts(tt.diffs, 5), cmp.AllowUnexported(frameDiff{})); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSceneChangesAreTheSameForEveryChunkSize(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var diffs []frameDiff
		for f := range int64(500) {
			p := rng.Float64() * 6
			if rng.IntN(12) == 0 {
				p += rng.Float64() * 60
			}
			diffs = append(diffs, frameDiff{f, p})
		}
		apart := int64(rng.IntN(20))
		c := sceneChangeConfig{threshold: 10}
		want := c.cuts(diffs, apart)
		for _, chunk := range []int64{1, 7, 25, 150} {
			var got []frameDiff
			for from := int64(0); from < 500; from += chunk {
				to := min(from+chunk, 500)
				for _, cut := range c.cuts(diffs[max(0, from-apart-1):to], apart) {
					if cut.frame >= from {
						got = append(got, cut)
					}
				}
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(frameDiff{})); diff != "" {
				t.Fatalf("seed %d, chunks of %d frames, %d apart (-one pass +chunks):\n%s", seed, chunk, apart, diff)
			}
		}
	}
}

func TestSceneChangeValidate(t *testing.T) {
	wantInvalid(t, sceneChange{}, map[string]any{"threshold": 0}, "configuration.threshold")
	wantInvalid(t, sceneChange{}, map[string]any{"minSeconds": "NaN"}, "configuration.minSeconds")
	if got := (sceneChange{}).LookbackChunks(nil, 20); got != 1 {
		t.Errorf("look-back of %d chunks, want 1", got)
	}
}
