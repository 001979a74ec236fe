// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"fmt"
	"maps"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// segmenting turns what a Classifier reported into the updates that the data plane takes: by time, without an
// overlap, at most one open.
type segmenting struct {
	Result
	clock timeline.Timeline
	in    *api.SegmenterInput
	// open is the segment that is open at this point; -1 as its update when it has none yet.
	open *openSegment
	// end is where the last complete segment ends.
	end   int64
	known Known
	// past are the Event's segments, once they were asked for.
	past []api.Segment
}

type openSegment struct {
	id             string
	reportedMillis int64
	start          api.Mark
	update         int
}

// segments reads what a Classifier reported.
func (r *Run) segments(saved []Reported, known Known) (Result, error) {
	s := &segmenting{clock: r.Clock(), in: r.Lease.Input.Segmenter, known: known}
	s.Output.Segments = []api.SegmentUpdate{}
	s.end = s.frame(s.in.PreviousEndMicros)
	if o := s.in.Open; o != nil {
		s.open = &openSegment{id: o.ID, reportedMillis: MillisOfMicros(o.ReportedStartMicros), start: o.In, update: -1}
	}
	take := s.take
	if r.overlaps() {
		take = newOverlapping(s).take
	}
	for _, one := range saved {
		if err := take(one); err != nil {
			return Result{}, err
		}
	}
	return s.Result, nil
}

// overlaps says whether the Profile lets segments, and optimized marks, reach into others.
func (r *Run) overlaps() bool {
	o := r.Plan.SegmentOverlap
	return o != nil && *o == api.PlanSegmentOverlapAllow
}

func (s *segmenting) frame(us int64) int64 { return s.clock.Snap(us).Frame }

func (s *segmenting) take(one Reported) error {
	if s.open != nil && (one.StartMillis == s.open.reportedMillis || s.frame(one.StartMicros()) == s.open.start.Frame) {
		s.continueOpen(one)
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
	if s.open != nil && s.frame(one.StartMicros()) < s.open.start.Frame {
		s.before(one)
		return nil
	}
	s.begin(one)
	return nil
}

// complete finds the complete segment that starts where a result does.
func (s *segmenting) complete(one Reported) (api.Segment, bool, error) {
	if p := s.in.Previous; p != nil {
		if found, ok := ByStart([]api.Segment{*p}, one.StartMillis); ok {
			return found, true, nil
		}
	}
	if s.frame(one.StartMicros()) >= s.frame(s.in.PreviousEndMicros) {
		return api.Segment{}, false, nil
	}
	return s.inPast(one)
}

// inPast finds the complete segment that starts where a result does among all of the Event.
func (s *segmenting) inPast(one Reported) (api.Segment, bool, error) {
	if s.past == nil {
		all, err := s.known()
		if err != nil {
			return api.Segment{}, false, fmt.Errorf("look for the segment at %s s: %w", secondsText(one.StartMillis), err)
		}
		s.past = []api.Segment{}
		for _, p := range all {
			if p.State == api.SegmentStateComplete {
				s.past = append(s.past, p)
			}
		}
	}
	found, ok := ByStart(s.past, one.StartMillis)
	return found, ok, nil
}

// rewrite is a segment reported again after it was complete: its marks stay, its attributes are taken.
func (s *segmenting) rewrite(p api.Segment, one Reported) {
	if own := attributes(api.PlanPluginClassSegmenter, one); len(own) > 0 {
		addAttributes(&s.Output, p.ID, own)
	}
	if p.Out != nil && !one.Partial() && s.frame(*one.EndMillis*1000) != p.Out.Frame {
		s.note("the segment at %s s is complete and ends at %s s; the new end %s s is left out", secondsText(one.StartMillis),
			secondsText(MillisOfMicros(p.Out.Micros)), secondsText(*one.EndMillis))
	}
}

// continueOpen is the open segment reported again, mostly with its end.
func (s *segmenting) continueOpen(one Reported) {
	u := s.openUpdate()
	maps.Copy(u.Attributes, attributes(api.PlanPluginClassSegmenter, one))
	if one.Partial() {
		return
	}
	s.close(*one.EndMillis * 1000)
}

// openUpdate is the update of the open segment, made when there is none.
func (s *segmenting) openUpdate() *api.SegmentUpdate {
	if s.open.update < 0 {
		s.open.update = len(s.Output.Segments)
		s.Output.Segments = append(s.Output.Segments,
			api.SegmentUpdate{ID: &s.open.id, StartMicros: s.open.start.Micros, Attributes: map[string]any{}})
	}
	return &s.Output.Segments[s.open.update]
}

// close ends the open segment; it has one frame at least.
func (s *segmenting) close(endMicros int64) {
	if s.frame(endMicros) <= s.open.start.Frame {
		endMicros = s.clock.FrameStartMicros(s.open.start.Frame + 1)
	}
	s.openUpdate().EndMicros = &endMicros
	s.end = min(s.frame(endMicros), s.frame(s.open.start.Micros+s.in.MaxSegmentMicros))
	s.open = nil
}

// before is a segment that starts before the open one does. The data plane keeps segments in order, so it counts
// only as far as it says where the open one ends.
func (s *segmenting) before(one Reported) {
	if one.Partial() || s.frame(*one.EndMillis*1000) <= s.open.start.Frame {
		s.note("the segment at %s s starts before the open segment at %s s and is left out",
			secondsText(one.StartMillis), secondsText(s.open.reportedMillis))
		return
	}
	s.note("the segment at %s s reaches over the start of the open segment at %s s, which it closes",
		secondsText(one.StartMillis), secondsText(s.open.reportedMillis))
	s.continueOpen(one)
}

// begin is a new segment. It starts at the end of the one before it at the earliest, and in this chunk at the
// latest; a segment that is still open ends where it starts.
func (s *segmenting) begin(one Reported) {
	start, last := s.frame(one.StartMicros()), s.in.Chunk.FirstFrame+s.in.Chunk.Frames-1
	// A start that was rounded onto the chunk's end is still in it.
	if start == last+1 {
		start--
	}
	if start > last || s.open != nil && start <= s.open.start.Frame {
		s.tooLate(one)
		return
	}
	if s.open != nil {
		s.note("the segment at %s s was still open; it ends where the one at %s s starts",
			secondsText(s.open.reportedMillis), secondsText(one.StartMillis))
		s.close(s.clock.FrameStartMicros(start))
	}
	micros := one.StartMicros()
	if s.frame(micros) != start {
		micros = s.clock.FrameStartMicros(start)
	}
	if start < s.end {
		if !one.Partial() && s.frame(*one.EndMillis*1000) <= s.end {
			s.note("the segment from %s to %s s lies in the one before it and is left out",
				secondsText(one.StartMillis), secondsText(*one.EndMillis))
			return
		}
		if s.end > last {
			s.tooLate(one)
			return
		}
		micros = s.clock.FrameStartMicros(s.end)
		s.note("the segment at %s s starts in the one before it; it is moved to that one's end at %s s",
			secondsText(one.StartMillis), secondsText(MillisOfMicros(micros)))
	}
	s.open = &openSegment{reportedMillis: MillisOfMicros(micros),
		start: mark(s.clock.Snap(micros)), update: len(s.Output.Segments)}
	s.Output.Segments = append(s.Output.Segments,
		api.SegmentUpdate{StartMicros: micros, Attributes: attributes(api.PlanPluginClassSegmenter, one)})
	if !one.Partial() {
		s.close(*one.EndMillis * 1000)
	}
}

func (s *segmenting) tooLate(one Reported) {
	s.note("the segment at %s s has no room in the chunk that ends at %s s and is left out; a segment is reported with "+
		"the chunk in which it starts",
		secondsText(one.StartMillis), secondsText(MillisOfMicros(s.in.Chunk.EndMicros)))
}

func mark(m timeline.Mark) api.Mark {
	return api.Mark{Frame: m.Frame, Ticks: m.Ticks, Micros: m.Micros}
}
