// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// namedPlan is testPlan with MRE's names for most plugins; one has a slash in it, and one has none. Dependencies are
// not in the order of the alphabet.
func namedPlan(overlap *api.PlanSegmentOverlap) api.Plan {
	plan := testPlan()
	plan.SegmentOverlap = overlap
	for i := range plan.Plugins {
		p := &plan.Plugins[i]
		if name := map[string]string{"volley": "DetectVolley", "noise": "DetectAudioPeaks",
			"moments": "Segment / KeyMoment", "cutter": "OptimizeSegment",
			"namer": "LabelBasic"}[p.Name]; name != "" {
			p.MREName = &name
		}
		if p.Name == "cutter" {
			p.DependsOn = []string{"volley", "noise"}
		}
		if p.Name == "namer" {
			p.Configuration = map[string]any{"dependent_plugin_name": "DetectVolley"}
		}
	}
	return plan
}

// TestNamesOrderAndOverlaps: plugins see MRE's names, in the order in which the Plugin names its dependencies, and what
// they call after them comes out so. With segmentOverlap: Allow, segments, optimized marks and codes stay as the
// plugins said; with Trim, they are kept apart.
func TestNamesOrderAndOverlaps(t *testing.T) {
	type marks struct {
		In, Out            int64
		StartCode, EndCode string
	}
	type segment struct {
		In, Out   int64
		Optimized []marks
	}
	const ok, truncated = "Opto succeeded", "Succeeded - Truncated at the adjacent segment"
	for name, tt := range map[string]struct {
		overlap *api.PlanSegmentOverlap
		want    []segment
	}{
		// The volleys are at 6, 11, 16 and 21 s.
		"Allow": {new(api.PlanSegmentOverlapAllow), []segment{
			{75, 225, []marks{{50, 250, ok, ok}, {50, 250, ok, ok}}},
			{200, 350, []marks{{175, 375, ok, ok}, {175, 375, ok, ok}}},
			{325, 475, []marks{{300, 500, ok, ok}, {300, 500, ok, ok}}},
			{450, 600, []marks{{425, 625, ok, ok}, {425, 625, ok, ok}}}}},
		"Trim": {nil, []segment{
			{75, 225, []marks{{50, 225, ok, truncated}, {50, 225, ok, truncated}}},
			{225, 350, []marks{{225, 350, truncated, truncated}, {225, 350, truncated, truncated}}},
			{350, 475, []marks{{350, 475, truncated, truncated}, {350, 475, truncated, truncated}}},
			{475, 600, []marks{{475, 625, truncated, ok}, {475, 625, truncated, ok}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, namedPlan(tt.overlap))
			handlers := map[string]handler{}
			for plugin, handles := range map[string]string{"scenes": "scenes",
				"volley": "volley", "noise": "noise", "moments": "key_moment",
				"cutter": "outward", "namer": "by_configuration"} {
				handlers[plugin] = process
				w.ports[plugin].start(t, handles)
			}
			w.ingest(t, eventUID, 1, 3, 3)
			w.work(handlers)
			if len(w.failures) > 0 {
				t.Fatal(w.failures)
			}
			segments, err := w.manager.Segments(t.Context(), eventUID)
			if err != nil {
				t.Fatal(err)
			}
			var got []segment
			for _, s := range segments {
				one := segment{In: s.In.Frame, Out: s.Out.Frame}
				for _, o := range s.Optimized {
					one.Optimized = append(one.Optimized, marks{o.In.Frame, o.Out.Frame, o.StartCode, o.EndCode})
				}
				got = append(got, one)
				if diff := cmp.Diff(map[string]any{"DetectVolley": true, "named by": "LabelBasic"}, s.Attributes); diff != "" ||
					s.Label != "1 by DetectVolley" {
					t.Errorf("the segment at frame %d is labelled %q (-want +got):\n%s", s.In.Frame, s.Label, diff)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("segments (-want +got):\n%s", diff)
			}
			results, err := w.manager.Results(t.Context(), eventUID, "volley")
			if err != nil || len(results) != 6 {
				t.Errorf("%d results have the Plugin's own name, which Replays use (%v)", len(results), err)
			}
		})
	}
}
