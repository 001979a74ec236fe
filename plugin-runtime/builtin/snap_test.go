// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

var tl50 = timeline.Timeline{Rate: timeline.Rational{Num: 50, Den: 1}, Frames: 50 * 100}

func segmentAt(id string, from, to int64) api.Segment {
	out := mark(tl50, to)
	return api.Segment{ID: id, State: api.SegmentStateComplete, In: mark(tl50, from), Out: &out}
}

func resultAt(from, to int64, attributes map[string]any) api.Result {
	return api.Result{Start: mark(tl50, from), End: mark(tl50, to), Attributes: attributes}
}

func endedTimeline() api.Timeline {
	yes, frames := true, tl50.Frames
	return api.Timeline{Rate: api.Rational{Num: 50, Den: 1}, Ended: &yes, Frames: &frames}
}

func TestSnap(t *testing.T) {
	const s, ds = second, second / 10
	type row struct {
		From, To           int64
		StartCode, EndCode string
	}
	tests := map[string]struct {
		config     map[string]any
		segments   []api.Segment
		neighbours []api.Segment
		cuts       []int64
		ranges     [][2]int64
		want       []row
	}{
		"no segments": {want: nil},
		"no cuts keep the marks": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			want: []row{{20 * s, 30 * s, codeFailed, codeFailed}}},
		"outward is preferred": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			cuts: []int64{185 * ds, 202 * ds, 298 * ds, 315 * ds},
			want: []row{{185 * ds, 315 * ds, codeSucceeded, codeSucceeded}}},
		"nearest": {config: map[string]any{"bias": "nearest"}, segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			cuts: []int64{185 * ds, 202 * ds, 298 * ds, 315 * ds},
			want: []row{{202 * ds, 298 * ds, codeSucceeded, codeSucceeded}}},
		"inward when there is nothing outward": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			cuts: []int64{21 * s, 29 * s}, want: []row{{21 * s, 29 * s, codeSucceeded, codeSucceeded}}},
		"the nearest of the outward ones": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			cuts: []int64{181 * ds, 195 * ds, 301 * ds, 319 * ds},
			want: []row{{195 * ds, 301 * ds, codeSucceeded, codeSucceeded}}},
		"beyond the window": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)}, cuts: []int64{17 * s, 33 * s},
			want: []row{{20 * s, 30 * s, codeFailed, codeFailed}}},
		"the edge of the window": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)}, cuts: []int64{18 * s, 32 * s},
			want: []row{{18 * s, 32 * s, codeSucceeded, codeSucceeded}}},
		"a mark on a cut stays": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			cuts: []int64{19 * s, 20 * s, 30 * s, 31 * s}, want: []row{{20 * s, 30 * s, codeSucceeded, codeSucceeded}}},
		"the media's ends are right": {segments: []api.Segment{segmentAt("a", 0, 100*s)},
			want: []row{{0, 100 * s, codeSucceeded, codeSucceeded}}},
		"neighbours limit": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)}, cuts: []int64{185 * ds, 315 * ds},
			neighbours: []api.Segment{segmentAt("n", 10*s, 19*s), segmentAt("m", 31*s, 40*s)},
			want:       []row{{20 * s, 30 * s, codeOverlap, codeOverlap}}},
		"a neighbour's edge may be touched": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			cuts: []int64{19 * s, 31 * s}, neighbours: []api.Segment{segmentAt("n", 10*s, 19*s), segmentAt("m", 31*s, 40*s)},
			want: []row{{19 * s, 31 * s, codeSucceeded, codeSucceeded}}},
		"two claimed ones do not take the same": {segments: []api.Segment{segmentAt("b", 32*s, 40*s),
			segmentAt("a", 20*s, 30*s)}, cuts: []int64{305 * ds, 315 * ds},
			want: []row{{20 * s, 305 * ds, codeFailed, codeSucceeded}, {315 * ds, 40 * s, codeSucceeded, codeFailed}}},
		"adjacent claimed ones": {segments: []api.Segment{segmentAt("a", 20*s, 30*s), segmentAt("b", 30*s, 40*s)},
			cuts: []int64{31 * s}, want: []row{{20 * s, 30 * s, codeFailed, codeOverlap},
				{31 * s, 40 * s, codeSucceeded, codeFailed}}},
		"a mark inside a range goes to its edge": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			ranges: [][2]int64{{19 * s, 31 * s}}, want: []row{{19 * s, 31 * s, codeSucceeded, codeSucceeded}}},
		"or as far as the window reaches": {segments: []api.Segment{segmentAt("a", 20*s, 30*s)},
			ranges: [][2]int64{{10 * s, 50 * s}}, want: []row{{18 * s, 32 * s, codeTruncated, codeTruncated}}},
		"or to the media's end": {segments: []api.Segment{segmentAt("a", 1*s, 99*s)}, ranges: [][2]int64{{0, 100 * s}},
			config: map[string]any{"windowSeconds": 0.5},
			want:   []row{{5 * ds, 995 * ds, codeTruncated, codeTruncated}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dep := api.PluginResults{Plugin: "cuts"}
			for _, c := range tt.cuts {
				dep.Results = append(dep.Results, resultAt(c, c, map[string]any{"SceneChange": true}))
			}
			for _, r := range tt.ranges {
				dep.Results = append(dep.Results, resultAt(r[0], r[1], map[string]any{"SceneChange": true}))
			}
			dep.Results = append(dep.Results, resultAt(20*s+400_000, 20*s+400_000, map[string]any{"Other": true}))
			config := map[string]any{"attributes": []any{"SceneChange"}}
			maps.Copy(config, tt.config)
			marks, err := snap{}.Optimize(api.OptimizerInput{Plugin: api.PlanPlugin{Configuration: config},
				Timeline: endedTimeline(), Segments: tt.segments, Neighbours: tt.neighbours,
				Dependencies: []api.PluginResults{dep}})
			if err != nil {
				t.Fatal(err)
			}
			var got []row
			for _, m := range marks {
				got = append(got, row{m.StartMicros, m.EndMicros, m.StartCode, m.EndCode})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSnapValidate(t *testing.T) {
	wantInvalid(t, snap{}, map[string]any{"bias": "inward"}, "configuration.bias")
	wantInvalid(t, snap{}, map[string]any{"windowSeconds": "x"}, "configuration.windowSeconds")
	wantInvalid(t, snap{}, map[string]any{"window": 1}, "configuration.window")
}
