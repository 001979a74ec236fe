// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Reported is one result as an MRE plugin reports it: where it starts and ends, and everything else.
type Reported struct {
	Span
	// Fields are the members of the result except Start and End.
	Fields map[string]any
}

// staged is what a run has written so far.
type staged struct {
	mu sync.Mutex
	// results by start: as in MRE, a second one with the same start takes the place of the first.
	results   map[int64]Reported
	variables map[string]any
	// attributes of segments of earlier runs, by segment.
	attributes map[string]map[string]any
	// bytes is what was written, in the plugin's own JSON.
	bytes int
	// notes are what became of it, and dropped counts those that were too many.
	notes   []string
	dropped int
}

// maxBytes of what one run writes: less than the data plane takes with a task.
const maxBytes = 48 << 20

// Reserve makes room for what the plugin is about to write, or says that it is too much.
func (r *Run) Reserve(bytes int) error {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	switch {
	case r.staged.bytes+bytes > maxBytes:
		return fmt.Errorf("the run has written %d MiB already, and may write %d", r.staged.bytes>>20, maxBytes>>20)
	case len(r.staged.attributes) > api.MaxAnnotations:
		return fmt.Errorf("the run has put attributes on more than %d segments", api.MaxAnnotations)
	}
	r.staged.bytes += bytes
	return nil
}

// Save holds results back until the task is completed. It takes all of them, or its error says which the data plane
// would refuse, with everything else of the run.
func (r *Run) Save(results []Reported) error {
	for i, one := range results {
		if _, err := api.AttributesJSON(attributes(r.Plugin.Class, one)); err != nil {
			return fmt.Errorf("Results[%d]: its %w", i, err) //nolint:staticcheck // It begins with the member's name.
		}
	}
	if r.Plugin.Class == api.PlanPluginClassFeaturer {
		if err := r.near(results); err != nil {
			return err
		}
	}
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	added := map[int64]bool{}
	for _, one := range results {
		if _, there := r.staged.results[one.StartMillis]; !there {
			added[one.StartMillis] = true
		}
	}
	if n := len(r.staged.results) + len(added); n > api.MaxResults {
		//nolint:staticcheck // It begins with the member's name.
		return fmt.Errorf("Results: with these the run has saved %d results, and may save %d", n, api.MaxResults)
	}
	if r.staged.results == nil {
		r.staged.results = map[int64]Reported{}
	}
	for _, one := range results {
		// A segmenter reports an open segment again when it goes on.
		if _, there := r.staged.results[one.StartMillis]; there && r.Plugin.Class == api.PlanPluginClassFeaturer {
			r.staged.note(fmt.Sprintf("a second result starts at %s s; it takes the place of the first, as in MRE",
				secondsText(one.StartMillis)))
		}
		r.staged.results[one.StartMillis] = one
	}
	return nil
}

// near refuses times that have nothing to do with the chunk.
func (r *Run) near(results []Reported) error {
	chunk := r.Chunk()
	from, to := (chunk.StartMicros-api.MaxAstrayMicros)/1000, (chunk.EndMicros+api.MaxAstrayMicros)/1000
	for i, one := range results {
		times := []int64{one.StartMillis}
		if !one.Partial() { // an end that is before the start does not count
			times = append(times, *one.EndMillis)
		}
		for _, ms := range times {
			if ms < from || ms > to {
				//nolint:staticcheck // It begins with the member's name.
				return fmt.Errorf("Results[%d] is at %s s, more than %d minutes away from the chunk: times count in "+
					"seconds from the start of the Event",
					i, secondsText(ms), api.MaxAstrayMicros/60_000_000)
			}
		}
	}
	return nil
}

// Saved is what the run has saved, by start.
func (r *Run) Saved() []Reported {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	return byStart(r.staged.results)
}

func byStart(results map[int64]Reported) []Reported {
	return slices.SortedFunc(maps.Values(results), func(a, b Reported) int {
		return cmp.Compare(a.StartMillis, b.StartMillis)
	})
}

// Annotate holds attributes of a segment back until the task is completed. For a segment that this very run
// saved, it changes what was saved.
func (r *Run) Annotate(segmentID string, attributes map[string]any) {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	if r.staged.attributes == nil {
		r.staged.attributes = map[string]map[string]any{}
	}
	if r.staged.attributes[segmentID] == nil {
		r.staged.attributes[segmentID] = map[string]any{}
	}
	maps.Copy(r.staged.attributes[segmentID], attributes)
}

// AnnotateSaved sets an attribute of a result that this run saved; false when it saved none that starts there.
func (r *Run) AnnotateSaved(startMillis int64, name string, value any) bool {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	one, ok := r.staged.results[startMillis]
	if !ok {
		return false
	}
	one.Fields = maps.Clone(one.Fields)
	one.Fields[name] = value
	r.staged.results[startMillis] = one
	return true
}

// Annotations are the attributes held back, by segment.
func (r *Run) Annotations() map[string]map[string]any {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	out := make(map[string]map[string]any, len(r.staged.attributes))
	for id, attributes := range r.staged.attributes {
		out[id] = maps.Clone(attributes)
	}
	return out
}

// SetVariables holds context variables back until the task is completed.
func (r *Run) SetVariables(values map[string]any) {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	if r.staged.variables == nil {
		r.staged.variables = map[string]any{}
	}
	maps.Copy(r.staged.variables, values)
}

// ForgetVariable drops what was held back of a variable, because it was set at once instead.
func (r *Run) ForgetVariable(name string) {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	delete(r.staged.variables, name)
}

// Variables are the context variables held back.
func (r *Run) Variables() map[string]any {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	return maps.Clone(r.staged.variables)
}
