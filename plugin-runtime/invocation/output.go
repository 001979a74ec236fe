// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// features makes results of what a Featurer reported. A result without an end, or one that ends before it starts,
// is a point in time.
func (r *Run) features(saved []Reported) Result {
	out := Result{Output: api.TaskOutput{Results: []api.NewResult{}}}
	for _, one := range saved {
		end := one.StartMicros()
		if !one.Partial() {
			end = *one.EndMillis * 1000
		} else if one.EndMillis != nil && *one.EndMillis < one.StartMillis {
			out.note("the result at %s s ends before it starts; it is kept as a point in time", secondsText(one.StartMillis))
		}
		if end < 0 {
			out.note("the result at %s s ends before the media begins; it is kept until there", secondsText(one.StartMillis))
			end = 0
		}
		out.Output.Results = append(out.Output.Results, api.NewResult{
			StartMicros: one.StartMicros(), EndMicros: end, Attributes: attributes(api.PlanPluginClassFeaturer, one)})
	}
	return out
}

// marks makes optimized marks of what an Optimizer reported. As in MRE, only results with a code count, and a mark
// that it left out stays where it is.
func (r *Run) marks(saved []Reported) Result {
	var out Result
	for _, one := range saved {
		startCode, hasStart := code(one, "OptoStartCode")
		endCode, hasEnd := code(one, "OptoEndCode")
		s, found := ByStart(r.Segments(), one.StartMillis)
		switch {
		case !hasStart && !hasEnd:
			out.note("the result at %s s has neither OptoStartCode nor OptoEndCode, so nothing is optimized by it",
				secondsText(one.StartMillis))
			continue
		case !found || s.Out == nil:
			out.note("no segment that this run may optimize starts at %s s", secondsText(one.StartMillis))
			continue
		}
		marks := api.OptimizedMarks{SegmentID: s.ID, StartMicros: s.In.Micros,
			EndMicros: s.Out.Micros, StartCode: startCode, EndCode: endCode}
		if ms, err := Millis(one.Fields["OptoStart"]); err == nil {
			marks.StartMicros = ms * 1000
		}
		if ms, err := Millis(one.Fields["OptoEnd"]); err == nil {
			marks.EndMicros = ms * 1000
		}
		clock := r.Clock()
		in, end := clock.Snap(marks.StartMicros).Frame, clock.Snap(marks.EndMicros).Frame
		if elsewhere := in >= s.Out.Frame || end <= s.In.Frame; end <= in || elsewhere && !r.overlaps() {
			out.note("the optimized marks of the segment at %s s, from %s to %s s, have nothing in common with it "+
				"and are left out",
				secondsText(one.StartMillis), secondsText(MillisOfMicros(marks.StartMicros)),
				secondsText(MillisOfMicros(marks.EndMicros)))
			continue
		}
		out.Output.Optimized = append(out.Output.Optimized, marks)
		kept := map[string]any{}
		for _, name := range []string{"OptoStartDescription", "OptoStartDetectorResults",
			"OptoEndDescription", "OptoEndDetectorResults"} {
			if v, ok := one.Fields[name]; ok {
				kept[name] = v
			}
		}
		if len(kept) > 0 {
			addAttributes(&out.Output, s.ID, kept)
		}
	}
	return out
}

// code reads an Optimizer's code; false when it says that nothing was tried.
func code(one Reported, name string) (string, bool) {
	text, _ := one.Fields[name].(string)
	if text == "" {
		text = NotAttempted
	}
	return text, text != NotAttempted
}

// labels makes labels of what a Labeler reported. As in MRE, of its other attributes only those count that the
// plugin names as outputs.
func (r *Run) labels(saved []Reported) Result {
	var out Result
	for _, one := range saved {
		s, found := ByStart(r.Segments(), one.StartMillis)
		label := api.SegmentLabel{SegmentID: s.ID, Attributes: map[string]any{}}
		label.Code, _ = one.Fields["LabelCode"].(string)
		switch {
		case !found:
			out.note("no segment that this run may label starts at %s s", secondsText(one.StartMillis))
			continue
		case label.Code == NotAttempted || label.Code == "":
			out.note("the label at %s s has the code %q, so the segment stays without one",
				secondsText(one.StartMillis), label.Code)
			continue
		}
		switch v := one.Fields["Label"].(type) {
		case nil:
		case string:
			label.Label = v
		default:
			label.Label = fmt.Sprint(v)
		}
		for _, name := range r.Plugin.Outputs {
			if v, ok := one.Fields[name]; ok && name != "Label" && !rowColumns[name] {
				label.Attributes[name] = v
			}
		}
		out.Output.Labels = append(out.Output.Labels, label)
	}
	return out
}

// ByStart finds a segment by the start that its segmenter reported: MRE plugins name segments so. Some name it by
// the frame to which the start was moved.
func ByStart(list []api.Segment, startMillis int64) (api.Segment, bool) {
	for _, start := range []func(api.Segment) int64{
		func(s api.Segment) int64 { return s.ReportedStartMicros },
		func(s api.Segment) int64 { return s.In.Micros },
	} {
		for _, s := range list {
			if MillisOfMicros(start(s)) == startMillis {
				return s, true
			}
		}
	}
	return api.Segment{}, false
}

func (o *Result) note(format string, args ...any) {
	o.Notes = append(o.Notes, fmt.Sprintf(format, args...))
}

func secondsText(ms int64) string {
	return strconv.FormatFloat(SecondsOfMillis(ms), 'f', -1, 64)
}

// addAttributes adds to what is put on a segment.
func addAttributes(out *api.TaskOutput, id string, attributes map[string]any) {
	for _, a := range out.SegmentAttributes {
		if a.SegmentID == id {
			maps.Copy(a.Attributes, attributes)
			return
		}
	}
	out.SegmentAttributes = append(out.SegmentAttributes,
		api.SegmentAttributes{SegmentID: id, Attributes: maps.Clone(attributes)})
}

func sortAttributes(out *api.TaskOutput) {
	slices.SortFunc(out.SegmentAttributes, func(a, b api.SegmentAttributes) int {
		return cmp.Compare(a.SegmentID, b.SegmentID)
	})
}
