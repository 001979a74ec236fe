// SPDX-License-Identifier: Apache-2.0

package store

import (
	"math"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// ruleTasks are all tasks of three chunks with two audio tracks.
func ruleTasks(p *plan) []*taskRow {
	var out []*taskRow
	for n := int64(1); n <= 3; n++ {
		out = append(out, &taskRow{kind: api.TaskKindFramer, chunk: n},
			&taskRow{kind: api.TaskKindSegmenter, chunk: n, plugin: p.Segmenter})
		for _, q := range p.featurers() {
			tracks := []int32{0}
			if isAudio(q) {
				tracks = []int32{1, 2}
			}
			for _, k := range tracks {
				out = append(out, &taskRow{kind: api.TaskKindFeaturer, chunk: n, plugin: q.Name, track: k})
			}
		}
	}
	return append(out, &taskRow{kind: api.TaskKindFinal, chunk: 3, plugin: p.Segmenter})
}

func rulePlan() *plan {
	p := testPlan(testEvent)
	louder := p.Plugins[1]
	louder.Name, louder.DependsOn = "louder", []string{"peaks"}
	p.Plugins = append(p.Plugins[:2:2], append([]api.PlanPlugin{louder}, p.Plugins[2:]...)...)
	return newPlan(p)
}

func waitsFor(p *plan, t, other *taskRow) bool {
	for _, w := range predecessors(p, t) {
		if w.matches(other) {
			return true
		}
	}
	return false
}

func TestPredecessors(t *testing.T) {
	p := rulePlan()
	featurer := func(plugin string, chunk int64, track int32) *taskRow {
		return &taskRow{kind: api.TaskKindFeaturer, plugin: plugin, chunk: chunk, track: track}
	}
	framer := func(n int64) *taskRow { return &taskRow{kind: api.TaskKindFramer, chunk: n} }
	segmenter := func(n int64) *taskRow { return &taskRow{kind: api.TaskKindSegmenter, plugin: "segment", chunk: n} }
	final := &taskRow{kind: api.TaskKindFinal, plugin: "segment", chunk: 3}
	cases := []struct {
		name     string
		task, on *taskRow
		want     bool
	}{
		{"a featurer reads its chunk's signals", featurer("peaks", 2, 1), framer(2), true},
		{"without look-back it does not wait for earlier chunks", featurer("peaks", 2, 1), framer(1), false},
		{"with look-back it does", featurer("scene", 2, 0), framer(1), true},
		{"but no further", featurer("scene", 3, 0), framer(1), false},
		{"never for later chunks", featurer("scene", 2, 0), framer(3), false},
		{"video reads all tracks of an audio dependency", featurer("moment", 2, 0), featurer("peaks", 2, 2), true},
		{"audio reads its own track", featurer("louder", 2, 2), featurer("peaks", 2, 2), true},
		{"and no other", featurer("louder", 2, 2), featurer("peaks", 2, 1), false},
		{"a dependency is of the same chunk", featurer("moment", 2, 0), featurer("peaks", 1, 1), false},
		{"no dependency, no wait", featurer("moment", 2, 0), featurer("scene", 2, 0), false},
		{"segmenters go in order", segmenter(3), segmenter(1), true},
		{"a segmenter waits for what it depends on", segmenter(2), featurer("moment", 2, 0), true},
		{"and not for others", segmenter(2), featurer("scene", 2, 0), false},
		{"the final pass waits for all segmenters", final, segmenter(3), true},
		{"and not for features that nobody reads", final, featurer("scene", 3, 0), false},
	}
	for _, c := range cases {
		if got := waitsFor(p, c.task, c.on); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestSuccessorsReversePredecessors: whoever can be held back by a task alone
// is looked at when it is terminal, or some task would wait for ever.
func TestSuccessorsReversePredecessors(t *testing.T) {
	p := rulePlan()
	tasks := ruleTasks(p)
	for _, waiting := range tasks {
		for _, on := range tasks {
			if !waitsFor(p, waiting, on) || (on.kind == api.TaskKindSegmenter && waiting.chunk > on.chunk+1) {
				continue // later segmenters also wait for the one right behind
			}
			woken := false
			for _, s := range successors(p, on) {
				woken = woken || s.matches(waiting)
			}
			if !woken {
				t.Errorf("%s %s/%d/%d waits for %s %s/%d/%d, which does not wake it", waiting.kind, waiting.plugin, waiting.chunk,
					waiting.track, on.kind, on.plugin, on.chunk, on.track)
			}
		}
	}
}

func TestFrontier(t *testing.T) {
	cases := []struct {
		name  string
		open  []int64
		end   int64
		ended bool
		want  int64
	}{
		{"nothing closed", nil, 0, false, 0},
		{"all done so far", nil, 12, false, 12},
		{"one chunk open", []int64{6}, 12, false, 6},
		{"the lowest counts", []int64{6, 3}, 12, false, 3},
		{"ended, all done", nil, 12, true, math.MaxInt64},
		{"ended, one open", []int64{6}, 12, true, 6},
	}
	for _, c := range cases {
		if got := frontier(c.open, c.end, c.ended); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestWindow(t *testing.T) {
	cases := []struct {
		value any
		want  int64
		bad   bool
	}{{nil, 2 * second, false}, {"5", 5 * second, false}, {0.5, second / 2, false},
		{"x", 0, true}, {-1.0, 0, true}, {true, 0, true}}
	for _, c := range cases {
		config := map[string]any{}
		if c.value != nil {
			config["windowSeconds"] = c.value
		}
		got, err := windowMicros(config)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%v: %d %v", c.value, got, err)
		}
	}
}
