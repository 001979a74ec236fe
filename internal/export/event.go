// SPDX-License-Identifier: Apache-2.0

// Package export writes what the data plane knows about an Event in the forms
// that other programs read: MRE's event export (JSON) and edit decision lists
// (CMX 3600).
//
// The package is pure: the same Event gives the same bytes, whatever the order
// of its rows. Times are frames and microseconds; they become decimal seconds
// and time codes only in the text.
package export

import (
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Event is everything the exports speak of, as the data plane stores it.
type Event struct {
	// Plan names the Event, its source and its plugins.
	Plan api.Plan
	// Timeline gives the frame rate and the audio tracks. It is the zero value
	// for an Event whose source was never opened.
	Timeline api.Timeline
	// Segments of any state, in any order.
	Segments []api.Segment
	// Clips of any state and mark version, in any order.
	Clips []api.Clip
	// Results are the published results of the featurers, in any order.
	Results []api.StoredResult
	// Feedback is what reviewers think of the segments' clips, in any order.
	Feedback []api.Feedback
}

// segmentsByStart returns the segments by mark-in, then id.
func (e Event) segmentsByStart() []api.Segment {
	s := slices.Clone(e.Segments)
	slices.SortFunc(s, func(a, b api.Segment) int {
		if a.In.Frame != b.In.Frame {
			return compare(a.In.Frame, b.In.Frame)
		}
		return compare(a.ID, b.ID)
	})
	return s
}

// tracks are the numbers of the audio tracks, lowest first. An Event without
// audio is exported as one track, 1, as MRE does.
func (e Event) tracks() []int32 {
	if len(e.Timeline.AudioTracks) == 0 {
		return []int32{1}
	}
	t := e.audioTracks()
	slices.Sort(t)
	return t
}

func (e Event) audioTracks() []int32 {
	t := make([]int32, 0, len(e.Timeline.AudioTracks))
	for _, a := range e.Timeline.AudioTracks {
		t = append(t, a.Track)
	}
	return t
}

// optimizedFor returns the optimizer's marks for an audio track. Marks of an
// optimizer that looked at video (track 0) hold for every track.
func optimizedFor(s api.Segment, track int32) (in, out api.Mark, found bool) {
	for _, o := range s.Optimized {
		switch o.Track {
		case track:
			return o.In, o.Out, true
		case 0:
			in, out, found = o.In, o.Out, true
		}
	}
	return in, out, found
}
