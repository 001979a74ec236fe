// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"maps"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// overlapping reads what a Classifier reported where the Profile lets segments overlap: each result is the segment that
// starts where it does, whatever the others are, and any number of them may be open.
type overlapping struct {
	*segmenting
	open []*openSegment
}

func newOverlapping(s *segmenting) *overlapping {
	o := &overlapping{segmenting: s}
	open := s.in.AlsoOpen
	if s.in.Open != nil {
		open = append(slices.Clip(open), *s.in.Open)
	}
	for _, one := range open {
		o.open = append(o.open, &openSegment{id: one.ID,
			reportedMillis: MillisOfMicros(one.ReportedStartMicros), start: one.In, update: -1})
	}
	return o
}

func (s *overlapping) take(one Reported) error {
	if open := s.openAt(one); open != nil {
		s.resume(open, one)
		return nil
	}
	previous, again, err := s.complete(one)
	if err != nil {
		return err
	}
	if again {
		s.rewrite(previous, one)
		return nil
	}
	s.begin(one)
	return nil
}

// openAt is the open segment that starts where a result does.
func (s *overlapping) openAt(one Reported) *openSegment {
	for _, starts := range []func(*openSegment) bool{
		func(o *openSegment) bool { return o.reportedMillis == one.StartMillis },
		func(o *openSegment) bool { return o.start.Frame == s.frame(one.StartMicros()) },
	} {
		for _, o := range s.open {
			if starts(o) {
				return o
			}
		}
	}
	return nil
}

// complete finds the complete segment that starts where a result does. None starts later than the previous one.
func (s *overlapping) complete(one Reported) (api.Segment, bool, error) {
	p := s.in.Previous
	if p == nil || s.frame(one.StartMicros()) > p.In.Frame {
		return api.Segment{}, false, nil
	}
	if found, ok := ByStart([]api.Segment{*p}, one.StartMillis); ok {
		return found, true, nil
	}
	return s.inPast(one)
}

// resume is an open segment reported again, mostly with its end.
func (s *overlapping) resume(o *openSegment, one Reported) {
	if o.update < 0 {
		o.update = len(s.Output.Segments)
		s.Output.Segments = append(s.Output.Segments,
			api.SegmentUpdate{ID: &o.id, StartMicros: o.start.Micros, Attributes: map[string]any{}})
	}
	u := &s.Output.Segments[o.update]
	maps.Copy(u.Attributes, attributes(api.PlanPluginClassSegmenter, one))
	if !one.Partial() {
		u.EndMicros = s.endAfter(o.start.Frame, *one.EndMillis*1000)
	}
}

// begin is a new segment. It starts in this chunk at the latest.
func (s *overlapping) begin(one Reported) {
	micros, end := one.StartMicros(), s.in.Chunk.FirstFrame+s.in.Chunk.Frames
	switch start := s.frame(micros); {
	case start > end:
		s.tooLate(one)
		return
	case start == end: // it was rounded onto the chunk's end, and is still in it
		micros = s.clock.FrameStartMicros(start - 1)
	}
	u := api.SegmentUpdate{StartMicros: micros, Attributes: attributes(api.PlanPluginClassSegmenter, one)}
	if !one.Partial() {
		u.EndMicros = s.endAfter(s.frame(micros), *one.EndMillis*1000)
	}
	s.Output.Segments = append(s.Output.Segments, u)
}

// endAfter is an end that leaves a frame at least.
func (s *overlapping) endAfter(start, micros int64) *int64 {
	if s.frame(micros) <= start {
		micros = s.clock.FrameStartMicros(start + 1)
	}
	return &micros
}
