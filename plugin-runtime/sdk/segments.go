// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Segments is where a segmenter opens and closes segments. They come by time, never overlap, and one at most is
// open; what would break that is refused with an error.
type Segments struct {
	chunk   Chunk
	end     Micros
	open    *segmentUpdate
	updates []*segmentUpdate
}

// errNoneOpen is for those who did not ask IsOpen.
var errNoneOpen = errors.New("there is no open segment: IsOpen says so")

func segmentsOf(in *SegmenterInput) *Segments {
	s := &Segments{chunk: in.Chunk, end: in.PreviousEnd}
	for _, open := range in.Segments {
		if open.Open() {
			s.open = &segmentUpdate{ID: open.ID, Start: open.Start, Attributes: copyOf(open.Attributes)}
		}
	}
	return s
}

// IsOpen says whether a segment is open.
func (s *Segments) IsOpen() bool { return s.open != nil }

// OpenStart is where the open segment starts; 0 when there is none.
func (s *Segments) OpenStart() Micros {
	if s.open == nil {
		return 0
	}
	return s.open.Start
}

// Earliest is the end of the segment before: the next one cannot start earlier.
func (s *Segments) Earliest() Micros { return s.end }

// Open opens a segment. It may be closed in this chunk or in any later one.
func (s *Segments) Open(start Micros, attributes map[string]any) error {
	switch {
	case s.open != nil:
		return fmt.Errorf("a segment is open since %d µs; close it before another one is opened at %d µs",
			s.open.Start, start)
	case start < s.end:
		return fmt.Errorf("the segment would start at %d µs and overlap the one before, which ends at %d "+
			"µs: use max(start, Earliest())", start, s.end)
	case start >= s.chunk.End:
		return fmt.Errorf("the segment would start at %d µs, after the chunk's end at %d µs: open it in "+
			"the chunk it starts in", start, s.chunk.End)
	}
	s.open = &segmentUpdate{Start: start, Attributes: copyOf(attributes)}
	s.updates = append(s.updates, s.open)
	return nil
}

// Describe adds attributes to the open segment.
func (s *Segments) Describe(attributes map[string]any) error {
	if s.open == nil {
		return errNoneOpen
	}
	if !slices.Contains(s.updates, s.open) {
		s.updates = append(s.updates, s.open)
	}
	maps.Copy(s.open.Attributes, attributes)
	return nil
}

// Close closes the open segment. Its end is exclusive, and may lie beyond the chunk.
func (s *Segments) Close(end Micros, attributes map[string]any) error {
	if err := s.Describe(attributes); err != nil {
		return err
	}
	if end <= s.open.Start {
		return fmt.Errorf("the segment would end at %d µs, but it starts at %d µs: nothing would be left", end, s.open.Start)
	}
	s.open.End, s.open, s.end = &end, nil, end
	return nil
}

// Add opens a segment and closes it.
func (s *Segments) Add(start, end Micros, attributes map[string]any) error {
	if err := s.Open(start, attributes); err != nil {
		return err
	}
	return s.Close(end, nil)
}

func (s *Segments) wire() []segmentUpdate {
	var out []segmentUpdate
	for _, u := range s.updates {
		out = append(out, *u)
	}
	return out
}

func copyOf(attributes map[string]any) map[string]any {
	out := maps.Clone(attributes)
	if out == nil {
		out = map[string]any{}
	}
	return out
}
