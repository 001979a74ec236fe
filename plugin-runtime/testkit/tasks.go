// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"slices"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// newPlan is an Event with one plugin, and the names of those that it depends on.
func newPlan(o Options) *api.Plan {
	rate := api.Rational{Num: 5, Den: 1}
	plugins := []api.PlanPlugin{o.Plugin}
	for _, name := range o.Plugin.DependsOn {
		d := api.PlanPlugin{Name: name, Class: api.PlanPluginClassFeaturer, MediaType: api.PlanPluginMediaTypeVideo,
			DependsOn: []string{}, Outputs: []string{}}
		if original, ok := o.MRENames[name]; ok {
			d.MREName = &original
		}
		plugins = append(plugins, d)
	}
	return &api.Plan{
		ChunkSeconds: int32(o.ChunkSeconds), MaxSegmentSeconds: 120, ProcessingFrameRate: &rate, Segmenter: "segmenter",
		Event: api.PlanEvent{UID: "00000000-0000-4000-8000-000000000001", Namespace: "default", Name: "test",
			Program: "Plugin test", Profile: "test", Start: time.Unix(0, 0)},
		Plugins: plugins,
	}
}

// tasks makes the runs of a plugin, and follows what a segmenter did.
type tasks struct {
	plan       *api.Plan
	clip       *clip
	track      int32
	detections map[string][]Detection
	clock      timeline.Timeline
	segments   segments
	made       int64
}

func newTasks(plan *api.Plan, c *clip, track int32, detections map[string][]Detection) *tasks {
	r := c.timeline.Rate
	clock := timeline.Timeline{OriginTicks: c.timeline.OriginTicks,
		Rate: timeline.Rational{Num: r.Num, Den: r.Den}, Frames: timeline.Open}
	return &tasks{plan: plan, clip: c, track: track, detections: detections,
		clock: clock, segments: segments{clock: clock}}
}

func (t *tasks) mark(micros int64) api.Mark { return markOf(t.clock, micros) }

// of is the run on a chunk. Without media it is one that never came.
func (t *tasks) of(c chunk, withMedia, final bool) (*invocation.Run, error) {
	t.made++
	plugin := t.plan.Plugins[0]
	lease := api.Lease{
		TaskID: t.made, Attempt: 1, Chunk: c.extent.Number, Token: fmt.Sprint("token-", t.made),
		TimeoutSeconds: plugin.TimeoutSeconds,
		Media:          &api.ChunkMedia{Chunk: c.extent, Timeline: t.clip.timeline, Units: []api.UnitRef{}},
	}
	found := t.found(c.extent)
	switch plugin.Class {
	case api.PlanPluginClassFeaturer:
		lease.Kind = api.TaskKindFeaturer
		lease.Input.Featurer = &api.FeaturerInput{Plugin: plugin, Track: t.track, Chunk: c.extent,
			Timeline: t.clip.timeline, Dependencies: found}
	case api.PlanPluginClassSegmenter:
		lease.Kind = api.TaskKindSegmenter
		if final {
			lease.Kind = api.TaskKindFinal
		}
		lease.Input.Segmenter = &api.SegmenterInput{Plugin: plugin, Chunk: c.extent, Timeline: t.clip.timeline,
			Dependencies: found, Final: final, MaxSegmentMicros: int64(t.plan.MaxSegmentSeconds) * 1_000_000,
			PreviousEndMicros: t.segments.end(), Open: t.segments.open(), Previous: t.segments.previous()}
	case api.PlanPluginClassOptimizer:
		lease.Kind = api.TaskKindOptimizer
		lease.Input.Optimizer = &api.OptimizerInput{Plugin: plugin, Track: t.track, Timeline: t.clip.timeline,
			Segments: t.synthetic(c.extent), Neighbours: []api.Segment{}, Dependencies: found}
	default:
		lease.Kind = api.TaskKindLabeler
		lease.Input.Labeler = &api.LabelerInput{Plugin: plugin, Timeline: t.clip.timeline,
			Segments: t.synthetic(c.extent), Dependencies: found}
	}
	var media *invocation.Media
	if withMedia {
		media = &c.media
	}
	return invocation.New(lease, t.plan, media, time.Time{})
}

// synthetic are two segments in a chunk, for those that work on segments.
func (t *tasks) synthetic(c api.ChunkExtent) []api.Segment {
	length := c.EndMicros - c.StartMicros
	var out []api.Segment
	for i, part := range []struct{ from, to int64 }{{1, 4}, {6, 9}} {
		out = append(out, t.segments.made(c.Number, i, c.StartMicros+length*part.from/10, c.StartMicros+length*part.to/10))
	}
	return out
}

// found are the detections of the plugins that this one depends on: those given, or made up ones.
func (t *tasks) found(c api.ChunkExtent) []api.PluginResults {
	out := []api.PluginResults{}
	for _, name := range t.plan.Plugins[0].DependsOn {
		results := api.PluginResults{Plugin: name, Results: []api.Result{}}
		given, ok := t.detections[name]
		if !ok {
			length := c.EndMicros - c.StartMicros
			given = []Detection{
				{StartMicros: c.StartMicros + length/4, EndMicros: c.StartMicros + length/4,
					Attributes: map[string]any{"Label": "point"}},
				{StartMicros: c.StartMicros + length/2, EndMicros: c.StartMicros + length*3/4,
					Attributes: map[string]any{"Label": "range"}},
			}
		}
		for _, d := range given {
			if d.StartMicros >= c.StartMicros && d.StartMicros < c.EndMicros {
				results.Results = append(results.Results,
					api.Result{Start: t.mark(d.StartMicros), End: t.mark(d.EndMicros), Attributes: d.Attributes})
			}
		}
		out = append(out, results)
	}
	return out
}

// Detection is a result of a plugin that the one under test depends on.
type Detection struct {
	StartMicros int64          `json:"startMicros"`
	EndMicros   int64          `json:"endMicros"`
	Attributes  map[string]any `json:"attributes"`
}

// namedHere names plugins as they are called here.
func namedHere(plan *api.Plan, detections map[string][]Detection) map[string][]Detection {
	out := map[string][]Detection{}
	for name, list := range detections {
		out[plan.NameHere(name)] = list
	}
	return out
}

// names of plugins that were given detections for but are not depended on.
func unknown(detections map[string][]Detection, p api.PlanPlugin) []string {
	var out []string
	for name := range detections {
		if !slices.Contains(p.DependsOn, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
