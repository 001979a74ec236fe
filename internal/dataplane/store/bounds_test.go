// SPDX-License-Identifier: Apache-2.0

package store

import (
	"math"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// nested is a value with objects and lists in each other, so many levels deep.
func nested(levels int) any {
	var v any = "x"
	for i := range levels {
		if i%2 == 0 {
			v = []any{v}
		} else {
			v = map[string]any{"m": v}
		}
	}
	return v
}

func result(start, end int64) api.NewResult { return api.NewResult{StartMicros: start, EndMicros: end} }

func TestNonsenseFromAFeaturer(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 3, 4, 5, 6)
	for l := h.lease(api.PoolWork); ; l = h.lease(api.PoolWork) {
		if l.Kind != api.TaskKindFeaturer || l.Chunk != 2 || l.Input.Featurer.Plugin.Name != "moment" {
			h.must(h.complete(l, match{}))
			continue
		}
		from, to := l.Input.Featurer.Chunk.StartMicros, l.Input.Featurer.Chunk.EndMicros
		ten := 600 * second
		cases := map[string]struct {
			words   string
			results []api.NewResult
		}{
			"too many":         {"results has 10001 entries", make([]api.NewResult, api.MaxResults+1)},
			"backwards":        {"results[1] ends", []api.NewResult{result(from, from), result(from+1, from)}},
			"long before":      {"results[0].startMicros", []api.NewResult{result(from-ten-1, from)}},
			"long after":       {"results[0].endMicros", []api.NewResult{result(from, to+ten+1)}},
			"the least":        {"results[0].startMicros", []api.NewResult{result(math.MinInt64, from)}},
			"the most":         {"results[0].startMicros", []api.NewResult{result(math.MaxInt64, math.MaxInt64)}},
			"milliseconds off": {"results[0].endMicros", []api.NewResult{result(from, 1_780_000_000_000_000)}},
			"before the media": {"results[0] ends at -1 µs", []api.NewResult{result(-5, -1)}},
			"large": {"results[0].attributes take", []api.NewResult{{StartMicros: from, EndMicros: to,
				Attributes: map[string]any{"x": strings.Repeat("x", api.MaxAttributesBytes)}}}},
			"deep": {"results[0].attributes nest", []api.NewResult{{StartMicros: from, EndMicros: to,
				Attributes: map[string]any{"x": nested(api.MaxAttributesDepth)}}}},
			"very deep": {"results[0].attributes nest",
				[]api.NewResult{{StartMicros: from, EndMicros: to, Attributes: map[string]any{"x": nested(9000)}}}},
		}
		for name, c := range cases {
			t.Log(name)
			h.wantErr(h.completeTask(l.TaskID, api.TaskOutput{Token: l.Token, Results: c.results}), ErrInvalid, c.words)
		}
		fine := []api.NewResult{result(-second, second), result(from-ten, from), result(to+ten-1, to+ten),
			{StartMicros: from, EndMicros: to, Attributes: map[string]any{"x": nested(api.MaxAttributesDepth - 1),
				"y": strings.Repeat("x", api.MaxAttributesBytes/2)}}}
		h.must(h.completeTask(l.TaskID, api.TaskOutput{Token: l.Token, Results: fine}))
		break
	}
	list, _, err := h.s.Results(h.ctx, h.uid, ResultFilter{Plugin: "moment"}, 100, "")
	h.must(err)
	if len(list) != 4 {
		t.Fatalf("%d results", len(list))
	}
	for _, r := range list {
		if r.Result.Start.Micros < 0 || r.Result.End.Micros > 12*second || r.Result.End.Frame < r.Result.Start.Frame {
			t.Errorf("%d to %d", r.Result.Start.Micros, r.Result.End.Micros)
		}
	}
}

// Times that no arithmetic survives are refused by name, of every kind of run.
func TestTimesGoneAstray(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	extremes := []int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, -700 * second}
	h.drainBut(match{moments: []int64{1}}, func(l *api.Lease, out *api.TaskOutput) bool {
		switch l.Kind {
		case api.TaskKindSegmenter:
			for _, us := range extremes {
				h.wantErr(h.report(l, seg("", us)), ErrInvalid, "segments[0].startMicros")
				h.wantErr(h.report(l, seg("", 1*second, us)), ErrInvalid, "segments[0].endMicros")
			}
			deep := seg("", 1*second)
			deep.Attributes = map[string]any{"x": nested(api.MaxAttributesDepth)}
			h.wantErr(h.report(l, deep), ErrInvalid, "segments[0].attributes nest")
		case api.TaskKindOptimizer:
			for _, us := range extremes {
				marks := out.Optimized[0]
				marks.StartMicros = us
				h.wantErr(h.completeTask(l.TaskID, api.TaskOutput{Token: l.Token, Optimized: []api.OptimizedMarks{marks}}),
					ErrInvalid, "the optimized start of segment")
				marks = out.Optimized[0]
				marks.EndMicros = us
				h.wantErr(h.completeTask(l.TaskID, api.TaskOutput{Token: l.Token, Optimized: []api.OptimizedMarks{marks}}),
					ErrInvalid, "the optimized end of segment")
			}
		case api.TaskKindLabeler:
			label := out.Labels[0]
			label.Attributes = map[string]any{"x": nested(api.MaxAttributesDepth)}
			h.wantErr(h.completeTask(l.TaskID, api.TaskOutput{Token: l.Token, Labels: []api.SegmentLabel{label}}),
				ErrInvalid, "labels[0].attributes nest")
		}
		return false
	})
	if e := h.event(); e.State != api.EventStateStateComplete || e.DeadLetters != 0 || e.Progress.SegmentsOptimized == 0 {
		t.Errorf("%+v", e)
	}
}

func TestResultFilters(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	h.drain(match{moments: []int64{1, 7, 8, 14}})
	for name, c := range map[string]struct {
		filter ResultFilter
		want   int
	}{
		"all":           {ResultFilter{}, 12},
		"of a plugin":   {ResultFilter{Plugin: "moment"}, 4},
		"of a track":    {ResultFilter{Track: new(int32(1))}, 4},
		"of the video":  {ResultFilter{Track: new(int32(0))}, 8},
		"of no track":   {ResultFilter{Track: new(int32(9))}, 0},
		"from":          {ResultFilter{From: new(7 * second)}, 9},
		"from behind":   {ResultFilter{From: new(7*second + 1)}, 6},
		"to":            {ResultFilter{To: new(7 * second)}, 6},
		"between":       {ResultFilter{From: new(2 * second), To: new(8 * second)}, 6},
		"never":         {ResultFilter{From: new(9 * second), To: new(8 * second)}, 0},
		"up to a chunk": {ResultFilter{LastChunk: new(int64(2))}, 9},
		"everything at once": {ResultFilter{Plugin: "peaks", Track: new(int32(1)), From: new(2 * second),
			To: new(60 * second), LastChunk: new(int64(2))}, 2},
	} {
		found := 0
		for cont := ""; ; {
			list, next, err := h.s.Results(h.ctx, h.uid, c.filter, 2, cont)
			h.must(err)
			found += len(list)
			if cont = next; cont == "" {
				break
			}
		}
		if found != c.want {
			t.Errorf("%s: %d results, want %d", name, found, c.want)
		}
	}
}
