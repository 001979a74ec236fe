// SPDX-License-Identifier: Apache-2.0

package facade

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// segment is a segment as this run sees it: what is published, and over it what the run has saved.
type segment struct {
	id         string
	span       invocation.Span
	chunk      int64
	attributes map[string]any
	label      string
	labelCode  string
	optimized  []optimized
}

// optimized are the marks of one track.
type optimized struct {
	track              int32
	moved              bool
	start, end         int64
	startCode, endCode string
}

// view is a published segment with what this run saved over it.
func (c *call) view(s api.Segment) segment {
	v := segment{id: s.ID, span: invocation.Span{StartMillis: invocation.MillisOfMicros(s.ReportedStartMicros)},
		chunk: s.OpenedChunk, attributes: maps.Clone(s.Attributes), label: s.Label, labelCode: s.LabelCode}
	if v.attributes == nil {
		v.attributes = map[string]any{}
	}
	if s.Out != nil && s.State == api.SegmentStateComplete {
		// A start that was moved by half a frame may not overtake the end.
		end := max(invocation.MillisOfMicros(s.Out.Micros), v.span.StartMillis+1)
		v.span.EndMillis = &end
	}
	if s.ClosedChunk != nil {
		v.chunk = *s.ClosedChunk
	}
	for _, o := range s.Optimized {
		v.optimized = append(v.optimized, optimized{track: o.Track, moved: tried(o.StartCode) || tried(o.EndCode),
			start: invocation.MillisOfMicros(o.In.Micros), end: invocation.MillisOfMicros(o.Out.Micros),
			startCode: o.StartCode, endCode: o.EndCode})
	}
	maps.Copy(v.attributes, c.run.Annotations()[s.ID])
	switch c.run.Plugin.Class {
	case api.PlanPluginClassLabeler:
		c.overLabel(&v)
	case api.PlanPluginClassOptimizer:
		c.overMarks(&v)
	}
	return v
}

// tried says whether a code tells of marks that an optimizer set.
func tried(code string) bool {
	return code != "" && code != invocation.NotAttempted && !strings.HasPrefix(code, "Failed")
}

// savedAt is what this run saved of a segment.
func (c *call) savedAt(startMillis int64) (invocation.Reported, bool) {
	for _, r := range c.run.Saved() {
		if r.StartMillis == startMillis {
			return r, true
		}
	}
	return invocation.Reported{}, false
}

func (c *call) overLabel(v *segment) {
	r, ok := c.savedAt(v.span.StartMillis)
	if !ok {
		return
	}
	v.labelCode, _ = r.Fields["LabelCode"].(string)
	v.label, _ = r.Fields["Label"].(string)
	for _, name := range c.run.Plugin.Outputs {
		if value, ok := r.Fields[name]; ok && name != "Label" {
			v.attributes[name] = value
		}
	}
}

func (c *call) overMarks(v *segment) {
	r, ok := c.savedAt(v.span.StartMillis)
	if !ok || v.span.EndMillis == nil {
		return
	}
	o := optimized{track: c.run.Track, moved: true, start: v.span.StartMillis, end: *v.span.EndMillis}
	o.startCode, _ = r.Fields["OptoStartCode"].(string)
	o.endCode, _ = r.Fields["OptoEndCode"].(string)
	if ms, err := invocation.Millis(r.Fields["OptoStart"]); err == nil {
		o.start = ms
	}
	if ms, err := invocation.Millis(r.Fields["OptoEnd"]); err == nil {
		o.end = ms
	}
	v.optimized = append(slices.DeleteFunc(v.optimized, func(old optimized) bool { return old.track == o.track }), o)
}

// overlay puts the segments that this run saved over published ones, as they will be once the task is completed.
func (c *call) overlay(list []segment) []segment {
	if c.run.Plugin.Class == api.PlanPluginClassSegmenter {
		for _, r := range c.run.Saved() {
			attributes := map[string]any{}
			for name, v := range r.Fields {
				if !invocation.Column(api.PlanPluginClassSegmenter, name) {
					attributes[name] = v
				}
			}
			v := segment{span: r.Span, chunk: c.run.Chunk().Number, attributes: attributes}
			i := slices.IndexFunc(list, func(s segment) bool { return s.span.StartMillis == r.StartMillis })
			switch {
			case i < 0:
				list = append(list, v)
			default:
				list[i].attributes = maps.Clone(list[i].attributes)
				maps.Copy(list[i].attributes, attributes)
				if list[i].span.Partial() { // the marks of one that was complete before this run stay
					list[i].span, list[i].chunk = v.span, v.chunk
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b segment) int { return cmp.Compare(a.span.StartMillis, b.span.StartMillis) })
	return list
}

// segments are all segments of the Event as this run sees them, by start.
func (c *call) segments() ([]segment, error) {
	list, err := c.Client.Segments(c.ctx, c.EventUID)
	if err != nil {
		return nil, err
	}
	out := make([]segment, 0, len(list))
	for _, s := range list {
		out = append(out, c.view(s))
	}
	return c.overlay(out), nil
}

// row is a segment as MRE's API shows it.
func (v segment) row(c *call) row {
	r := make(row, len(v.attributes)+36)
	maps.Copy(r, v.attributes)
	c.common(r, c.Plan.Segmenter, 0, v.chunk)
	r["Start"], r["End"] = seconds(v.span.StartMillis), seconds(v.end())
	for _, name := range []string{"OriginalClipStatus", "OriginalClipLocation",
		"OptimizedClipStatus", "OptimizedClipLocation"} {
		r[name] = map[string]any{}
	}
	if v.label != "" || r["Label"] == nil {
		r["Label"] = v.label
	}
	r["LabelCode"] = cmp.Or(v.labelCode, invocation.NotAttempted)
	start, end, startCode, endCode := v.marks()
	r["OptoStart"], r["OptoEnd"], r["OptoStartCode"], r["OptoEndCode"] = start, end, startCode, endCode
	if !v.span.Partial() && len(start) == 0 {
		r["NonOptoChunkNumber"] = v.chunk
	}
	return r
}

func (v segment) end() int64 {
	if v.span.Partial() {
		return v.span.StartMillis
	}
	return *v.span.EndMillis
}

// marks are the optimized marks by track, as MRE keeps them, and the codes of the first.
func (v segment) marks() (start, end map[string]float64, startCode, endCode string) {
	start, end = map[string]float64{}, map[string]float64{}
	startCode, endCode = invocation.NotAttempted, invocation.NotAttempted
	for i, o := range v.optimized {
		if i == 0 {
			startCode, endCode = cmp.Or(o.startCode, startCode), cmp.Or(o.endCode, endCode)
		}
		if o.moved {
			start[trackKey(o.track)], end[trackKey(o.track)] = seconds(o.start), seconds(o.end)
		}
	}
	return start, end, startCode, endCode
}

// trackKey is the key of a track in MRE's maps; what looks at video has the key 1 there.
func trackKey(track int32) string { return strconv.Itoa(int(max(track, 1))) }
