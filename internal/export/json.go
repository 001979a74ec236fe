// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func compare[T cmp.Ordered](a, b T) int { return cmp.Compare(a, b) }

// seconds is a time in microseconds that is written as decimal seconds.
type seconds int64

// MarshalJSON writes a number with three to six decimals. MRE has three; the
// others are there when a frame does not start on a millisecond.
func (s seconds) MarshalJSON() ([]byte, error) {
	sign, us := "", int64(s)
	if us < 0 {
		sign, us = "-", -us
	}
	text := fmt.Sprintf("%s%d.%06d", sign, us/1_000_000, us%1_000_000)
	for range 3 {
		if text[len(text)-1] != '0' {
			break
		}
		text = text[:len(text)-1]
	}
	return []byte(text), nil
}

// The structs below are MRE's event export. The order of their fields is the
// order in the file.

type document struct {
	Event    eventBlock
	Segments []segmentBlock
}

type eventBlock struct {
	Name                   string
	ID                     string `json:"Id"`
	Program                string
	Start                  string
	AudioTracksFound       []int32
	AllOutputAttributes    []string
	EmbeddedTimecodeSource string
	Profile                Profile
	SourceVideoMetadata    struct{}
}

type segmentBlock struct {
	Start                      seconds
	End                        seconds
	HourElapsed                string
	OptoStart                  map[string]seconds
	OptoEnd                    map[string]seconds
	OptimizedClipLocation      map[string]string
	OriginalClipLocation       map[string]string
	OriginalThumbnailLocation  string
	OptimizedThumbnailLocation string
	FeaturesFound              []string
	Feedback                   []map[string]feedbackBlock
}

// feedbackBlock is what one reviewer thinks of a segment's clips on a track. MRE
// has the first two members, as it keeps one opinion for each track.
type feedbackBlock struct {
	OptimizedFeedback       string `json:",omitempty"`
	OriginalFeedback        string `json:",omitempty"`
	OptimizedFeedbackDetail string `json:",omitempty"`
	OriginalFeedbackDetail  string `json:",omitempty"`
	Reviewer                string
}

// EventJSON writes MRE's event export.
//
// It keeps MRE's schema and repairs what MRE's code gets wrong: FeaturesFound
// holds the features that featurers found inside the segment, not only what
// stands on the segment itself, and Feedback does not mix up tracks. It has an
// entry for each track and reviewer. Segments that are still open are included
// with End = Start, as in MRE.
func EventJSON(e Event) ([]byte, error) {
	attributes := outputAttributes(e.Plan)
	doc := document{
		Event: eventBlock{
			Name:                   e.Plan.Event.Name,
			ID:                     e.Plan.Event.UID,
			Program:                e.Plan.Event.Program,
			Start:                  e.Plan.Event.Start.UTC().Format(time.RFC3339),
			AudioTracksFound:       slices.Sorted(slices.Values(e.audioTracks())),
			AllOutputAttributes:    attributes,
			EmbeddedTimecodeSource: "NOT_EMBEDDED",
			Profile:                ShortProfile(e.Plan),
		},
		Segments: []segmentBlock{},
	}
	if doc.Event.AudioTracksFound == nil {
		doc.Event.AudioTracksFound = []int32{}
	}
	clips := currentClips(e.Clips)
	for _, s := range e.segmentsByStart() {
		doc.Segments = append(doc.Segments, e.segmentBlock(s, clips[s.ID], attributes))
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("writing the export of event %s: %w", e.Plan.Event.Name, err)
	}
	return out.Bytes(), nil
}

func (e Event) segmentBlock(s api.Segment, clips []api.Clip, attributes []string) segmentBlock {
	b := segmentBlock{
		Start:                 seconds(s.In.Micros),
		End:                   seconds(s.In.Micros),
		HourElapsed:           strconv.FormatInt(max(s.In.Micros, 0)/time.Hour.Microseconds()+1, 10),
		OptoStart:             map[string]seconds{},
		OptoEnd:               map[string]seconds{},
		OptimizedClipLocation: map[string]string{},
		OriginalClipLocation:  map[string]string{},
		FeaturesFound:         e.featuresFound(s, attributes),
		Feedback:              e.feedbackOn(s),
	}
	if s.Out != nil {
		b.End = seconds(s.Out.Micros)
	}
	for _, t := range e.tracks() {
		if in, out, found := optimizedFor(s, t); found {
			b.OptoStart[trackKey(t)] = seconds(in.Micros)
			b.OptoEnd[trackKey(t)] = seconds(out.Micros)
		}
	}
	for _, c := range clips {
		locations, thumbnail := b.OriginalClipLocation, &b.OriginalThumbnailLocation
		if c.Variant == api.ClipVariantOptimized {
			locations, thumbnail = b.OptimizedClipLocation, &b.OptimizedThumbnailLocation
		}
		if c.Location != nil {
			locations[trackKey(c.Track)] = *c.Location
		}
		// One thumbnail stands for all tracks; clips come lowest track first.
		if c.Thumbnail != nil && *thumbnail == "" {
			*thumbnail = *c.Thumbnail
		}
	}
	return b
}

// feedbackOn are the opinions on a segment's clips, by track and reviewer.
func (e Event) feedbackOn(s api.Segment) []map[string]feedbackBlock {
	said := slices.DeleteFunc(slices.Clone(e.Feedback), func(f api.Feedback) bool { return f.SegmentID != s.ID })
	slices.SortFunc(said, func(a, b api.Feedback) int {
		return cmp.Or(compare(a.Track, b.Track), compare(a.Reviewer, b.Reviewer))
	})
	out := []map[string]feedbackBlock{}
	for _, f := range said {
		b := feedbackBlock{Reviewer: f.Reviewer}
		if o := f.Original; o != nil {
			b.OriginalFeedback, b.OriginalFeedbackDetail = string(o.Feedback), o.Detail
		}
		if o := f.Optimized; o != nil {
			b.OptimizedFeedback, b.OptimizedFeedbackDetail = string(o.Feedback), o.Detail
		}
		out = append(out, map[string]feedbackBlock{trackKey(f.Track): b})
	}
	return out
}

// trackKey is the key of a track in MRE's maps. Media without audio has the
// key "1" there.
func trackKey(track int32) string { return strconv.Itoa(int(max(track, 1))) }

// currentClips returns, by segment, the rendered clips of the newest marks,
// lowest track first.
func currentClips(all []api.Clip) map[string][]api.Clip {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b api.Clip) int {
		return cmp.Or(compare(a.SegmentID, b.SegmentID), compare(a.Variant, b.Variant),
			compare(a.Track, b.Track), compare(b.MarkVersion, a.MarkVersion))
	})
	clips := map[string][]api.Clip{}
	for i, c := range all {
		newest := i == 0 || all[i-1].SegmentID != c.SegmentID || all[i-1].Variant != c.Variant || all[i-1].Track != c.Track
		if newest && c.State == api.ClipStateRendered {
			clips[c.SegmentID] = append(clips[c.SegmentID], c)
		}
	}
	return clips
}

// featuresFound are the output attributes that the segment itself carries
// (segmenter, labeler), or that are true on a result that lies at least partly
// inside the segment, in the order of AllOutputAttributes. Texts and numbers
// of featurers, such as a level, are details and no features.
func (e Event) featuresFound(s api.Segment, attributes []string) []string {
	from, to := s.In.Micros, s.In.Micros
	if s.Out != nil {
		to = s.Out.Micros
	}
	found := map[string]bool{}
	for name, v := range s.Attributes {
		found[name] = truthy(v)
	}
	for _, r := range e.Results {
		if overlaps(from, to, r.Result.Start.Micros, r.Result.End.Micros) {
			for name, v := range r.Result.Attributes {
				found[name] = found[name] || v == true
			}
		}
	}
	names := []string{}
	for _, a := range attributes {
		if found[a] {
			names = append(names, a)
		}
	}
	return names
}

// overlaps says whether [start,end) touches [from,to). A point in time counts
// as the instant itself.
func overlaps(from, to, start, end int64) bool {
	if end <= start {
		return from <= start && start < to
	}
	return start < to && from < end
}

// truthy is MRE's test for an attribute that is there: not false, zero, empty
// or null. Lists and objects are details of a result and no features.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0
	case int64:
		return v != 0
	case int:
		return v != 0
	case json.Number:
		n, err := v.Float64()
		return err != nil || n != 0
	}
	return false
}
