// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// testPlan is a Profile with a plugin of each class, at 25 frames a second and 10 s chunks.
func testPlan() *api.Plan {
	plugin := func(name string, class api.PlanPluginClass,
		media api.PlanPluginMediaType, depends ...string) api.PlanPlugin {
		return api.PlanPlugin{Name: name, Class: class, MediaType: media, DependsOn: append([]string{}, depends...),
			Outputs: []string{"Label", "Goal"}, OutputDescriptions: map[string]string{"Goal": "true on a goal"},
			Configuration: map[string]any{"level": "5"}}
	}
	video, audio := api.PlanPluginMediaTypeVideo, api.PlanPluginMediaTypeAudio
	scenes := plugin("scenes", api.PlanPluginClassFeaturer, video)
	scenes.Model, scenes.ModelName = new("http://scenes/v2"), new("scene-model")
	return &api.Plan{
		Event: api.PlanEvent{UID: "7f0c4c52-0000-4000-8000-000000000001", Namespace: "football", Name: "final",
			Program: "Open 2026 / Men", Profile: "soccer", Start: time.Date(2026, 6, 1, 14, 0, 0, 0, time.UTC)},
		ChunkSeconds: 10, MaxSegmentSeconds: 60, Clips: api.PlanClips{Original: true, Thumbnails: true},
		ProcessingFrameRate: &api.Rational{Num: 30000, Den: 1001}, Segmenter: "moments",
		Optimizer: new("cutter"), Labeler: new("namer"),
		Plugins: []api.PlanPlugin{
			scenes, plugin("noise", api.PlanPluginClassFeaturer, audio, "scenes"),
			plugin("moments", api.PlanPluginClassSegmenter, video, "noise", "scenes"),
			plugin("cutter", api.PlanPluginClassOptimizer, audio, "scenes"),
			plugin("namer", api.PlanPluginClassLabeler, video, "noise"),
		},
	}
}

func find(plan *api.Plan, name string) api.PlanPlugin {
	for _, p := range plan.Plugins {
		if p.Name == name {
			return p
		}
	}
	panic("no plugin " + name)
}

func frameMark(f int64) api.Mark {
	return api.Mark{Frame: f, Ticks: 126_000 + f*3600, Micros: f * 40_000}
}

// extent is the chunk with a number.
func extent(n int64) api.ChunkExtent {
	return api.ChunkExtent{Number: n, StartMicros: (n - 1) * 10_000_000,
		EndMicros: n * 10_000_000, FirstFrame: (n - 1) * 250, Frames: 250}
}

func testTimeline(chunk int64) api.Timeline {
	return api.Timeline{OriginTicks: 126_000, Rate: api.Rational{Num: 25, Den: 1},
		Width: 1920, Height: 1080, Frames: new(chunk * 250),
		AudioTracks: []api.AudioTrack{
			{Track: 1, StreamIndex: 2, SampleRate: 48000, Channels: 2, Language: new("eng")},
			{Track: 2, StreamIndex: 3, SampleRate: 48000, Channels: 1},
		}}
}

// testRun is a run of a plugin on a chunk.
func testRun(t testing.TB, name string, chunk int64, edit func(*api.Lease)) *Run {
	t.Helper()
	plan := testPlan()
	p, tl, x := find(plan, name), testTimeline(chunk), extent(chunk)
	lease := api.Lease{TaskID: 7, Attempt: 2, Chunk: chunk, Token: "secret",
		Media: &api.ChunkMedia{Chunk: x, Timeline: tl}}
	switch p.Class {
	case api.PlanPluginClassFeaturer:
		lease.Kind, lease.Input.Featurer = api.TaskKindFeaturer, &api.FeaturerInput{Plugin: p, Chunk: x, Timeline: tl}
	case api.PlanPluginClassSegmenter:
		lease.Kind, lease.Input.Segmenter = api.TaskKindSegmenter,
			&api.SegmenterInput{Plugin: p, Chunk: x, Timeline: tl, MaxSegmentMicros: 60_000_000}
	case api.PlanPluginClassOptimizer:
		lease.Kind, lease.Input.Optimizer = api.TaskKindOptimizer, &api.OptimizerInput{Plugin: p, Track: 1, Timeline: tl}
	case api.PlanPluginClassLabeler:
		lease.Kind, lease.Input.Labeler = api.TaskKindLabeler, &api.LabelerInput{Plugin: p, Timeline: tl}
	}
	if edit != nil {
		edit(&lease)
	}
	run, err := New(lease, plan, &Media{Path: "/mre/media/7/x.ts", Name: MediaName(plan, chunk), Bytes: 99},
		time.UnixMilli(1_800_000_000_000))
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// testSegment is a segment from one frame to another; to 0 is open.
func testSegment(id string, from, to int64) api.Segment {
	s := api.Segment{ID: id, State: api.SegmentStateOpen, In: frameMark(from), ReportedStartMicros: from * 40_000,
		OpenedChunk: from/250 + 1, Attributes: map[string]any{}}
	if to > 0 {
		s.State, s.Out, s.ClosedChunk = api.SegmentStateComplete, new(frameMark(to)), new(to/250+1)
	}
	return s
}
