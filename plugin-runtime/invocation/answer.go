// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// answer is what a plugin returns: MRE's output object, or ours.
type answer struct {
	Output *struct {
		Status  string
		Results []any
	}
	Mre *json.RawMessage
}

// Answer is what our own packages for plugins return in the member Mre.
type Answer struct {
	Contract  string               `json:"contract"`
	Results   []api.NewResult      `json:"results"`
	Segments  []api.SegmentUpdate  `json:"segments"`
	Optimized []api.OptimizedMarks `json:"optimized"`
	Labels    []api.SegmentLabel   `json:"labels"`
	Variables map[string]any       `json:"variables"`
}

// statusError is how an MRE plugin says that it failed without raising.
const statusError = "Error"

// Result is a run's output and what a person should know of how it was read.
type Result struct {
	Output api.TaskOutput
	// Notes say what was changed or left out, each naming the result.
	Notes []string
}

// Known looks up the Event's segments. It is asked only where a segmenter writes about the past.
type Known func() ([]api.Segment, error)

// Output makes the task's output of the plugin's answer and of what it saved during the run. Its error is the
// plugin's failure.
func (r *Run) Output(body []byte, known Known) (Result, error) {
	a, err := parseAnswer(body)
	if err != nil {
		return Result{}, err
	}
	var out Result
	if a.Mre != nil {
		out.Output, err = r.ownOutput(*a.Mre)
	} else {
		out, err = r.mreOutput(a, known)
	}
	if err != nil {
		return Result{}, err
	}
	r.addStaged(&out.Output)
	out.Output.Token = r.Lease.Token
	return out, nil
}

func parseAnswer(body []byte) (answer, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return a, fmt.Errorf("the plugin's answer is not the JSON that was expected: %w; an MRE plugin returns what "+
			"get_output_object() makes", err)
	}
	if a.Output == nil && a.Mre == nil {
		return a, fmt.Errorf("the plugin answered %s, which has neither Output (an MRE plugin returns what "+
			"get_output_object() makes) nor Mre", excerpt(body))
	}
	return a, nil
}

func excerpt(body []byte) string {
	text := strings.ToValidUTF8(string(bytes.TrimSpace(body)), "?")
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "…"
	}
	if text == "" {
		return "nothing"
	}
	return text
}

// mreOutput reads MRE's output object. What the plugin saved counts; where it saved nothing, what it returned.
func (r *Run) mreOutput(a answer, known Known) (Result, error) {
	if a.Output.Status == statusError {
		return Result{}, fmt.Errorf("plugin %s returned Output.Status %q without raising; its own log says why",
			r.Plugin.Name, statusError)
	}
	saved := r.Saved()
	if len(saved) == 0 {
		returned, err := ParseReported(r.Plugin.Class, a.Output.Results)
		if err != nil {
			return Result{}, fmt.Errorf("Output.%w", err)
		}
		if err := r.Save(returned); err != nil {
			return Result{}, fmt.Errorf("Output.%w", err)
		}
		saved = r.Saved()
	}
	switch r.Plugin.Class {
	case api.PlanPluginClassFeaturer:
		return r.features(saved), nil
	case api.PlanPluginClassSegmenter:
		return r.segments(saved, known)
	case api.PlanPluginClassOptimizer:
		return r.marks(saved), nil
	}
	return r.labels(saved), nil
}

// addStaged adds what is held back besides results.
func (r *Run) addStaged(out *api.TaskOutput) {
	for name, value := range r.Variables() {
		if out.Variables == nil {
			out.Variables = map[string]any{}
		}
		if _, answered := out.Variables[name]; !answered {
			out.Variables[name] = value
		}
	}
	for id, attributes := range r.Annotations() {
		addAttributes(out, id, attributes)
	}
	sortAttributes(out)
}

// ownOutput reads the member Mre.
func (r *Run) ownOutput(body json.RawMessage) (api.TaskOutput, error) {
	var a Answer
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return api.TaskOutput{}, fmt.Errorf("member Mre of the answer: %w", err)
	}
	if a.Contract != Contract {
		return api.TaskOutput{}, fmt.Errorf("member Mre of the answer has contract %q; this worker speaks %q",
			a.Contract, Contract)
	}
	class := r.Plugin.Class
	for _, m := range []struct {
		name  string
		count int
		class api.PlanPluginClass
	}{
		{"results", len(a.Results), api.PlanPluginClassFeaturer},
		{"segments", len(a.Segments), api.PlanPluginClassSegmenter},
		{"optimized", len(a.Optimized), api.PlanPluginClassOptimizer},
		{"labels", len(a.Labels), api.PlanPluginClassLabeler},
	} {
		if m.count > 0 && class != m.class {
			return api.TaskOutput{}, fmt.Errorf("the answer's Mre.%s is for a %s; plugin %s is a %s",
				m.name, m.class, r.Plugin.Name, class)
		}
	}
	if err := r.checkOwn(a); err != nil {
		return api.TaskOutput{}, err
	}
	return api.TaskOutput{Results: a.Results, Segments: a.Segments, Optimized: a.Optimized,
		Labels: a.Labels, Variables: a.Variables}, nil
}

// checkOwn checks what the data plane would refuse anyway, in the words of the answer, and fills what may be absent.
func (r *Run) checkOwn(a Answer) error {
	const bound = maxSeconds * 1_000_000
	for i := range a.Results {
		one := &a.Results[i]
		if one.EndMicros < one.StartMicros || one.StartMicros < -bound || one.EndMicros > bound {
			return fmt.Errorf("the answer's Mre.results[%d] is from %d µs to %d µs", i, one.StartMicros, one.EndMicros)
		}
		one.Attributes = orEmpty(one.Attributes)
	}
	for i := range a.Segments {
		one := &a.Segments[i]
		if one.StartMicros < -bound || one.StartMicros > bound || one.EndMicros != nil &&
			(*one.EndMicros <= one.StartMicros || *one.EndMicros > bound) {
			return fmt.Errorf("the answer's Mre.segments[%d] starts at %d µs and does not end after that", i, one.StartMicros)
		}
		if c := one.CloseReason; c != nil && !c.Valid() {
			return fmt.Errorf("the answer's Mre.segments[%d].closeReason %q is none that there is", i, *c)
		}
		one.Attributes = orEmpty(one.Attributes)
	}
	claimed, seen := map[string]bool{}, map[string]bool{}
	for _, s := range r.Segments() {
		claimed[s.ID] = true
	}
	for i, one := range a.Optimized {
		switch {
		case !claimed[one.SegmentID] || seen[one.SegmentID]:
			return fmt.Errorf("the answer's Mre.optimized[%d].segmentID is %q; each of the input's segments may "+
				"stand there once", i, one.SegmentID)
		case one.StartMicros < -bound || one.EndMicros > bound || one.EndMicros <= one.StartMicros:
			return fmt.Errorf("the answer's Mre.optimized[%d] is from %d µs to %d µs", i, one.StartMicros, one.EndMicros)
		}
		seen[one.SegmentID] = true
	}
	for i := range a.Labels {
		one := &a.Labels[i]
		if !claimed[one.SegmentID] {
			return fmt.Errorf("the answer's Mre.labels[%d].segmentID is %q, which is none of the input's segments", i,
				one.SegmentID)
		}
		one.Attributes = orEmpty(one.Attributes)
	}
	for name, v := range a.Variables {
		if err := CheckVariable(name, v); err != nil {
			return fmt.Errorf("the answer's Mre.variables: %w", err)
		}
	}
	return nil
}

// Bounds of a context variable, as the data plane has them.
const (
	maxVariableName = 128
	maxVariableText = 60 << 10
)

// CheckVariable says whether a context variable may be set.
func CheckVariable(name string, v any) error {
	if name == "" || len(name) > maxVariableName {
		return fmt.Errorf("the name %q must have 1 to %d bytes", name, maxVariableName)
	}
	switch v := v.(type) {
	case string:
		if len(v) > maxVariableText {
			return fmt.Errorf("%s has %d bytes; at most %d are kept", name, len(v), maxVariableText)
		}
		return nil
	case bool, float64:
		return nil
	}
	return fmt.Errorf("%s is %s; a context variable is a text, a number or a boolean", name, describe(v))
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}
