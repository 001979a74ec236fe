// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// The states of the segment before a chunk, in MRE's words: Start is one that is still open.
const (
	stateOpen     = "Start"
	stateComplete = "End"
)

// segmentState tells a Classifier where the last segment stands, and what was found since. All of it comes with the
// lease, so that a second attempt sees the same.
func (c *call) segmentState() (any, error) {
	if err := c.mustBe(api.PlanPluginClassSegmenter, "get_segment_state"); err != nil {
		return nil, err
	}
	var list []segment
	for _, s := range c.run.Segments() {
		list = append(list, c.view(s))
	}
	start := invocation.MillisOfMicros(c.run.Chunk().StartMicros)
	if v, ok := c.body["ChunkStart"]; ok {
		ms, err := invocation.Millis(v)
		if err != nil {
			return nil, badRequest("ChunkStart " + err.Error())
		}
		start = ms
	}
	var state any
	prior := row{}
	since := start - int64(c.Plan.MaxSegmentSeconds)*1000
	for _, s := range c.overlay(list) {
		// In the last run the chunk is the same again: what an earlier run began there is before it.
		earlier := s.id != "" && c.run.Lease.Input.Segmenter.Final
		if s.span.StartMillis >= start && !earlier {
			break
		}
		state, prior, since = stateComplete, s.row(c), s.end()
		if s.span.Partial() {
			state = stateOpen
		}
	}
	var results byPlugin
	for _, name := range c.names("DependentPlugins", c.dependants()) {
		list, err := c.dependency(c.Plan.NameHere(name), 0)
		if err != nil {
			return nil, err
		}
		results.add(name, c.items(list, func(f found) bool { return f.span.StartMillis > since && !c.paged() }))
	}
	return map[string]any{"State": state, "PriorSegment": prior, "DependentPluginResults": results}, nil
}

// dependency are a plugin's results up to the run's chunk: from the lease where they came with it.
func (c *call) dependency(name string, track int32) ([]found, error) {
	list, leased := c.leased(name, track)
	if leased {
		return list, nil
	}
	f := api.ListResultsParams{Plugin: &name, LastChunk: new(c.run.Chunk().Number)}
	if p := c.planned(name); track > 0 && p != nil && p.MediaType == api.PlanPluginMediaTypeAudio {
		f.Track = &track
	}
	return c.live(f)
}

// dependants are the plugins that this one depends on, by the names that it knows.
func (c *call) dependants() []string { return c.Plan.NamesInMRE(c.run.Plugin.DependsOn) }

// names reads a list of names, or of objects with a Name, from the body.
func (c *call) names(member string, otherwise []string) []string {
	list, ok := c.body[member].([]any)
	if !ok {
		return otherwise
	}
	var out []string
	for _, v := range list {
		if o, ok := v.(map[string]any); ok {
			v = o["Name"]
		}
		if s, ok := v.(string); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// track is the body's AudioTrack, the run's own, or MRE's default.
func (c *call) track() (int32, error) {
	v, ok := c.body["AudioTrack"]
	if !ok || v == nil {
		return max(c.run.Track, 1), nil
	}
	n, ok := v.(float64)
	if !ok || n < 1 || n > 1000 || n != float64(int32(n)) {
		return 0, badRequest(fmt.Sprintf("AudioTrack is %v; tracks are counted from 1", v))
	}
	return int32(n), nil
}

func (c *call) mustBe(class api.PlanPluginClass, what string) error {
	if c.run.Plugin.Class != class {
		return badRequest(fmt.Sprintf("%s is for a %s; plugin %s is a %s", what, invocation.MREClass(class),
			c.run.Plugin.Name, invocation.MREClass(c.run.Plugin.Class)))
	}
	return nil
}

// pageKey is the member by which the façade knows a page token of its own again, wherever it comes back.
const pageKey = "MrePageAfter"

// token is where a page ends.
func token(startMillis int64) map[string]any { return map[string]any{pageKey: startMillis} }

// after finds the page token in the body: MRE has several places for it. Without one it is false.
func (c *call) after() (int64, bool) { return pageAfter(c.body) }

func pageAfter(v any) (int64, bool) {
	switch v := v.(type) {
	case map[string]any:
		if n, ok := v[pageKey].(float64); ok {
			return int64(n), true
		}
		for _, one := range v {
			if n, ok := pageAfter(one); ok {
				return n, true
			}
		}
	case []any:
		for _, one := range v {
			if n, ok := pageAfter(one); ok {
				return n, true
			}
		}
	}
	return 0, false
}

// paged says that the caller wants more of what it was given whole. The segment calls give dependants' rows in one
// page, so there is none.
func (c *call) paged() bool {
	for name, v := range c.body {
		if strings.HasPrefix(name, "LastEvaluatedKey") && filled(v) {
			return true
		}
	}
	return false
}

// filled says whether there is a value anywhere in a token: an empty one asks for the first page.
func filled(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case map[string]any:
		for _, one := range v {
			if filled(one) {
				return true
			}
		}
		return false
	case []any:
		return slices.ContainsFunc(v, filled)
	}
	return true
}

// next is the first segment behind the page token that is still to be done, and whether there are more.
func (c *call) next(done func(segment) bool) (s segment, more, ok bool) {
	last, paged := c.after()
	var list []segment
	for _, one := range c.run.Segments() {
		v := c.view(one)
		if !done(v) && (!paged || v.span.StartMillis > last) {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return segment{}, false, false
	}
	return list[0], len(list) > 1, true
}

// segmentItem is a segment as the labelling and optimization calls give it, with the token of the next one.
func segmentItem(c *call, s segment, more bool) map[string]any {
	item := map[string]any{"Item": s.row(c)}
	if more {
		item["LastEvaluatedKey"] = token(s.span.StartMillis)
	}
	return item
}

// nothing is the answer when no segment is left: MRE's helper takes a Segment, where there is one, for a row.
var nothing = struct{}{}

// labelingState gives a Labeler one segment after the other, with what was found in each.
func (c *call) labelingState() (any, error) {
	if err := c.mustBe(api.PlanPluginClassLabeler, "get_segment_state_for_labeling"); err != nil {
		return nil, err
	}
	var output byPlugin
	s, more, ok := c.next(func(s segment) bool { return s.labelCode != "" && s.labelCode != invocation.NotAttempted })
	if !ok {
		return nothing, nil
	}
	for _, name := range c.names("DependentPlugins", c.dependants()) {
		list, err := c.dependency(c.Plan.NameHere(name), 0)
		if err != nil {
			return nil, err
		}
		output.add(name, c.items(list, func(f found) bool {
			return f.span.StartMillis >= s.span.StartMillis && f.span.StartMillis <= s.end()
		}))
	}
	return map[string]any{"Segment": segmentItem(c, s, more), "DependentPluginsOutput": output}, nil
}

// optimizationState gives an Optimizer one segment after the other, with what its detectors found near each mark.
func (c *call) optimizationState() (any, error) {
	if err := c.mustBe(api.PlanPluginClassOptimizer, "get_segment_state_for_optimization"); err != nil {
		return nil, err
	}
	window := int64(0)
	if v, ok := c.body["SearchWindowSeconds"]; ok && v != nil {
		ms, err := invocation.Millis(v)
		if err != nil || ms < 0 {
			return nil, badRequest("SearchWindowSeconds must be a number of seconds from 0")
		}
		window = ms
	}
	track, err := c.track()
	if err != nil {
		return nil, err
	}
	near := []map[string]any{}
	s, more, ok := c.next(func(s segment) bool {
		return slices.ContainsFunc(s.optimized, func(o optimized) bool {
			return o.track == c.run.Track && (o.startCode != invocation.NotAttempted || o.endCode != invocation.NotAttempted)
		})
	})
	if !ok {
		return nothing, nil
	}
	for _, name := range c.names("Detectors", c.dependants()) {
		start, end := s.span.StartMillis, s.end()
		list, err := c.detections(c.Plan.NameHere(name), track, start-window, end+window)
		if err != nil {
			return nil, err
		}
		near = append(near,
			c.detected(name, "Start", list, around(list, start), func(f found) bool {
				return f.end() >= start-window && f.end() <= start
			}),
			c.detected(name, "End", list, around(list, end), func(f found) bool {
				return f.span.StartMillis >= end && f.span.StartMillis <= end+window
			}))
	}
	return map[string]any{"Segment": segmentItem(c, s, more), "DependentDetectorsOutput": near}, nil
}

// detections are a detector's results that came with the lease, and what lies in a plugin's own search window,
// which the data plane does not know. What later chunks brought than those that the lease shows is left out.
func (c *call) detections(name string, track int32, fromMillis, toMillis int64) ([]found, error) {
	list, _ := c.leased(name, track)
	f := api.ListResultsParams{Plugin: &name, FromMicros: new(fromMillis*1000 - lookback),
		ToMicros: new(toMillis * 1000), LastChunk: new(c.horizon())}
	if p := c.planned(name); p != nil && p.MediaType == api.PlanPluginMediaTypeAudio {
		f.Track = &track
	}
	more, err := c.live(f)
	if err != nil {
		return nil, err
	}
	for _, m := range more {
		same := func(f found) bool {
			return f.track == m.track && f.span.StartMillis == m.span.StartMillis && f.end() == m.end() &&
				reflect.DeepEqual(f.attributes, m.attributes)
		}
		if !slices.ContainsFunc(list, same) {
			list = append(list, m)
		}
	}
	sortFound(list)
	return list, nil
}

// horizon is the last chunk whose results the lease shows.
func (c *call) horizon() int64 {
	o := c.run.Lease.Input.Optimizer
	if o == nil || o.Timeline.Frames == nil || *o.Timeline.Frames == 0 {
		return c.run.Chunk().Number
	}
	last := c.run.Clock().FrameStartMicros(*o.Timeline.Frames - 1)
	return max(timeline.ChunkOf(last, int64(c.Plan.ChunkSeconds)), c.run.Chunk().Number)
}

// around are the results that overlap a mark.
func around(list []found, mark int64) []found {
	var out []found
	for _, f := range list {
		if f.span.StartMillis <= mark && f.end() >= mark {
			out = append(out, f)
		}
	}
	return out
}

// detected is what a detector found at a mark: what overlaps it and, where nothing does, what is in the window.
func (c *call) detected(name, side string, list, overlap []found, inWindow func(found) bool) map[string]any {
	out := map[string]any{"DependentDetector": name}
	rows := c.items(overlap, all).Items
	if len(rows) == 0 {
		rows = c.items(list, inWindow).Items
	}
	if len(rows) > 0 {
		out[side] = rows
	}
	return out
}

// dependantsOutput is what dependants found in this very chunk.
func (c *call) dependantsOutput() (any, error) {
	track, err := c.track()
	if err != nil {
		return nil, err
	}
	var out byPlugin
	chunk := c.run.Chunk()
	for _, name := range c.names("DependentPlugins", c.dependants()) {
		here := c.Plan.NameHere(name)
		list, leased := c.leased(here, track)
		if !leased || c.run.Plugin.Class != api.PlanPluginClassFeaturer {
			f := api.ListResultsParams{Plugin: &here, LastChunk: &chunk.Number, FromMicros: new(chunk.StartMicros - lookback)}
			if p := c.planned(here); p != nil && p.MediaType == api.PlanPluginMediaTypeAudio {
				f.Track = &track
			}
			if list, err = c.live(f); err != nil {
				return nil, err
			}
			out.add(name, c.items(list, func(f found) bool { return f.chunk == chunk.Number && !c.paged() }))
			continue
		}
		// A result of this chunk may start before it.
		for i := range list {
			list[i].chunk = chunk.Number
		}
		out.add(name, c.items(list, func(found) bool { return !c.paged() }))
	}
	return out, nil
}

// lookback is how far before its chunk a result is looked for: detectors report ranges up to a minute.
const lookback = 60 * 1_000_000
