// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestPlans(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.start() // again, by another manager
	other := testPlan(h.uid)
	other.Hash = "plan-2"
	_, err := h.s.PutPlan(h.ctx, h.uid, other)
	h.wantErr(err, ErrConflict, "plan-1")
	_, err = h.s.Event(h.ctx, "no-such")
	h.wantErr(err, ErrNotFound, "no-such")
	cases := []struct {
		words  string
		change func(*api.Plan)
	}{
		{"chunkSeconds", func(p *api.Plan) { p.ChunkSeconds = 0 }},
		{"event.uid", func(p *api.Plan) { p.Event.UID = "x" }},
		{"segmenter names", func(p *api.Plan) { p.Segmenter = "scene" }},
		{"optimizer names", func(p *api.Plan) { p.Optimizer = new("nothing") }},
		{"\"scene\" depends on \"nothing\"", func(p *api.Plan) { p.Plugins[0].DependsOn = []string{"nothing"} }},
		{"dependencies come first", func(p *api.Plan) { p.Plugins[0].DependsOn = []string{"peaks"} }},
		{"a name twice", func(p *api.Plan) { p.Plugins[0].Name = "peaks" }},
		{"windowSeconds", func(p *api.Plan) { p.Plugins[4].Configuration = map[string]any{"windowSeconds": "wide"} }},
	}
	for _, c := range cases {
		p := testPlan("22222222")
		c.change(&p)
		_, err := h.s.PutPlan(h.ctx, "22222222", p)
		h.wantErr(err, ErrInvalid, c.words)
	}
}

func TestChangesKeepTheNewest(t *testing.T) {
	h := newHarness(t)
	hints, cancel := h.s.Hints()
	defer cancel()
	h.start()
	select {
	case <-hints:
	default:
		t.Error("a commit gave no hint")
	}
	second := testPlan("33333333-cccc")
	_, err := h.s.PutPlan(h.ctx, second.Event.UID, second)
	h.must(err)
	if list, _, err := h.s.Changes(h.ctx, 0, 10); err != nil || len(list) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	h.register(0, 1, 2, 3)
	list, next, err := h.s.Changes(h.ctx, 0, 10)
	h.must(err)
	if len(list) != 2 || list[0].UID != second.Event.UID || list[1].UID != h.uid || next != list[1].Seq {
		t.Fatalf("%+v, next %d", list, next)
	}
	if list, again, _ := h.s.Changes(h.ctx, next, 10); len(list) != 0 || again != next {
		t.Fatalf("%+v, next %d", list, again)
	}
	if list, _, _ := h.s.Changes(h.ctx, next+1000, 10); len(list) != 2 {
		t.Fatalf("after a restore from a backup: %+v", list)
	}
}

func TestPages(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(15)
	h.drain(match{moments: []int64{4, 4, 13, 29}})
	counts := map[string]int{}
	count := func(name string, fetch func(cont string) (int, string, error)) {
		for cont := ""; ; {
			n, next, err := fetch(cont)
			h.must(err)
			counts[name] += n
			if next == "" {
				return
			}
			if n != 2 {
				t.Fatalf("%s: a page of %d", name, n)
			}
			cont = next
		}
	}
	count("chunks", func(c string) (int, string, error) {
		l, n, err := h.s.Chunks(h.ctx, h.uid, 2, c)
		return len(l), n, err
	})
	count("units", func(c string) (int, string, error) {
		l, n, err := h.s.Units(h.ctx, h.uid, 2, c)
		return len(l), n, err
	})
	count("tasks", func(c string) (int, string, error) {
		l, n, err := h.s.Tasks(h.ctx, h.uid, 2, c)
		return len(l), n, err
	})
	count("results", func(c string) (int, string, error) {
		l, n, err := h.s.Results(h.ctx, h.uid, ResultFilter{}, 2, c)
		return len(l), n, err
	})
	count("moment", func(c string) (int, string, error) {
		l, n, err := h.s.Results(h.ctx, h.uid, ResultFilter{Plugin: "moment"}, 2, c)
		return len(l), n, err
	})
	count("segments", func(c string) (int, string, error) {
		l, n, err := h.s.Segments(h.ctx, h.uid, 2, c)
		return len(l), n, err
	})
	count("clips", func(c string) (int, string, error) {
		l, n, err := h.s.Clips(h.ctx, h.uid, 2, c)
		return len(l), n, err
	})
	// 5 chunks with 5 tasks, final, 3 optimizers and labelers, 6 clips, export.
	want := map[string]int{"chunks": 5, "units": 15, "tasks": 25 + 1 + 6 + 6 + 1,
		"results": 12, "moment": 4, "segments": 3, "clips": 6}
	if d := cmp.Diff(want, counts); d != "" {
		t.Error(d)
	}
	_, _, err := h.s.Tasks(h.ctx, h.uid, 2, "garbage")
	h.wantErr(err, ErrInvalid, "continue")
}
