// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// FuzzOutput: whatever an MRE plugin saves and answers, it is an error or an output that the data plane takes.
func FuzzOutput(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(outputCases)) {
		c := outputCases[name]
		f.Add(uint8(len(c.plugin)), c.saved, c.answer, int64(100), int64(0))
		f.Add(uint8(len(c.answer)), "", c.answer, int64(0), int64(300))
	}
	f.Add(uint8(132), `[{"Start":1,"End":30},{"Start":1.04,"End":1.05},{"Start":-1},{"Start":19.99}]`,
		results(`[]`), int64(249), int64(0))
	f.Add(uint8(2), `[{"Start":1},{"Start":1.04,"End":1.05},{"Start":-1},{"Start":19.99}]`,
		results(`[]`), int64(249), int64(0))
	plugins := []string{"scenes", "noise", "moments", "cutter", "namer"}
	f.Fuzz(func(t *testing.T, which uint8, saved, answer string, openFrame, lastEnd int64) {
		openFrame, lastEnd = openFrame&1023%500, lastEnd&1023%500
		run := testRun(t, plugins[int(which&127)%len(plugins)], 2, func(l *api.Lease) {
			segments := []api.Segment{testSegment("000001-0", openFrame/2, openFrame/2+60),
				testSegment("000001-1", openFrame/2+60, openFrame/2+90)}
			switch in := l.Input; {
			case in.Segmenter != nil && openFrame > 0 && openFrame >= lastEnd:
				in.Segmenter.Open = new(testSegment("000001-9", openFrame, 0))
				in.Segmenter.PreviousEndMicros = lastEnd * 40_000
			case in.Segmenter != nil && lastEnd > 0:
				in.Segmenter.Previous = new(testSegment("000001-8", lastEnd/2, lastEnd))
				in.Segmenter.PreviousEndMicros = lastEnd * 40_000
			case in.Optimizer != nil:
				in.Optimizer.Segments = segments
			case in.Labeler != nil:
				in.Labeler.Segments = segments
			}
		})
		if which >= 128 {
			run.Plan.SegmentOverlap = new(api.PlanSegmentOverlapAllow)
		}
		var list []any
		if json.Unmarshal([]byte(saved), &list) == nil {
			if parsed, err := ParseReported(run.Plugin.Class, list); err == nil {
				_ = run.Save(parsed) // what it refuses is not saved
			}
		}
		got, err := run.Output([]byte(answer), func() ([]api.Segment, error) {
			return []api.Segment{testSegment("000001-7", 3, 9)}, nil
		})
		if err != nil {
			return
		}
		if _, err := json.Marshal(got.Output); err != nil {
			t.Fatal(err)
		}
		var own struct{ Mre json.RawMessage }
		if json.Unmarshal([]byte(answer), &own) == nil && own.Mre != nil {
			return // ours say what they mean, and hear of it from the data plane
		}
		if err := accepted(run, got.Output); err != nil {
			t.Fatalf("%v: saved %s, answered %s, came to %+v", err, saved, answer, got.Output)
		}
	})
}

// accepted applies the data plane's rules for what runs publish.
func accepted(r *Run, out api.TaskOutput) error {
	for i, one := range out.Results {
		if one.EndMicros < one.StartMicros || one.Attributes == nil {
			return fmt.Errorf("result %d is %+v", i, one)
		}
	}
	claimed := map[string]api.Segment{}
	for _, s := range r.Segments() {
		claimed[s.ID] = s
	}
	clock := r.Clock()
	for i, m := range out.Optimized {
		s, ok := claimed[m.SegmentID]
		in, end := clock.Snap(m.StartMicros).Frame, clock.Snap(m.EndMicros).Frame
		if !ok || end <= in || !r.overlaps() && (in >= s.Out.Frame || end <= s.In.Frame) {
			return fmt.Errorf("marks %d are %+v", i, m)
		}
		delete(claimed, m.SegmentID)
	}
	for i, l := range out.Labels {
		if _, ok := claimed[l.SegmentID]; !ok || l.Code == "" {
			return fmt.Errorf("label %d is %+v", i, l)
		}
	}
	switch in := r.Lease.Input.Segmenter; {
	case in != nil && r.overlaps():
		return acceptedOverlaps(r, in, out.Segments)
	case in != nil:
		return acceptedSegments(r, in, out.Segments)
	}
	return nil
}

// acceptedOverlaps: what is continued is open, once; what is new starts in the chunk at the latest; each has a frame.
func acceptedOverlaps(r *Run, in *api.SegmenterInput, updates []api.SegmentUpdate) error {
	clock, open := r.Clock(), map[string]api.Segment{}
	for _, s := range r.Segments() {
		if s.State == api.SegmentStateOpen {
			open[s.ID] = s
		}
	}
	for i, u := range updates {
		start := clock.Snap(u.StartMicros).Frame
		if u.ID != nil {
			if s, ok := open[*u.ID]; !ok || s.In.Frame != start {
				return fmt.Errorf("update %d continues what is not open: %+v", i, u)
			}
			delete(open, *u.ID)
		} else if start >= in.Chunk.FirstFrame+in.Chunk.Frames {
			return fmt.Errorf("update %d opens where it may not: %+v", i, u)
		}
		if u.EndMicros != nil && clock.Snap(*u.EndMicros).Frame <= start {
			return fmt.Errorf("update %d has no frame: %+v", i, u)
		}
	}
	return nil
}

// acceptedSegments: by time, without an overlap, at most one open, each with a frame.
func acceptedSegments(r *Run, in *api.SegmenterInput, updates []api.SegmentUpdate) error {
	clock := r.Clock()
	open, openID, end := int64(-1), "", clock.Snap(in.PreviousEndMicros).Frame
	if in.Open != nil {
		open, openID = in.Open.In.Frame, in.Open.ID
	}
	for i, u := range updates {
		start := clock.Snap(u.StartMicros).Frame
		switch {
		case u.ID != nil && (open < 0 || *u.ID != openID || start != open):
			return fmt.Errorf("update %d continues what is not open: %+v", i, u)
		case u.ID == nil && (open >= 0 || start < end || start >= in.Chunk.FirstFrame+in.Chunk.Frames):
			return fmt.Errorf("update %d opens where it may not: %+v", i, u)
		}
		open, openID = start, ""
		if u.ID != nil {
			openID = *u.ID
		}
		if u.EndMicros == nil {
			continue
		}
		out := clock.Snap(*u.EndMicros).Frame
		if out <= start {
			return fmt.Errorf("update %d has no frame: %+v", i, u)
		}
		end, open = min(out, clock.Snap(clock.FrameStartMicros(start)+in.MaxSegmentMicros).Frame), -1
	}
	return nil
}
