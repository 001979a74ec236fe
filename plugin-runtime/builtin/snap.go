// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"math"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// The codes that say what became of a mark: MRE's words.
const (
	codeSucceeded = "Succeeded"
	codeTruncated = "Succeeded - Truncated extension due to search window limit"
	codeFailed    = "Failed"
	codeOverlap   = "Failed - Overlap with adjacent segment"
)

// snap moves the marks of a segment to the nearest edge of its dependencies'
// results, such as a cut, at most windowSeconds away. A mark inside a longer
// result goes to the result's outer edge, or as far as the window reaches.
// With the bias "outward" an edge outside the segment is preferred to one
// inside it. A mark never passes those of another segment. A mark that finds
// nothing stays where it is, with the code "Failed".
type snap struct{}

func (snap) Class() api.PlanPluginClass                 { return api.PlanPluginClassOptimizer }
func (snap) MediaTypes() []api.PlanPluginMediaType      { return anyMedia }
func (snap) LookbackChunks(map[string]any, int32) int32 { return 0 }
func (snap) Outputs() []string                          { return []string{} }

type snapConfig struct {
	features []feature
	window   int64
	outward  bool
}

func (snap) parse(config map[string]any) (snapConfig, error) {
	r := read(config)
	c := snapConfig{
		features: r.features("attributes"),
		window:   r.micros("windowSeconds", 2, 0, 60),
		outward:  r.choice("bias", "outward", "nearest") == "outward",
	}
	return c, r.err()
}

func (s snap) Validate(config map[string]any) error {
	_, err := s.parse(config)
	return err
}

// Optimize moves the marks of the claimed segments, in time order.
func (s snap) Optimize(in api.OptimizerInput) ([]api.OptimizedMarks, error) {
	c, err := s.parse(in.Plugin.Configuration)
	if err != nil {
		return nil, err
	}
	found := pick(in.Dependencies, c.features)
	end := int64(math.MaxInt64)
	if ended(in.Timeline) {
		end = in.Timeline.ClosedClock().End().Micros
	}
	claimed := slices.Clone(in.Segments)
	slices.SortFunc(claimed, func(a, b api.Segment) int { return int(a.In.Frame - b.In.Frame) })

	// taken is what the other segments of the track cover, as far as known:
	// first their own marks, then, for those done, the new ones.
	taken := map[string]stretch{}
	for _, seg := range append(slices.Clone(in.Neighbours), claimed...) {
		taken[seg.ID] = covered(seg, in.Track)
	}
	out := []api.OptimizedMarks{}
	for _, seg := range claimed {
		if seg.Out == nil {
			continue
		}
		own := stretch{seg.In.Micros, seg.Out.Micros}
		low, high := int64(0), end
		for id, other := range taken {
			if id == seg.ID {
				continue
			}
			if other.from < own.from {
				low = max(low, min(other.to, own.from))
			} else {
				high = min(high, max(other.from, own.to))
			}
		}
		m := api.OptimizedMarks{SegmentID: seg.ID}
		// The start is told apart from the end by its sign: outward is
		// towards zero.
		m.StartMicros, m.StartCode = c.move(own.from, -1, low, own.to-1, 0, edges(found, -1), found)
		m.EndMicros, m.EndCode = c.move(own.to, +1, m.StartMicros+1, high, end, edges(found, +1), found)
		taken[seg.ID] = stretch{m.StartMicros, m.EndMicros}
		out = append(out, m)
	}
	return out, nil
}

type stretch struct{ from, to int64 }

// covered is what a segment shows on a track: its own marks and, when it was
// optimized before, the wider of both.
func covered(seg api.Segment, track int32) stretch {
	s := stretch{seg.In.Micros, math.MaxInt64}
	if seg.Out != nil {
		s.to = seg.Out.Micros
	}
	for _, o := range seg.Optimized {
		if o.Track == track {
			s.from = min(s.from, o.In.Micros)
			s.to = max(s.to, o.Out.Micros)
		}
	}
	return s
}

// edges are the outer edges of detections, seen from a segment's start (-1) or
// end (+1).
func edges(found []detection, side int64) []int64 {
	out := make([]int64, 0, len(found))
	for _, d := range found {
		if side < 0 {
			out = append(out, d.start)
		} else {
			out = append(out, d.end)
		}
	}
	return out
}

// move finds a mark's new place between low and high. border is the end of the
// media on its side, where a mark is right as it is.
func (c snapConfig) move(mark, side, low, high, border int64, edges []int64, found []detection) (int64, string) {
	if mark == border {
		return mark, codeSucceeded
	}
	best, ok, blocked := int64(0), false, false
	for _, edge := range edges {
		if abs(edge-mark) > c.window {
			continue
		}
		if edge < low || edge > high {
			blocked = true
			continue
		}
		if !ok || c.better(edge-mark, best-mark, side) {
			best, ok = edge, true
		}
	}
	switch {
	case ok && (best-mark)*side >= 0:
		return best, codeSucceeded
	case c.outward && inside(mark, found):
		// The edge of the result lies beyond the window or a neighbour.
		limit := mark + side*c.window
		if (limit-border)*side > 0 {
			limit = border
		}
		if limit < low || limit > high {
			return mark, codeOverlap
		}
		return limit, codeTruncated
	case ok:
		return best, codeSucceeded
	case blocked:
		return mark, codeOverlap
	}
	return mark, codeFailed
}

// better compares two moves.
func (c snapConfig) better(a, b, side int64) bool {
	if c.outward {
		if outA, outB := a*side >= 0, b*side >= 0; outA != outB {
			return outA
		}
	}
	if abs(a) != abs(b) {
		return abs(a) < abs(b)
	}
	// Equally far: outward, so that nothing is lost.
	return a*side > b*side
}

// inside says whether a mark lies within a detection, not at its edge.
func inside(mark int64, found []detection) bool {
	return slices.ContainsFunc(found, func(d detection) bool { return d.start < mark && mark < d.end })
}

func abs(x int64) int64 { return max(x, -x) }
