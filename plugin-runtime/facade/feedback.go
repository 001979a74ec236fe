// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// feedbackRow is an opinion as MRE keeps it.
func (c *call) feedbackRow(f api.Feedback, s segment) row {
	e, segmenter := c.Plan.Event, c.Plan.NameInMRE(c.Plan.Segmenter)
	event := e.Program + "#" + e.Name
	start := strconv.FormatFloat(seconds(s.span.StartMillis), 'f', -1, 64)
	r := row{
		"PK":                          strings.Join([]string{event, segmenter, start, trackKey(f.Track)}, "#"),
		"ProgramEventTrack":           event + "#" + trackKey(f.Track),
		"ProgramEventClassifierStart": strings.Join([]string{event, segmenter, start}, "#"),
		"Program":                     e.Program, "Event": e.Name, "Classifier": segmenter,
		"Start": seconds(s.span.StartMillis), "AudioTrack": max(f.Track, 1), "Reviewer": f.Reviewer,
		"OriginalFeedback": map[string]any{}, "OptimizedFeedback": map[string]any{},
	}
	for name, o := range map[string]*api.Opinion{"OriginalFeedback": f.Original, "OptimizedFeedback": f.Optimized} {
		if o != nil {
			r[name] = map[string]any{"Feedback": o.Feedback, "FeedbackDetail": o.Detail}
		}
	}
	return r
}

// opinions are the Event's feedback on a track, with its segments; a start of -1 asks for all segments.
func (c *call) opinions(startMillis int64) ([]row, error) {
	track, err := c.pathTrack()
	if err != nil {
		return nil, err
	}
	list, err := c.Client.Feedback(c.ctx, c.EventUID)
	if err != nil {
		return nil, err
	}
	segments, err := c.segments()
	if err != nil {
		return nil, err
	}
	out := []row{}
	for _, s := range segments {
		for _, f := range list {
			if f.SegmentID == s.id && trackKey(f.Track) == track && (startMillis < 0 || s.span.StartMillis == startMillis) {
				out = append(out, c.feedbackRow(f, s))
			}
		}
	}
	return out, nil
}

// feedbackOf is what is thought of one segment's clips: one row, as in MRE. Of several reviewers it is the last by
// name; the list for a track has them all.
func (c *call) feedbackOf() (any, error) {
	start, err := c.pathMillis("start")
	if err != nil {
		return nil, err
	}
	list, err := c.opinions(max(start, 0))
	if err != nil || len(list) == 0 {
		return struct{}{}, err
	}
	return list[len(list)-1], nil
}

func (c *call) feedbackOfTrack() (any, error) { return c.opinions(-1) }

// giveFeedback stores what a plugin thinks of a segment's clips, at once: it is an opinion and no result of the run.
func (c *call) giveFeedback() (any, error) {
	if err := c.require("Program", "Event", "Classifier", "AudioTrack", "StartTime"); err != nil {
		return nil, err
	}
	start, err := c.bodyMillis("StartTime")
	if err != nil {
		return nil, err
	}
	track, err := c.track()
	if err != nil {
		return nil, err
	}
	s, err := c.segmentAt(start)
	if err != nil {
		return nil, err
	}
	reviewer, _ := c.body["Reviewer"].(string)
	f := api.Feedback{SegmentID: s.id, Track: track, Reviewer: cmp.Or(reviewer, "plugin "+c.run.Plugin.Name)}
	if f.Original, err = c.opinion("OriginalFeedback"); err != nil {
		return nil, err
	}
	if f.Optimized, err = c.opinion("OptimizedFeedback"); err != nil {
		return nil, err
	}
	if f.Original == nil && f.Optimized == nil {
		return nil, badRequest("OriginalFeedback or OptimizedFeedback is required")
	}
	return struct{}{}, c.Client.PutFeedback(c.ctx, c.EventUID, f)
}

// opinion reads one of the body's feedbacks; case does not matter in MRE.
func (c *call) opinion(member string) (*api.Opinion, error) {
	in, ok := c.body[member].(map[string]any)
	if !ok || len(in) == 0 {
		return nil, nil
	}
	word, _ := in["Feedback"].(string)
	detail, _ := in["FeedbackDetail"].(string)
	for _, known := range []api.OpinionFeedback{api.OpinionFeedbackLike,
		api.OpinionFeedbackDislike, api.OpinionFeedbackMinus} {
		if strings.EqualFold(word, string(known)) {
			return &api.Opinion{Feedback: known, Detail: detail}, nil
		}
	}
	return nil, badRequest(fmt.Sprintf("%s.Feedback is %q; it is Like, Dislike or -", member, word))
}
