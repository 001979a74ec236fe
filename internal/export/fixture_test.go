// SPDX-License-Identifier: Apache-2.0

package export

import (
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

var (
	r2398 = timeline.Rational{Num: 24000, Den: 1001}
	r2997 = timeline.Rational{Num: 30000, Den: 1001}
	r5994 = timeline.Rational{Num: 60000, Den: 1001}
)

// at is the mark of a frame.
func at(rate timeline.Rational, frame int64) api.Mark {
	m := timeline.Timeline{Rate: rate, Frames: timeline.Open}.MarkOf(frame)
	return api.Mark{Frame: m.Frame, Ticks: m.Ticks, Micros: m.Micros}
}

func segment(rate timeline.Rational, id string, in, out int64) api.Segment {
	return api.Segment{ID: id, State: "Complete", In: at(rate, in), Out: new(at(rate, out)), MarkVersion: 1}
}

func result(rate timeline.Rational, plugin string, track int32, start, end int64,
	attributes map[string]any) api.StoredResult {
	return api.StoredResult{Plugin: plugin, Track: track,
		Result: api.Result{Start: at(rate, start), End: at(rate, end), Attributes: attributes}}
}

func clip(rate timeline.Rational, s api.Segment, v api.ClipVariant,
	track, version int32, state api.ClipState) api.Clip {
	base := "s3://media/sports/uid-1/clips/" + s.ID + "/" + string(v) + "-t" +
		string('0'+track) + "-m" + string('0'+version) + "-a1"
	c := api.Clip{SegmentID: s.ID, Variant: v, Track: track, MarkVersion: version, State: state, In: s.In, Out: *s.Out}
	if state == api.ClipStateRendered {
		c.Location, c.Thumbnail = new(base+".mp4"), new(base+".jpg")
	}
	return c
}

// match is an Event of 25 frames a second with two audio tracks, an optimizer
// that looks at video, and one segment each that is complete, complete without
// clips, and open.
func match() Event {
	rate := timeline.Rational{Num: 25, Den: 1}
	first, second := segment(rate, "000001-0", 100, 352), segment(rate, "000003-0", 1001, 1200)
	first.Attributes = map[string]any{"KeyMoment": true, "Triggers": []any{"detect-audio-peaks.AudioPeak"}}
	first.Optimized = []api.SegmentOptimized{{Track: 0, In: at(rate, 90), Out: at(rate, 361),
		StartCode: "Succeeded", EndCode: "Succeeded"}}
	open := segment(rate, "000004-0", 1500, 1500)
	open.State, open.Out = "Open", nil
	return Event{
		Plan: api.Plan{
			Hash: "h", ChunkSeconds: 6, MaxSegmentSeconds: 120, UnitMicros: 6_000_000, DrainTimeoutSeconds: 1800,
			Event: api.PlanEvent{
				UID: "uid-1", Namespace: "sports", Name: "match", Program: "Open <2026>", Profile: "highlights",
				Start: time.Date(2026, 6, 1, 16, 0, 0, 0, time.FixedZone("CEST", 7200)),
			},
			Source:    api.PlanSource{FileURL: "https://example.org/media/match%20one.mp4?signature=secret"},
			Segmenter: "segment-key-moment", Optimizer: new("optimize-snap"), Labeler: new("label-template"),
			Plugins: []api.PlanPlugin{
				{Name: "detect-audio-peaks", Class: "Featurer", MediaType: "Audio", Configuration: map[string]any{"riseDb": 9},
					Outputs: []string{"AudioPeak", "Label", "riseDb"}},
				{Name: "detect-scene-change", Class: "Featurer", MediaType: "Video", Model: new("https://model.example.org"),
					Outputs: []string{"SceneChange"}},
				{Name: "detect-crowd", Class: "Featurer", MediaType: "Video",
					DependsOn: []string{"detect-scene-change"}, Outputs: []string{"Crowd"}},
				{Name: "detect-logo", Class: "Featurer", MediaType: "Video", Outputs: []string{"Logo"}},
				{Name: "segment-key-moment", Class: "Segmenter", MediaType: "Video", DependsOn: []string{"detect-audio-peaks",
					"detect-crowd", "detect-scene-change"}, Outputs: []string{"KeyMoment", "Triggers"}},
				{Name: "optimize-snap", Class: "Optimizer", MediaType: "Video", DependsOn: []string{"detect-scene-change"}},
				{Name: "label-template", Class: "Labeler", MediaType: "Video", Outputs: []string{"Label"}},
			},
		},
		Timeline: api.Timeline{
			Rate: api.Rational{Num: 25, Den: 1}, Width: 1920, Height: 1080,
			AudioTracks: []api.AudioTrack{{Track: 2, StreamIndex: 2}, {Track: 1, StreamIndex: 1}},
		},
		Segments: []api.Segment{open, second, first},
		Clips: []api.Clip{
			clip(rate, first, api.ClipVariantOptimized, 2, 1, api.ClipStateRendered),
			clip(rate, first, api.ClipVariantOptimized, 1, 1, api.ClipStateRendered),
			clip(rate, first, api.ClipVariantOriginal, 1, 1, api.ClipStateRendered),
			clip(rate, first, api.ClipVariantOriginal, 1, 2, api.ClipStateRendered),
			clip(rate, first, api.ClipVariantOriginal, 2, 2, api.ClipStateFailed),
			clip(rate, second, api.ClipVariantOriginal, 1, 1, api.ClipStatePending),
		},
		Feedback: []api.Feedback{
			{SegmentID: "000001-0", Track: 2, Reviewer: "bob",
				Optimized: &api.Opinion{Feedback: api.OpinionFeedbackDislike, Detail: "cut too late"}},
			{SegmentID: "000001-0", Track: 1, Reviewer: "bob", Original: &api.Opinion{Feedback: api.OpinionFeedbackDislike}},
			{SegmentID: "000001-0", Track: 1, Reviewer: "ann", Original: &api.Opinion{Feedback: api.OpinionFeedbackLike},
				Optimized: &api.Opinion{Feedback: api.OpinionFeedbackLike}},
		},
		Results: []api.StoredResult{
			// Ends where the first segment begins: outside.
			result(rate, "detect-logo", 0, 50, 100, map[string]any{"Logo": true}),
			// A point on the first frame: inside.
			result(rate, "detect-scene-change", 0, 100, 100, map[string]any{"SceneChange": true}),
			// Reaches into the first segment from before.
			result(rate, "detect-audio-peaks", 1, 80, 110, map[string]any{"AudioPeak": true, "Label": "loud", "riseDb": 12.5}),
			result(rate, "detect-crowd", 0, 200, 210, map[string]any{"Crowd": false}),
			// A point on the exclusive mark-out: outside.
			result(rate, "detect-logo", 0, 1200, 1200, map[string]any{"Logo": true}),
			result(rate, "detect-crowd", 0, 1100, 1110, map[string]any{"Crowd": true, "Unlisted": true}),
		},
	}
}
