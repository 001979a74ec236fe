// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// segmentsForClips are the complete segments; those without optimized marks have empty ones.
func (c *call) segmentsForClips() (any, error) {
	if err := c.require("Program", "Event", "Classifier"); err != nil {
		return nil, err
	}
	list, err := c.segments()
	if err != nil {
		return nil, err
	}
	rows := []row{}
	for _, s := range list {
		if !s.span.Partial() {
			rows = append(rows, s.row(c))
		}
	}
	return items{Items: only(rows, []string{"PK", "Start", "End", "OptoStart", "OptoEnd"})}, nil
}

// clipsOf are the rendered clips of each segment's newest marks.
func (c *call) clipsOf() (map[string][]api.Clip, error) {
	list, err := c.Client.Clips(c.ctx, c.EventUID)
	if err != nil {
		return nil, err
	}
	out := map[string][]api.Clip{}
	for _, clip := range list {
		if clip.State != api.ClipStateRendered || clip.Location == nil {
			continue
		}
		same := func(old api.Clip) bool { return old.Variant == clip.Variant && old.Track == clip.Track }
		i := slices.IndexFunc(out[clip.SegmentID], same)
		switch {
		case i < 0:
			out[clip.SegmentID] = append(out[clip.SegmentID], clip)
		case out[clip.SegmentID][i].MarkVersion < clip.MarkVersion:
			out[clip.SegmentID][i] = clip
		}
	}
	return out, nil
}

// clipStatus is MRE's word for a clip that is there.
const clipStatus = "Success"

// withClips adds where a segment's clips are.
func withClips(r row, clips []api.Clip) row {
	for _, clip := range clips {
		prefix := "Original"
		if clip.Variant == api.ClipVariantOptimized {
			prefix = "Optimized"
		}
		r[prefix+"ClipLocation"].(map[string]any)[trackKey(clip.Track)] = *clip.Location
		r[prefix+"ClipStatus"].(map[string]any)[trackKey(clip.Track)] = clipStatus
		if clip.Thumbnail != nil && r[prefix+"ThumbnailLocation"] == nil {
			r[prefix+"ThumbnailLocation"] = *clip.Thumbnail
		}
	}
	return r
}

// rows are all segments with their clips.
func (c *call) segmentRows() ([]segment, []row, error) {
	list, err := c.segments()
	if err != nil {
		return nil, nil, err
	}
	clips, err := c.clipsOf()
	if err != nil {
		return nil, nil, err
	}
	rows := make([]row, 0, len(list))
	for _, s := range list {
		rows = append(rows, withClips(s.row(c), clips[s.id]))
	}
	return list, rows, nil
}

// segmentsForReplay are all segments, with the columns that MRE's replays read.
func (c *call) segmentsForReplay() (any, error) {
	list, rows, err := c.segmentRows()
	if err != nil {
		return nil, err
	}
	for i, r := range rows {
		if r["HourElapsed"] == nil {
			r["HourElapsed"] = strconv.FormatInt(list[i].span.StartMillis/3_600_000+1, 10)
		}
	}
	return only(rows, []string{"PK", "Start", "End", "OptoStart", "OptoEnd", "OptoStartCode", "OptoEndCode", "Label",
		"HourElapsed", "OriginalClipStatus", "OriginalClipLocation", "OriginalThumbnailLocation",
		"OptimizedClipStatus", "OptimizedClipLocation", "OptimizedThumbnailLocation"}), nil
}

// noLabel is what MRE's review list shows where there is no label.
const noLabel = "<no label plugin configured>"

// reviewSegments is the list that reviewers see.
func (c *call) reviewSegments() (any, error) {
	track, err := c.pathTrack()
	if err != nil {
		return nil, err
	}
	list, rows, err := c.segmentRows()
	if err != nil {
		return nil, err
	}
	out := []row{}
	for i, r := range rows {
		s := list[i]
		label, _ := r["Label"].(string)
		if label == "" {
			label = noLabel
		}
		start, end, startCode, endCode := s.marks()
		durations := []map[string]float64{}
		for _, key := range slices.Sorted(maps.Keys(start)) {
			durations = append(durations, map[string]float64{key: round3(end[key] - start[key])})
		}
		item := row{
			"StartTime": r["Start"], "Label": label, "FeatureCount": "TBD",
			"OrigLength": round3(seconds(s.end() - s.span.StartMillis)), "OptoLength": 0,
			"OptimizedDurationPerTrack": durations, "OptoStartCode": startCode, "OptoEndCode": endCode,
			"OriginalClipLocation":       r["OriginalClipLocation"].(map[string]any)[track],
			"OptimizedClipLocation":      r["OptimizedClipLocation"].(map[string]any)[track],
			"OriginalThumbnailLocation":  r["OriginalThumbnailLocation"],
			"OptimizedThumbnailLocation": r["OptimizedThumbnailLocation"],
		}
		if in, ok := start[track]; ok {
			item["OptoLength"] = round3(end[track] - in)
		}
		for name, v := range item {
			if v == nil {
				item[name] = ""
			}
		}
		out = append(out, item)
	}
	return out, nil
}

func round3(s float64) float64 { return seconds(int64(s*1000 + 0.5)) }

// reviewSegmentsNewestFirst is the same list the other way round, in one page.
func (c *call) reviewSegmentsNewestFirst() (any, error) {
	list, err := c.reviewSegments()
	if err != nil {
		return nil, err
	}
	items := list.([]row)
	slices.Reverse(items)
	return map[string]any{"Items": items, "LastEvaluatedKey": map[string]any{}}, nil
}

// pathTrack is a track in a path, as a key of MRE's maps.
func (c *call) pathTrack() (string, error) {
	n, err := strconv.ParseUint(c.path["track"], 10, 16)
	if err != nil || n == 0 {
		return "", badRequest(fmt.Sprintf("track %q is not a number from 1", c.path["track"]))
	}
	return strconv.FormatUint(n, 10), nil
}

// segmentsForEDL are the marks of one track.
func (c *call) segmentsForEDL() (any, error) {
	track, err := c.pathTrack()
	if err != nil {
		return nil, err
	}
	list, err := c.segments()
	if err != nil {
		return nil, err
	}
	out := []row{}
	for _, s := range list {
		start, end, _, _ := s.marks()
		r := row{"Start": seconds(s.span.StartMillis), "End": seconds(s.end()),
			"OptoStart": map[string]float64{}, "OptoEnd": map[string]float64{}}
		if in, ok := start[track]; ok {
			r["OptoStart"], r["OptoEnd"] = map[string]float64{track: in}, map[string]float64{track: end[track]}
		}
		out = append(out, r)
	}
	return out, nil
}

// exportPage is how many segments MRE exports at once.
const exportPage = 200

// segmentsForExport pages through the segments with the features that stand on them.
func (c *call) segmentsForExport() (any, error) {
	if err := c.require("Name", "Program", "Classifier", "OutputAttributes"); err != nil {
		return nil, err
	}
	if name := c.body["Name"]; name != c.Plan.Event.Name {
		return nil, c.foreign("Name", name, c.Plan.Event.Name)
	}
	limit := exportPage
	if n, ok := c.body["Limit"].(float64); ok && n >= 1 && n <= exportPage {
		limit = int(n)
	}
	list, rows, err := c.segmentRows()
	if err != nil {
		return nil, err
	}
	feedback, err := c.Client.Feedback(c.ctx, c.EventUID)
	if err != nil {
		return nil, err
	}
	from := 0
	if c.body["LastStartValue"] != nil {
		last, err := c.bodyMillis("LastStartValue")
		if err != nil {
			return nil, err
		}
		for from < len(list) && list[from].span.StartMillis <= last {
			from++
		}
	}
	names := c.names("OutputAttributes", nil)
	segments := []row{}
	var lastStart any
	for i := from; i < len(rows) && len(segments) < limit; i++ {
		r := rows[i]
		features := []string{}
		for _, n := range names {
			if truthy(r[n]) {
				features = append(features, n)
			}
		}
		opinions := []row{}
		for _, f := range feedback {
			if f.SegmentID == list[i].id {
				opinions = append(opinions, c.feedbackRow(f, list[i]))
			}
		}
		r["FeaturesFound"], r["Feedback"] = features, opinions
		segments = append(segments, r)
		if i+1 < len(rows) {
			lastStart = r["Start"]
		} else {
			lastStart = nil
		}
	}
	return map[string]any{"Segments": segments, "LastStartValue": lastStart}, nil
}

// truthy is Python's test for an attribute that is there.
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
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}
