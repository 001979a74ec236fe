// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"maps"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// segments are those of a segmenter so far, under the data plane's rules.
type segments struct {
	clock timeline.Timeline
	list  []api.Segment
}

func (s *segments) open() *api.Segment {
	if n := len(s.list); n > 0 && s.list[n-1].State == api.SegmentStateOpen {
		one := s.list[n-1]
		return &one
	}
	return nil
}

// previous is the last complete one.
func (s *segments) previous() *api.Segment {
	for _, one := range slices.Backward(s.list) {
		if one.State == api.SegmentStateComplete {
			return &one
		}
	}
	return nil
}

func (s *segments) end() int64 {
	if p := s.previous(); p != nil {
		return p.Out.Micros
	}
	return 0
}

func (s *segments) made(chunk int64, ordinal int, start, end int64) api.Segment {
	out := markOf(s.clock, end)
	return api.Segment{ID: fmt.Sprintf("%06d-%d", chunk, ordinal), State: api.SegmentStateComplete,
		In: markOf(s.clock, start), Out: &out, ReportedStartMicros: start, OpenedChunk: chunk, ClosedChunk: &chunk,
		Attributes: map[string]any{}, Optimized: []api.SegmentOptimized{}, MarkVersion: 1}
}

// apply takes what a segmenter reported, or says which rule it breaks.
func (s *segments) apply(chunk api.ChunkExtent, updates []api.SegmentUpdate) error {
	for i, u := range updates {
		in, open := markOf(s.clock, u.StartMicros), s.open()
		switch {
		case u.ID != nil && *u.ID != "":
			if open == nil || open.ID != *u.ID {
				return fmt.Errorf("segment %d names %q, which is not open", i+1, *u.ID)
			}
			if open.In.Frame != in.Frame {
				return fmt.Errorf("segment %d moves the start of the open segment from %s to %s",
					i+1, seconds(open.In.Micros), seconds(in.Micros))
			}
		case open != nil:
			return fmt.Errorf("segment %d opens at %s while one is open since %s",
				i+1, seconds(in.Micros), seconds(open.In.Micros))
		case in.Micros < s.end():
			return fmt.Errorf("segment %d starts at %s, before the end of the one before it at %s",
				i+1, seconds(in.Micros), seconds(s.end()))
		case in.Micros >= chunk.EndMicros:
			return fmt.Errorf("segment %d starts at %s, after the chunk's end at %s",
				i+1, seconds(in.Micros), seconds(chunk.EndMicros))
		default:
			s.list = append(s.list, api.Segment{ID: fmt.Sprintf("%06d-%d", chunk.Number, len(s.list)),
				State: api.SegmentStateOpen, In: in, ReportedStartMicros: u.StartMicros, OpenedChunk: chunk.Number,
				Attributes: map[string]any{}, Optimized: []api.SegmentOptimized{}, MarkVersion: 1})
		}
		last := &s.list[len(s.list)-1]
		last.Attributes = maps.Clone(last.Attributes)
		maps.Copy(last.Attributes, u.Attributes)
		if u.EndMicros == nil {
			continue
		}
		out := markOf(s.clock, *u.EndMicros)
		if out.Frame <= last.In.Frame {
			return fmt.Errorf("segment %d ends at %s, which leaves no frame after its start at %s",
				i+1, seconds(out.Micros), seconds(last.In.Micros))
		}
		last.Out, last.State, last.ClosedChunk = &out, api.SegmentStateComplete, &chunk.Number
	}
	return nil
}

// markOf is a time as the data plane keeps it.
func markOf(clock timeline.Timeline, micros int64) api.Mark {
	m := clock.Snap(micros)
	return api.Mark{Frame: m.Frame, Ticks: m.Ticks, Micros: m.Micros}
}

func seconds(micros int64) string { return fmt.Sprintf("%.3f s", float64(micros)/1e6) }
