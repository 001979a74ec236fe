// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"fmt"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// saveResults holds what the plugin found back until its task is completed.
func (c *call) saveResults() (any, error) {
	if err := c.require("Program", "Event", "PluginName", "PluginClass", "Results"); err != nil {
		return nil, err
	}
	p := c.run.Plugin
	if name := c.body["PluginName"]; name != p.NameInMRE() && name != p.Name {
		return nil, forbidden(fmt.Sprintf("PluginName is %q; a plugin writes results of its own only, and this "+
			"is the port of %q", fmt.Sprint(name), p.NameInMRE()))
	}
	if class := c.body["PluginClass"]; class != invocation.MREClass(p.Class) {
		return nil, badRequest(fmt.Sprintf("PluginClass is %q; plugin %s is a %s",
			fmt.Sprint(class), p.Name, invocation.MREClass(p.Class)))
	}
	// A thread of an earlier run may come late.
	chunk := c.run.Chunk().Number
	if n, ok := c.body["ChunkNumber"]; ok && n != float64(chunk) {
		return nil, conflict(fmt.Sprintf("ChunkNumber is %v; the task that runs now is on chunk %d", n, chunk))
	}
	if id, ok := c.body["ExecutionId"]; ok && id != "" && id != invocation.ExecutionID(c.Plan, chunk) {
		return nil, conflict("ExecutionId is not the one of the task that runs now")
	}
	if track, ok := c.body["AudioTrack"]; ok && track != nil && c.run.Track > 0 && track != float64(c.run.Track) {
		return nil, badRequest(fmt.Sprintf("AudioTrack is %v; this run listens to track %d", track, c.run.Track))
	}
	list, ok := c.body["Results"].([]any)
	if !ok || len(list) == 0 {
		return nil, badRequest("ValidationError: data.Results must contain at least 1 items")
	}
	results, err := invocation.ParseReported(p.Class, list)
	if err != nil {
		return nil, badRequest("ValidationError: " + err.Error())
	}
	if err := c.reserve(); err != nil {
		return nil, err
	}
	if err := c.run.Save(results); err != nil {
		return nil, badRequest("ValidationError: " + err.Error())
	}
	return struct{}{}, nil
}

// annotate sets an attribute of a segment, as text.
func (c *call) annotate() (any, error) {
	start, err := c.pathMillis("start")
	if err != nil {
		return nil, err
	}
	name := c.path["name"]
	if invocation.Column(api.PlanPluginClassSegmenter, name) || name == "Label" {
		return nil,
			badRequest(fmt.Sprintf("%q is a column of segments themselves; choose another name for the attribute", name))
	}
	if err := c.reserve(); err != nil {
		return nil, err
	}
	if c.run.Plugin.Class == api.PlanPluginClassSegmenter && c.run.AnnotateSaved(start, name, c.path["value"]) {
		return struct{}{}, nil
	}
	s, err := c.segmentAt(start)
	if err != nil {
		return nil, err
	}
	c.run.Annotate(s.id, map[string]any{name: c.path["value"]})
	return struct{}{}, nil
}

// segmentAt is the published segment that starts at a time.
func (c *call) segmentAt(startMillis int64) (segment, error) {
	list := c.run.Segments()
	s, ok := invocation.ByStart(list, startMillis)
	if !ok {
		var err error
		if list, err = c.Client.Segments(c.ctx, c.EventUID); err != nil {
			return segment{}, err
		}
		if s, ok = invocation.ByStart(list, startMillis); !ok {
			return segment{}, notFound(fmt.Sprintf("no segment starts at %s s",
				strconv.FormatFloat(seconds(startMillis), 'f', -1, 64)))
		}
	}
	return c.view(s), nil
}

// inRange are a plugin's results, or segments, that start in a range. The plugin is named as MRE's plugins name it.
func (c *call) inRange(plugin string, start, end int64, track *int32) ([]row, error) {
	out := []row{}
	plugin = c.Plan.NameHere(plugin)
	if plugin == c.Plan.Segmenter {
		list, err := c.segments()
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if s.span.StartMillis >= start && s.span.StartMillis <= end {
				out = append(out, s.row(c))
			}
		}
		return out, nil
	}
	f := api.ListResultsParams{Plugin: &plugin, FromMicros: new(start*1000 - half), ToMicros: new(end*1000 + half)}
	if p := c.planned(plugin); p != nil && p.MediaType == api.PlanPluginMediaTypeAudio {
		f.Track = track
	}
	list, err := c.live(f)
	if err != nil {
		return nil, err
	}
	return c.items(list, func(f found) bool { return f.span.StartMillis >= start && f.span.StartMillis <= end }).Items, nil
}

// half a millisecond: what rounding to MRE's time moves at most.
const half = 500

// featuresIn are a plugin's results in a range, with the attributes asked for.
func (c *call) featuresIn() (any, error) {
	if err := c.require("Program", "Event", "PluginName", "Start", "End", "OutputAttributes"); err != nil {
		return nil, err
	}
	start, end, err := c.bodyRange()
	if err != nil {
		return nil, err
	}
	var track *int32
	if c.body["AudioTrack"] != nil {
		n, err := c.track()
		if err != nil {
			return nil, err
		}
		track = &n
	}
	name, _ := c.body["PluginName"].(string)
	rows, err := c.inRange(name, start, end, track)
	if err != nil {
		return nil, err
	}
	return only(rows, append([]string{"Start", "End"}, c.names("OutputAttributes", nil)...)), nil
}

// only leaves some members of rows.
func only(rows []row, names []string) []row {
	out := make([]row, 0, len(rows))
	for _, r := range rows {
		short := row{}
		for _, n := range names {
			if v, ok := r[n]; ok {
				short[n] = v
			}
		}
		out = append(out, short)
	}
	return out
}

// featureIn is the first result in a range whose attribute has a value; null when there is none. MRE compares with
// booleans only.
func (c *call) featureIn() (any, error) {
	start, err := c.pathMillis("start")
	if err != nil {
		return nil, err
	}
	end, err := c.pathMillis("end")
	if err != nil {
		return nil, err
	}
	rows, err := c.inRange(c.path["plugin"], start, end, nil)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if is(r[c.path["name"]], c.path["value"]) {
			return r, nil
		}
	}
	return nil, nil
}

// is compares a value with a word of a path.
func is(v any, word string) bool {
	switch v := v.(type) {
	case bool:
		want, err := strconv.ParseBool(word)
		return err == nil && v == want
	case float64:
		want, err := strconv.ParseFloat(word, 64)
		return err == nil && v == want
	case string:
		return v == word
	}
	return false
}

// featureValues are the different values of an attribute.
func (c *call) featureValues() (any, error) {
	rows, err := c.inRange(c.path["plugin"], 0, forever, nil)
	if err != nil {
		return nil, err
	}
	values, seen := []any{}, map[string]bool{}
	for _, r := range rows {
		v, ok := r[c.path["name"]]
		if key := fmt.Sprintf("%T %v", v, v); ok && !seen[key] {
			seen[key] = true
			values = append(values, v)
		}
	}
	return map[string]any{c.path["plugin"] + " | " + c.path["name"]: values}, nil
}

// forever is later than any Event, in milliseconds.
const forever = 1e12

// attributesIn are attributes of all plugins' results in a range, by plugin.
func (c *call) attributesIn() (any, error) {
	start, err := c.pathMillis("start")
	if err != nil {
		return nil, err
	}
	end, err := c.pathMillis("end")
	if err != nil {
		return nil, err
	}
	names := c.names("pluginAttributes", nil)
	out := map[string][]row{}
	for _, p := range c.Plan.Plugins {
		if p.Class != api.PlanPluginClassFeaturer && p.Class != api.PlanPluginClassSegmenter {
			continue
		}
		rows, err := c.inRange(p.Name, start, end, nil)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if short := only([]row{r}, names)[0]; len(short) > 0 {
				short["Start"] = r["Start"]
				out[p.NameInMRE()] = append(out[p.NameInMRE()], short)
			}
		}
	}
	return out, nil
}
