// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// segmentRow is what a test compares.
type segmentRow struct {
	From, To int64
	Reason   string
	Triggers string
}

// world plays the data plane around a segmenter: it stores segments, hands
// over the results of the chunks seen so far within the minute that the API
// promises, and snaps marks.
type world struct {
	t        *testing.T
	tl       timeline.Timeline
	config   map[string]any
	maxMicro int64
	open     *api.Segment
	done     int64
	rows     []segmentRow
	opened   int
}

// seen is a detection and when it becomes known: the time at which the plugin
// is certain of it.
type seen struct{ start, end, known int64 }

func (w *world) run(found []seen, chunkEnd int64, final bool) {
	w.t.Helper()
	base := w.done
	if w.open != nil {
		base = w.open.In.Micros
	}
	var results []api.Result
	for _, d := range found {
		if (d.known < chunkEnd || final) && d.start >= base-60*second {
			results = append(results, api.Result{Start: mark(w.tl, d.start),
				End: mark(w.tl, d.end), Attributes: map[string]any{"Hit": true}})
		}
	}
	rand.Shuffle(len(results), func(i, j int) { results[i], results[j] = results[j], results[i] })
	tl := api.Timeline{Rate: api.Rational{Num: w.tl.Rate.Num, Den: w.tl.Rate.Den}}
	if final {
		yes := true
		tl.Ended, tl.Frames = &yes, &w.tl.Frames
	}
	out, err := keyMoment{}.Segment(api.SegmenterInput{
		Plugin: api.PlanPlugin{Configuration: w.config}, Timeline: tl, Final: final, Open: w.open,
		Chunk: api.ChunkExtent{EndMicros: chunkEnd}, MaxSegmentMicros: w.maxMicro, PreviousEndMicros: w.done,
		Dependencies: []api.PluginResults{{Plugin: "p", Results: results}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, u := range out {
		w.store(u)
	}
}

func (w *world) store(u api.SegmentUpdate) {
	w.t.Helper()
	start := mark(w.tl, u.StartMicros)
	if start.Micros < w.done {
		w.t.Fatalf("segment starts at %d before the last one's end %d", start.Micros, w.done)
	}
	if u.ID != nil {
		if w.open == nil || *u.ID != w.open.ID || start != w.open.In {
			w.t.Fatalf("update %+v does not fit the open segment %+v", u, w.open)
		}
	} else if w.open != nil {
		w.t.Fatalf("new segment while %s is open", w.open.ID)
	}
	if u.EndMicros == nil {
		w.opened++
		w.open = &api.Segment{ID: fmt.Sprint(w.opened), In: start, State: api.SegmentStateOpen}
		return
	}
	end := mark(w.tl, *u.EndMicros)
	w.rows = append(w.rows, segmentRow{start.Micros, end.Micros,
		string(*u.CloseReason), fmt.Sprint(u.Attributes["Triggers"])})
	w.open, w.done = nil, end.Micros
}

func mark(tl timeline.Timeline, us int64) api.Mark {
	m := tl.Snap(us)
	return api.Mark{Frame: m.Frame, Ticks: m.Ticks, Micros: m.Micros}
}

// segments runs a whole Event in chunks and returns its segments.
func segments(t *testing.T, tl timeline.Timeline, config map[string]any,
	most int64, found []seen, chunk int64) []segmentRow {
	t.Helper()
	w := &world{t: t, tl: tl, config: config, maxMicro: most}
	end := tl.End().Micros
	for at := chunk; at < end+chunk; at += chunk {
		w.run(found, min(at, end), false)
	}
	w.run(found, end, true)
	if w.open != nil {
		t.Fatalf("segment %s is open after the final pass", w.open.ID)
	}
	return w.rows
}

func points(us ...int64) []seen {
	var out []seen
	for _, u := range us {
		out = append(out, seen{u, u, u})
	}
	return out
}

func TestKeyMoment(t *testing.T) {
	tl := timeline.Timeline{Rate: timeline.Rational{Num: 25, Den: 1}, Frames: 25 * 100}
	const s = second
	detected, longest, ended := "Detected", "MaxSegmentLength", "SourceEnded"
	tests := map[string]struct {
		config map[string]any
		most   int64
		found  []seen
		want   []segmentRow
	}{
		"nothing":          {},
		"one point":        {found: points(20 * s), want: []segmentRow{{15 * s, 28 * s, detected, "[p]"}}},
		"a range":          {found: []seen{{20 * s, 26 * s, 27 * s}}, want: []segmentRow{{15 * s, 34 * s, detected, "[p]"}}},
		"start is clamped": {found: points(2 * s), want: []segmentRow{{0, 10 * s, detected, "[p]"}}},
		"end is clamped":   {found: points(95 * s), want: []segmentRow{{90 * s, 100 * s, ended, "[p]"}}},
		"touching merge":   {found: points(20*s, 34*s), want: []segmentRow{{15 * s, 42 * s, detected, "[p]"}}},
		"apart": {found: points(20*s, 35*s),
			want: []segmentRow{{15 * s, 28 * s, detected, "[p]"}, {30 * s, 43 * s, detected, "[p]"}}},
		"minimum to both sides": {config: map[string]any{"preRollSeconds": "1", "postRollSeconds": 1, "minSeconds": 10.0},
			found: points(20 * s), want: []segmentRow{{15 * s, 25 * s, detected, "[p]"}}},
		"minimum at the start": {config: map[string]any{"preRollSeconds": 1, "postRollSeconds": 1, "minSeconds": 10},
			found: points(2 * s), want: []segmentRow{{0, 10 * s, detected, "[p]"}}},
		"minimum swallows what it covers": {config: map[string]any{"preRollSeconds": 0.4,
			"postRollSeconds": 0.4, "mergeGapSeconds": 0, "minSeconds": 10},
			found: points(20*s, 22*s), want: []segmentRow{{15 * s, 25 * s, detected, "[p]"}}},
		"split at the maximum": {config: map[string]any{"maxSeconds": 20},
			found: points(20*s, 30*s, 40*s),
			want:  []segmentRow{{15 * s, 35 * s, longest, "[p]"}, {35 * s, 48 * s, detected, "[p]"}}},
		"what is left is only post-roll": {config: map[string]any{"maxSeconds": 20},
			found: points(20*s, 30*s), want: []segmentRow{{15 * s, 35 * s, longest, "[p]"}}},
		"profile's maximum": {most: 10 * s, found: points(20 * s), want: []segmentRow{{15 * s, 25 * s, longest, "[p]"}}},
		"attribute": {config: map[string]any{"attributes": "p.Hit"}, found: points(20 * s),
			want: []segmentRow{{15 * s, 28 * s, detected, "[p.Hit]"}}},
		"bare attribute": {config: map[string]any{"attributes": []any{"Hit"}}, found: points(20 * s),
			want: []segmentRow{{15 * s, 28 * s, detected, "[p.Hit]"}}},
		"other attribute": {config: map[string]any{"attributes": []any{"p.Miss", "q.Hit"}}, found: points(20 * s)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			most := tt.most
			if most == 0 {
				most = 60 * s
			}
			for _, chunk := range []int64{s, 6 * s, 20 * s, 100 * s} {
				got := segments(t, tl, tt.config, most, tt.found, chunk)
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Fatalf("chunks of %d s (-want +got):\n%s", chunk/s, diff)
				}
			}
		})
	}
}

func TestKeyMomentOpensAndClosesByID(t *testing.T) {
	tl := timeline.Timeline{Rate: timeline.Rational{Num: 25, Den: 1}, Frames: 25 * 100}
	w := &world{t: t, tl: tl, maxMicro: 60 * second}
	found := points(20 * second)
	for chunk := range int64(10) {
		w.run(found, (chunk+1)*6*second, false)
		if w.open != nil && (chunk+1)*6 < 32 {
			t.Fatalf("opened at %d s, before the start was settled", (chunk+1)*6)
		}
	}
	if w.opened != 1 || len(w.rows) != 1 {
		t.Fatalf("opened %d, rows %v", w.opened, w.rows)
	}
}

// Property: the segments do not depend on the chunk size, with detections that
// become known late, in any order.
func TestKeyMomentIsTheSameForEveryChunkSize(t *testing.T) {
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 7))
		rates := []timeline.Rational{{Num: 25, Den: 1}, {Num: 30000, Den: 1001}, {Num: 50, Den: 1}}
		tl := timeline.Timeline{Rate: rates[rng.IntN(3)]}
		tl.Frames = tl.FrameOfMicros((60 + rng.Int64N(400)) * second)
		length := tl.End().Micros
		settle := rng.Int64N(15)
		var found []seen
		for range rng.IntN(40) {
			start := rng.Int64N(length)
			d := seen{start, start, start}
			if settle > 1 && rng.IntN(2) == 0 {
				d.end = min(start+rng.Int64N((settle-1)*second), length)
				d.known = min(d.end+rng.Int64N(second/2), length)
			}
			d.start, d.end = tl.Snap(d.start).Micros, tl.Snap(d.end).Micros
			found = append(found, d)
		}
		most := (5 + rng.Int64N(55)) * second
		config := map[string]any{
			"preRollSeconds": rng.Float64() * 10, "postRollSeconds": rng.Float64() * 10,
			"mergeGapSeconds": rng.Float64() * 4, "settleSeconds": settle,
		}
		if rng.IntN(2) == 0 {
			config["minSeconds"] = rng.Float64() * 20
			config["maxSeconds"] = 20 + rng.Float64()*20
		}
		want := segments(t, tl, config, most, found, length)
		check(t, seed, want, found, length)
		for _, chunk := range []int64{1, 2, 3, 5, 6, 7, 11, 20, 60} {
			got := segments(t, tl, config, most, found, chunk*second)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, chunks of %d s, config %v, detections %v (-one pass +chunks):\n%s",
					seed, chunk, config, found, diff)
			}
		}
	}
}

// check proves what holds of segments whatever the detections are.
func check(t *testing.T, seed uint64, rows []segmentRow, found []seen, length int64) {
	t.Helper()
	if !sort.SliceIsSorted(rows, func(i, j int) bool { return rows[i].From < rows[j].From }) {
		t.Fatalf("seed %d: not in order: %v", seed, rows)
	}
	for i, r := range rows {
		if r.From < 0 || r.To > length || r.To <= r.From || (i > 0 && r.From < rows[i-1].To) {
			t.Fatalf("seed %d: row %d is wrong: %v", seed, i, rows)
		}
	}
	for _, d := range found {
		at := min(d.start, length-1)
		if d.start >= length {
			continue
		}
		n := 0
		for _, r := range rows {
			if r.From <= at && at < r.To {
				n++
			}
		}
		if n != 1 {
			t.Fatalf("seed %d: detection %v lies in %d segments: %v", seed, d, n, rows)
		}
	}
}

func TestKeyMomentValidate(t *testing.T) {
	tests := map[string]map[string]any{
		"configuration.preRollSeconds":  {"preRollSeconds": "five"},
		"configuration.postRollSeconds": {"postRollSeconds": -1},
		"configuration.minSeconds":      {"minSeconds": 20, "maxSeconds": 10},
		"configuration.attributes":      {"attributes": []any{"plugin."}},
		"configuration.preRoll":         {"preRoll": 5},
	}
	for key, config := range tests {
		wantInvalid(t, keyMoment{}, config, key)
	}
	if err := (keyMoment{}).Validate(map[string]any{"preRollSeconds": "5", "maxSeconds": 60,
		"attributes": []any{"AudioPeak"}}); err != nil {
		t.Error(err)
	}
}

func wantInvalid(t *testing.T, b Builtin, config map[string]any, key string) {
	t.Helper()
	err := b.Validate(config)
	if err == nil || !slices.ContainsFunc([]string{key + ":"}, func(s string) bool {
		return len(err.Error()) >= len(s) && err.Error()[:len(s)] == s
	}) {
		t.Errorf("Validate(%v) = %v, want an error about %s", config, err, key)
	}
}
