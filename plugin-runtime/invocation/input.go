// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"net/url"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Contract is the version of Input and Answer.
const Contract = "v1"

// MediaPath is where a plugin's port serves the chunk's file.
const MediaPath = "/mre/v1/media/"

// Input is what our own packages for plugins read: the member Mre of the event. All times are whole microseconds
// from the Event's first frame.
type Input struct {
	Contract            string                   `json:"contract"`
	Event               InputEvent               `json:"event"`
	Task                InputTask                `json:"task"`
	Chunk               api.ChunkExtent          `json:"chunk"`
	Timeline            InputTimeline            `json:"timeline"`
	Media               *InputMedia              `json:"media"`
	Track               int32                    `json:"track"`
	DeadlineMillis      int64                    `json:"deadlineMillis"`
	ProcessingFrameRate api.Rational             `json:"processingFrameRate"`
	Configuration       map[string]any           `json:"configuration"`
	Model               *InputModel              `json:"model"`
	Dependencies        map[string][]InputResult `json:"dependencies"`
	// Segments are those to optimize or to label; for a segmenter, the last complete one and the open one, or those
	// that are open where the Profile allows overlaps.
	Segments []InputSegment `json:"segments"`
	// Neighbours are the segments that limit an optimizer.
	Neighbours        []InputSegment `json:"neighbours"`
	PreviousEndMicros int64          `json:"previousEndMicros"`
	MaxSegmentMicros  int64          `json:"maxSegmentMicros"`
}

// InputEvent names the Event.
type InputEvent struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Program   string `json:"program"`
}

// InputTask says what the run is for.
type InputTask struct {
	Kind    api.TaskKind `json:"kind"`
	Chunk   int64        `json:"chunk"`
	Attempt int32        `json:"attempt"`
	// Final is the last run of a segmenter: nothing comes after it.
	Final bool `json:"final"`
}

// InputTimeline is the Event's timeline.
type InputTimeline struct {
	Rate        api.Rational `json:"rate"`
	Width       int32        `json:"width"`
	Height      int32        `json:"height"`
	OriginTicks int64        `json:"originTicks"`
	AudioTracks []InputTrack `json:"audioTracks"`
}

// InputTrack is an audio track.
type InputTrack struct {
	Track int32 `json:"track"`
	// StreamIndex is the stream's index in the chunk's file, which may differ from that in the Event's source.
	StreamIndex int32  `json:"streamIndex"`
	SampleRate  int32  `json:"sampleRate"`
	Channels    int32  `json:"channels"`
	Language    string `json:"language"`
}

// InputMedia is the chunk's file.
type InputMedia struct {
	Path  string `json:"path"`
	URL   string `json:"url"`
	Bytes int64  `json:"bytes"`
}

// InputModel is the Model that the Profile picked.
type InputModel struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"`
	Address  string `json:"address"`
}

// InputResult is something that a dependency found.
type InputResult struct {
	StartMicros int64          `json:"startMicros"`
	EndMicros   int64          `json:"endMicros"`
	Track       int32          `json:"track"`
	Attributes  map[string]any `json:"attributes"`
}

// InputSegment is a segment.
type InputSegment struct {
	ID                  string           `json:"id"`
	State               api.SegmentState `json:"state"`
	StartMicros         int64            `json:"startMicros"`
	EndMicros           *int64           `json:"endMicros,omitempty"`
	ReportedStartMicros int64            `json:"reportedStartMicros"`
	Attributes          map[string]any   `json:"attributes"`
	Label               string           `json:"label"`
}

func (r *Run) input(baseURL string) Input {
	plan, rate := r.Plan, ProcessingRate(r.Plan)
	in := Input{
		Contract: Contract,
		Event: InputEvent{UID: plan.Event.UID, Namespace: plan.Event.Namespace,
			Name: plan.Event.Name, Program: plan.Event.Program},
		Task:           InputTask{Kind: r.Lease.Kind, Chunk: r.Lease.Chunk, Attempt: r.Lease.Attempt},
		Chunk:          r.Chunk(),
		Timeline:       r.inputTimeline(),
		Track:          r.Track,
		DeadlineMillis: r.Deadline.UnixMilli(), ProcessingFrameRate: api.Rational{Num: rate.Num, Den: rate.Den},
		Configuration: r.configuration(), Dependencies: map[string][]InputResult{}, Segments: []InputSegment{},
		Neighbours: []InputSegment{}, MaxSegmentMicros: int64(plan.MaxSegmentSeconds) * 1_000_000,
	}
	if r.Media != nil {
		in.Media = &InputMedia{Path: r.Media.Path, URL: r.MediaURL(baseURL), Bytes: r.Media.Bytes}
	}
	if m := r.Plugin.Model; m != nil && *m != "" {
		in.Model = &InputModel{Address: *m, Protocol: string(api.PlanPluginModelProtocolPlain)}
		if r.Plugin.ModelName != nil {
			in.Model.Name = *r.Plugin.ModelName
		}
		if r.Plugin.ModelProtocol != nil {
			in.Model.Protocol = string(*r.Plugin.ModelProtocol)
		}
	}
	for _, d := range r.Plugin.DependsOn {
		in.Dependencies[d] = []InputResult{}
	}
	for _, d := range r.Dependencies() {
		for _, one := range d.Results {
			in.Dependencies[d.Plugin] = append(in.Dependencies[d.Plugin],
				InputResult{StartMicros: one.Start.Micros, EndMicros: one.End.Micros, Track: d.Track, Attributes: one.Attributes})
		}
	}
	in.Segments = inputSegments(r.Segments())
	if s := r.Lease.Input.Segmenter; s != nil {
		in.Task.Final, in.PreviousEndMicros, in.MaxSegmentMicros = s.Final, s.PreviousEndMicros, s.MaxSegmentMicros
	}
	if o := r.Lease.Input.Optimizer; o != nil {
		in.Neighbours = inputSegments(o.Neighbours)
	}
	return in
}

// MediaURL is where the plugin reads the chunk's file.
func (r *Run) MediaURL(baseURL string) string {
	return baseURL + MediaPath + url.PathEscape(r.MediaName())
}

func (r *Run) inputTimeline() InputTimeline {
	t := r.Timeline()
	out := InputTimeline{Rate: t.Rate, Width: t.Width, Height: t.Height,
		OriginTicks: t.OriginTicks, AudioTracks: []InputTrack{}}
	for _, a := range t.AudioTracks {
		track := InputTrack{Track: a.Track, StreamIndex: a.Track, SampleRate: a.SampleRate, Channels: a.Channels}
		if a.Language != nil {
			track.Language = *a.Language
		}
		out.AudioTracks = append(out.AudioTracks, track)
	}
	return out
}

// Dependencies are the results that came with the lease, one entry for each plugin and track.
func (r *Run) Dependencies() []api.PluginResults {
	in := r.Lease.Input
	switch {
	case in.Featurer != nil:
		return in.Featurer.Dependencies
	case in.Segmenter != nil:
		return in.Segmenter.Dependencies
	case in.Optimizer != nil:
		return in.Optimizer.Dependencies
	}
	return in.Labeler.Dependencies
}

// Segments are those that came with the lease: to be optimized or labelled or, for a segmenter, the last complete
// one and those that are open.
func (r *Run) Segments() []api.Segment {
	in := r.Lease.Input
	switch {
	case in.Optimizer != nil:
		return in.Optimizer.Segments
	case in.Labeler != nil:
		return in.Labeler.Segments
	case in.Segmenter == nil:
		return nil
	}
	var out []api.Segment
	if p := in.Segmenter.Previous; p != nil {
		out = append(out, *p)
	}
	out = append(out, in.Segmenter.AlsoOpen...)
	if o := in.Segmenter.Open; o != nil {
		out = append(out, *o)
	}
	return out
}

func inputSegments(list []api.Segment) []InputSegment {
	out := make([]InputSegment, 0, len(list))
	for _, s := range list {
		one := InputSegment{ID: s.ID, State: s.State, StartMicros: s.In.Micros,
			ReportedStartMicros: s.ReportedStartMicros, Attributes: s.Attributes, Label: s.Label}
		if s.Out != nil {
			one.EndMicros = &s.Out.Micros
		}
		out = append(out, one)
	}
	return out
}
