// SPDX-License-Identifier: Apache-2.0

package pipelinetest

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// found is what an Event came to, ids and times aside.
type found struct {
	Results  []string
	Segments []string
	Clips    []string
}

func (p *plane) found(uid string) found {
	p.t.Helper()
	var f found
	results, err := p.manager.Results(p.t.Context(), uid, "")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, r := range results {
		f.Results = append(f.Results, fmt.Sprintf("%s/%d [%d,%d) %v", r.Plugin,
			r.Track, r.Result.Start.Frame, r.Result.End.Frame, r.Result.Attributes))
	}
	// Results are ordered by plugin here: their order on the wire is by time
	// of the chunk too.
	sort.Strings(f.Results)
	segments, err := p.manager.Segments(p.t.Context(), uid)
	if err != nil {
		p.t.Fatal(err)
	}
	names := map[string]int{}
	for i, s := range segments {
		names[s.ID] = i
		row := fmt.Sprintf("[%d,%d) %s %q %v", s.In.Frame, s.Out.Frame, *s.CloseReason, s.Label, s.Attributes)
		for _, o := range s.Optimized {
			row += fmt.Sprintf(" track %d [%d,%d) %s/%s", o.Track, o.In.Frame, o.Out.Frame, o.StartCode, o.EndCode)
		}
		f.Segments = append(f.Segments, row)
	}
	clips, err := p.manager.Clips(p.t.Context(), uid)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, c := range clips {
		frames := int64(-1)
		if c.Proof != nil {
			frames = c.Proof.Frames
		}
		if c.State != api.ClipStateRendered || frames != c.Out.Frame-c.In.Frame {
			p.t.Errorf("clip %+v has %d frames, want %d", c, frames, c.Out.Frame-c.In.Frame)
		}
		f.Clips = append(f.Clips, fmt.Sprintf("%d %s track %d [%d,%d)", names[c.SegmentID],
			c.Variant, c.Track, c.In.Frame, c.Out.Frame))
	}
	sort.Strings(f.Clips)
	return f
}

// The whole way, and the same result for every chunk size.
func TestMatchToClips(t *testing.T) {
	m, err := match.Generate(t.Context(),
		match.Options{Seconds: 60, Seed: 11, AudioTracks: 2, Rate: timeline.Rational{Num: 30000, Den: 1001}})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	source := serve(t, filepath.Dir(m.Path)) + "/" + filepath.Base(m.Path)
	var first found
	for i, chunk := range []int32{6, 20} {
		uid := fmt.Sprintf("match-%d", chunk)
		if _, err := p.manager.PutPlan(t.Context(), uid, plan(t, uid, source, chunk)); err != nil {
			t.Fatal(err)
		}
		e := p.run(uid, func(ctx context.Context) error { return p.ingest(ctx, uid) })
		if e.State != api.EventStateStateComplete || e.Progress.ClipsFailed != 0 || e.Progress.ChunksFailed != 0 {
			tasks, _ := p.manager.Tasks(t.Context(), uid)
			for _, task := range tasks {
				if task.Error != nil {
					t.Logf("%s %s: %s", task.Kind, task.Subject, *task.Error)
				}
			}
			t.Fatalf("the Event is %+v", e)
		}
		got := p.found(uid)
		if i == 0 {
			first = got
			p.compareWithTruth(uid, m.Truth)
		} else if diff := cmp.Diff(first, got); diff != "" {
			t.Fatalf("chunks of %d s differ from chunks of 6 s (-6 +%d):\n%s", chunk, chunk, diff)
		}
	}
}

// compareWithTruth proves that every scripted moment lies in exactly one
// segment, that no segment lacks one, and that every cut was found.
func (p *plane) compareWithTruth(uid string, truth match.Truth) {
	p.t.Helper()
	segments, err := p.manager.Segments(p.t.Context(), uid)
	if err != nil {
		p.t.Fatal(err)
	}
	hits := make([]int, len(segments))
	for _, m := range truth.Moments {
		n := 0
		for i, s := range segments {
			if s.In.Frame <= m.Frame && m.Frame < s.Out.Frame {
				n++
				hits[i]++
			}
		}
		if n != 1 {
			p.t.Errorf("the moment at frame %d lies in %d segments", m.Frame, n)
		}
	}
	for i, n := range hits {
		if n == 0 {
			p.t.Errorf("segment [%d,%d) has no moment", segments[i].In.Frame, segments[i].Out.Frame)
		}
	}
	results, err := p.manager.Results(p.t.Context(), uid, "cuts")
	if err != nil {
		p.t.Fatal(err)
	}
	var cuts []int64
	for _, r := range results {
		cuts = append(cuts, r.Result.Start.Frame)
	}
	slices.Sort(cuts)
	if diff := cmp.Diff(truth.Shots[1:], cuts); diff != "" {
		p.t.Errorf("cuts (-truth +found):\n%s", diff)
	}
}
