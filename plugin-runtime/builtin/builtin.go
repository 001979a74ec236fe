// SPDX-License-Identifier: Apache-2.0

// Package builtin has the plugins that run inside the agent.
//
// They are pure functions from a task's input to its results: no clock, no
// files, no state between calls. What they find does not depend on how an
// Event is cut into chunks. Parameters come from the plugin's configuration
// and are checked by Validate, so that a wrong one is a condition of the
// Plugin and not a failing task.
package builtin

import (
	"sort"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Builtin is what all built-in plugins have in common. Each is also one of
// Featurer, Segmenter, Optimizer and Labeler, by its class.
type Builtin interface {
	Class() api.PlanPluginClass
	// MediaTypes are the media types that a Plugin with this built-in may have.
	MediaTypes() []api.PlanPluginMediaType
	// Validate checks a configuration; its error names the key.
	Validate(config map[string]any) error
	// LookbackChunks is how many earlier chunks' signals a run needs. The
	// configuration is valid.
	LookbackChunks(config map[string]any, chunkSeconds int32) int32
	// Outputs are the names of the attributes that results carry.
	Outputs() []string
}

// Featurer finds things in one chunk.
type Featurer interface {
	Builtin
	Feature(in api.FeaturerInput) ([]api.NewResult, error)
}

// Segmenter decides where segments start and end.
type Segmenter interface {
	Builtin
	Segment(in api.SegmenterInput) ([]api.SegmentUpdate, error)
}

// Optimizer moves the marks of complete segments.
type Optimizer interface {
	Builtin
	Optimize(in api.OptimizerInput) ([]api.OptimizedMarks, error)
}

// Labeler names complete segments.
type Labeler interface {
	Builtin
	Label(in api.LabelerInput) ([]api.SegmentLabel, error)
}

var registry = map[string]Builtin{
	"scene-change": sceneChange{},
	"audio-peaks":  audioPeaks{},
	"key-moment":   keyMoment{},
	"snap":         snap{},
	"template":     labelTemplate{},
}

// Lookup finds a built-in by the name that a Plugin gives.
func Lookup(name string) (Builtin, bool) {
	b, ok := registry[name]
	return b, ok
}

// Names lists the built-ins, for messages.
func Names() []string {
	names := make([]string, 0, len(registry))
	for name := range registry {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

var (
	onlyVideo = []api.PlanPluginMediaType{api.PlanPluginMediaTypeVideo}
	onlyAudio = []api.PlanPluginMediaType{api.PlanPluginMediaTypeAudio}
	anyMedia  = []api.PlanPluginMediaType{api.PlanPluginMediaTypeVideo, api.PlanPluginMediaTypeAudio}
)

const second = int64(1_000_000)

// lateIDR is how much later than its nominal time a chunk may start: a unit
// starts at the first IDR at or after its edge, and IDRs are at most this far
// apart.
const lateIDR = 6 * second

// lookback is the number of chunks that surely cover a stretch of time before
// a chunk.
func lookback(need int64, chunkSeconds int32) int32 {
	chunk := max(int64(chunkSeconds), 1) * second
	return int32((need + lateIDR + chunk - 1) / chunk)
}

func ended(t api.Timeline) bool { return t.Ended != nil && *t.Ended && t.Frames != nil }
