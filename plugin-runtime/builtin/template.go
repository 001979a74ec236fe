// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// labelTemplate names a segment with a Go text/template. The template sees
// labelData; loops and nested templates are refused, so that every label ends.
type labelTemplate struct{}

func (labelTemplate) Class() api.PlanPluginClass                 { return api.PlanPluginClassLabeler }
func (labelTemplate) MediaTypes() []api.PlanPluginMediaType      { return onlyVideo }
func (labelTemplate) LookbackChunks(map[string]any, int32) int32 { return 0 }
func (labelTemplate) Outputs() []string                          { return []string{"Label"} }

const (
	defaultTemplate = "Key moment at {{.Start}}"
	// maxTemplate and maxLabel bound what a label costs.
	maxTemplate = 4096
	maxLabel    = 1024
)

// labelData is what a template sees of a segment.
type labelData struct {
	// Start, End and Duration are written h:mm:ss.mmm.
	Start, End, Duration string
	// StartSeconds, EndSeconds and DurationSeconds are for comparisons.
	StartSeconds, EndSeconds, DurationSeconds float64
	// CloseReason is Detected, MaxSegmentLength or SourceEnded.
	CloseReason string
	// Attributes are the segmenter's.
	Attributes map[string]any
	results    []api.PluginResults
}

// Count is how many results in the segment carry a feature, "Attribute" or
// "plugin.Attribute".
func (d labelData) Count(name string) (int, error) {
	values, err := d.values(name)
	return len(values), err
}

// First is the attribute's value in the earliest result that carries it, or
// an empty text.
func (d labelData) First(name string) (any, error) {
	values, err := d.values(name)
	if err != nil || len(values) == 0 {
		return "", err
	}
	return values[0], nil
}

// Max is the largest number that the attribute has in the segment, or 0.
func (d labelData) Max(name string) (float64, error) {
	values, err := d.values(name)
	most, found := 0.0, false
	for _, v := range values {
		if f, err := toNumber(v); err == nil && (!found || f > most) {
			most, found = f, true
		}
	}
	return most, err
}

// values are those of a feature's results, by time.
func (d labelData) values(name string) ([]any, error) {
	f, ok := parseFeature(name)
	if !ok {
		return nil, fmt.Errorf("%q is not of the form Attribute or plugin.Attribute", name)
	}
	var out []any
	var at []int64
	for _, dep := range d.results {
		for _, res := range dep.Results {
			if !f.in(dep.Plugin, res) {
				continue
			}
			i := len(at)
			for i > 0 && at[i-1] > res.Start.Micros {
				i--
			}
			at = append(at[:i], append([]int64{res.Start.Micros}, at[i:]...)...)
			out = append(out[:i], append([]any{res.Attributes[f.attribute]}, out[i:]...)...)
		}
	}
	return out, nil
}

func (labelTemplate) parse(config map[string]any) (*template.Template, error) {
	r := read(config)
	text := defaultTemplate
	if _, ok := config["template"]; ok {
		text = r.text("template")
	} else {
		r.known = append(r.known, "template")
	}
	if len(text) > maxTemplate {
		r.fail("template", "it is longer than %d bytes", maxTemplate)
	}
	t, err := template.New("template").Option("missingkey=zero").Parse(text)
	if err != nil {
		r.fail("template", "%v", err)
		return nil, r.err()
	}
	if len(t.Templates()) > 1 || loops(t.Root) {
		r.fail("template", "range, define, block and template are not allowed in a label")
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// loops says whether a part of a template could run more than once.
func loops(n parse.Node) bool {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return false
		}
		if slices.ContainsFunc(n.Nodes, loops) {
			return true
		}
	case *parse.IfNode:
		return loops(n.List) || loops(n.ElseList)
	case *parse.WithNode:
		return loops(n.List) || loops(n.ElseList)
	case *parse.RangeNode, *parse.TemplateNode:
		return true
	}
	return false
}

// Validate also runs the template once, on an empty segment: a field that does
// not exist is found only then.
func (l labelTemplate) Validate(config map[string]any) error {
	t, err := l.parse(config)
	if err != nil {
		return err
	}
	if _, err := render(t, labelData{Attributes: map[string]any{}}); err != nil {
		return fmt.Errorf("configuration.template: %w", err)
	}
	return nil
}

// Label names the claimed segments.
func (l labelTemplate) Label(in api.LabelerInput) ([]api.SegmentLabel, error) {
	t, err := l.parse(in.Plugin.Configuration)
	if err != nil {
		return nil, err
	}
	labels := []api.SegmentLabel{}
	for _, seg := range in.Segments {
		if seg.Out == nil {
			continue
		}
		label, err := render(t, dataOf(seg, in.Dependencies))
		if err != nil {
			return nil, fmt.Errorf("label of segment %s: %w", seg.ID, err)
		}
		labels = append(labels, api.SegmentLabel{SegmentID: seg.ID, Code: codeSucceeded, Label: label,
			Attributes: map[string]any{"Label": label}})
	}
	return labels, nil
}

func dataOf(seg api.Segment, deps []api.PluginResults) labelData {
	from, to := seg.In.Micros, seg.Out.Micros
	d := labelData{
		Start: clockText(from), End: clockText(to), Duration: clockText(to - from),
		StartSeconds: seconds(from), EndSeconds: seconds(to), DurationSeconds: seconds(to - from),
		Attributes: seg.Attributes,
	}
	if seg.CloseReason != nil {
		d.CloseReason = *seg.CloseReason
	}
	for _, dep := range deps {
		part := api.PluginResults{Plugin: dep.Plugin, Track: dep.Track}
		for _, res := range dep.Results {
			if res.Start.Micros < to && max(res.End.Micros, res.Start.Micros+1) > from {
				part.Results = append(part.Results, res)
			}
		}
		d.results = append(d.results, part)
	}
	return d
}

func seconds(us int64) float64 { return float64(us) / float64(second) }

func clockText(us int64) string {
	ms := (us + 500) / 1000
	return fmt.Sprintf("%d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

func render(t *template.Template, d labelData) (string, error) {
	var w bounded
	if err := t.Execute(&w, d); err != nil {
		return "", err
	}
	return strings.TrimSpace(w.String()), nil
}

// bounded is a text that refuses to grow beyond maxLabel.
type bounded struct{ strings.Builder }

var errLongLabel = errors.New("the label is longer than 1024 bytes")

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxLabel {
		return 0, errLongLabel
	}
	return b.Builder.Write(p)
}
