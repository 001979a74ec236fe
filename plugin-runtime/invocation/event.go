// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/export"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// event is what a plugin is invoked with: MRE's members and, in Mre, ours.
type event struct {
	Plugin  eventPlugin
	Profile Profile
	Event   EventHead
	Input   eventInput
	// TrackNumber is there for Featurers and Optimizers that listen: the index of the stream in the chunk's file.
	// Units hold the video first and the audio tracks behind it, so it is the track's own number.
	TrackNumber int32 `json:",omitempty"`
	Mre         Input
}

type eventPlugin struct {
	Name             string
	Class            string
	ExecutionType    string
	ModelEndpoint    string `json:",omitempty"`
	DependentPlugins []string
	Configuration    map[string]any
	OutputAttributes map[string]outputAttribute
}

type outputAttribute struct{ Description string }

// Profile is MRE's shortened profile as plugins see it.
type Profile struct {
	export.Profile
	ProcessingFrameRate int64
}

// EventHead is what MRE plugins are told of the Event.
type EventHead struct {
	Name                   string
	Program                string
	Start                  string
	TimecodeSource         string
	GenerateOrigClips      bool
	GenerateOptoClips      bool
	GenerateOrigThumbNails bool
	GenerateOptoThumbNails bool
	AudioTracks            []int32
}

type eventInput struct {
	ExecutionID string `json:"ExecutionId"`
	Media       Location
	Metadata    struct{ HLSSegment hlsSegment }
}

// Location is where MRE would have stored a chunk.
type Location struct{ S3Bucket, S3Key string }

type hlsSegment struct {
	StartTime       float64
	StartTimeUtc    string
	StartPtsTime    float64
	StartPtsTimeUtc string
	Duration        float64
	FrameRate       int64
}

// Event is the JSON that the run's plugin is invoked with. baseURL is where it reaches the agent.
func (r *Run) Event(baseURL string) ([]byte, error) {
	chunk := r.Chunk()
	e := event{
		Plugin:  r.eventPlugin(),
		Profile: MREProfile(r.Plan),
		Event:   r.Head(),
		Input:   eventInput{ExecutionID: ExecutionID(r.Plan, chunk.Number), Media: r.Location(chunk.Number)},
		Mre:     r.input(baseURL),
	}
	clock := r.Clock()
	pts := clock.TicksOfMicros(chunk.StartMicros)
	ptsMicros := timeline.MulDiv(pts, 1_000_000, timeline.TickRate)
	e.Input.Metadata.HLSSegment = hlsSegment{
		StartTime: Seconds(chunk.StartMicros), StartTimeUtc: clockTime(chunk.StartMicros),
		StartPtsTime: Seconds(ptsMicros), StartPtsTimeUtc: clockTime(ptsMicros),
		Duration: Seconds(chunk.EndMicros - chunk.StartMicros), FrameRate: rounded(clock.Rate),
	}
	if r.Plugin.Class == api.PlanPluginClassFeaturer || r.Plugin.Class == api.PlanPluginClassOptimizer {
		e.TrackNumber = r.Track
	}
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write the input of plugin %s: %w", r.Plugin.Name, err)
	}
	return body, nil
}

func (r *Run) eventPlugin() eventPlugin {
	p := eventPlugin{
		Name: r.Plugin.NameInMRE(), Class: MREClass(r.Plugin.Class), ExecutionType: "Sync",
		DependentPlugins: r.Plan.NamesInMRE(r.Plugin.DependsOn), Configuration: r.configuration(),
		OutputAttributes: map[string]outputAttribute{},
	}
	if m := r.Plugin.Model; m != nil && *m != "" {
		p.ExecutionType, p.ModelEndpoint = "SyncModel", *m
	}
	for _, o := range r.Plugin.Outputs {
		p.OutputAttributes[o] = outputAttribute{Description: r.Plugin.OutputDescriptions[o]}
	}
	return p
}

func (r *Run) configuration() map[string]any {
	if r.Plugin.Configuration == nil {
		return map[string]any{}
	}
	return r.Plugin.Configuration
}

// MREProfile is a plan as MRE's shortened profile.
func MREProfile(plan *api.Plan) Profile {
	return Profile{Profile: export.ShortProfile(*plan), ProcessingFrameRate: rounded(ProcessingRate(plan))}
}

// usualRate is what plugins look at where the plan says nothing.
var usualRate = timeline.Rational{Num: 5, Den: 1}

// ProcessingRate is how many frames a second plugins are to look at.
func ProcessingRate(plan *api.Plan) timeline.Rational {
	if p := plan.ProcessingFrameRate; p != nil && p.Num > 0 && p.Den > 0 {
		return timeline.Rational{Num: p.Num, Den: p.Den}
	}
	return usualRate
}

// rounded is a rate as the whole number that MRE plugins reckon with.
func rounded(r timeline.Rational) int64 {
	if !r.Valid() {
		return 1
	}
	return max(timeline.MulDiv(r.Num, 1, r.Den), 1)
}

// Head is what MRE plugins are told of the Event.
func (r *Run) Head() EventHead {
	plan := r.Plan
	h := EventHead{
		Name: plan.Event.Name, Program: plan.Event.Program, Start: plan.Event.Start.UTC().Format(time.RFC3339),
		TimecodeSource: "NOT_EMBEDDED", GenerateOrigClips: plan.Clips.Original, GenerateOptoClips: plan.Clips.Optimized,
		GenerateOrigThumbNails: plan.Clips.Thumbnails, GenerateOptoThumbNails: plan.Clips.Thumbnails,
		AudioTracks: []int32{},
	}
	if s := plan.TimecodeSource; s != nil && *s != "" {
		h.TimecodeSource = *s
	}
	for _, t := range r.Timeline().AudioTracks {
		h.AudioTracks = append(h.AudioTracks, t.Track)
	}
	return h
}

// Clock converts between the run's frames, ticks and microseconds.
func (r *Run) Clock() timeline.Timeline {
	return r.Timeline().Clock()
}

// MediaName is the name of the run's file, also where no media came.
func (r *Run) MediaName() string {
	if r.Media != nil {
		return r.Media.Name
	}
	return MediaName(r.Plan, r.Chunk().Number)
}

// Location is where MRE would have stored a chunk of the Event.
func (r *Run) Location(chunk int64) Location {
	name := MediaName(r.Plan, chunk)
	if chunk == r.Chunk().Number {
		name = r.MediaName()
	}
	return Location{S3Bucket: Bucket, S3Key: MediaKey(r.Plan, name)}
}
