// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"encoding/json"
	"time"
)

// contract is the version of the JSON that the agent and plugins exchange.
const contract = "v1"

// Micros is a time on the Event's timeline, or a length, in whole microseconds.
type Micros int64

// Seconds is the same for people. Never compute times with it.
func (m Micros) Seconds() float64 { return float64(m) / 1e6 }

// Of turns a length of Go's into Micros.
func Of(d time.Duration) Micros { return Micros(d.Microseconds()) }

// Rational is a rate: 30000/1001 frames a second.
type Rational struct {
	Num int64 `json:"num"`
	Den int64 `json:"den"`
}

// Event is what the task belongs to.
type Event struct {
	UID       string `json:"uid"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Program   string `json:"program"`
}

// Task is the run itself.
type Task struct {
	// Kind is featurer, segmenter, optimizer, labeler, or final: the segmenter's last run.
	Kind    string `json:"kind"`
	Chunk   int64  `json:"chunk"`
	Attempt int32  `json:"attempt"`
	// Final says that the source has ended: what is open should be closed.
	Final bool `json:"final"`
}

// Chunk is the stretch of the timeline that the run looks at. End is exclusive.
type Chunk struct {
	Number     int64  `json:"number"`
	Start      Micros `json:"startMicros"`
	End        Micros `json:"endMicros"`
	FirstFrame int64  `json:"firstFrame"`
	Frames     int64  `json:"frames"`
}

// Timeline is the Event's clock and shape.
type Timeline struct {
	Rate        Rational     `json:"rate"`
	Width       int          `json:"width"`
	Height      int          `json:"height"`
	OriginTicks int64        `json:"originTicks"`
	AudioTracks []AudioTrack `json:"audioTracks"`
}

// AudioTrack is one of the media. Tracks count from 1; StreamIndex is that in the file.
type AudioTrack struct {
	Track       int    `json:"track"`
	StreamIndex int    `json:"streamIndex"`
	SampleRate  int    `json:"sampleRate"`
	Channels    int    `json:"channels"`
	Language    string `json:"language"`
}

// Media is the chunk as one file.
type Media struct {
	Path  string `json:"path"`
	URL   string `json:"url"`
	Bytes int64  `json:"bytes"`
}

// Detection is a result of a featurer that the plugin depends on.
type Detection struct {
	Start      Micros         `json:"startMicros"`
	End        Micros         `json:"endMicros"`
	Track      int            `json:"track"`
	Attributes map[string]any `json:"attributes"`
}

// Segment is a part of the Event, open or complete.
type Segment struct {
	ID    string `json:"id"`
	State string `json:"state"`
	Start Micros `json:"startMicros"`
	// End is exclusive, and nil while the segment is open.
	End *Micros `json:"endMicros,omitempty"`
	// ReportedStart is the start as the segmenter said it, before it was moved to that of a frame.
	ReportedStart Micros         `json:"reportedStartMicros"`
	Attributes    map[string]any `json:"attributes"`
	Label         string         `json:"label"`
}

// Open says whether the segment has no end yet.
func (s *Segment) Open() bool { return s.State == "Open" }

// Input is common to the inputs of all classes.
type Input struct {
	Contract string   `json:"contract"`
	Event    Event    `json:"event"`
	Task     Task     `json:"task"`
	Chunk    Chunk    `json:"chunk"`
	Timeline Timeline `json:"timeline"`
	// Media is nil where no media came.
	Media *Media `json:"media"`
	// Track is the audio track that an Audio plugin is to look at; 0 for Video.
	Track               int             `json:"track"`
	DeadlineMillis      int64           `json:"deadlineMillis"`
	ProcessingFrameRate Rational        `json:"processingFrameRate"`
	Configuration       json.RawMessage `json:"configuration"`
	// Model is the one that the Profile picked, or nil.
	Model *Model `json:"model"`
	// Dependencies are results of the plugins that this one depends on, by the plugin's name.
	Dependencies map[string][]Detection `json:"dependencies"`

	variables map[string]any
}

// Configure reads the configuration into a struct of the plugin's own. Keys that it does not know are passed over.
func (in *Input) Configure(into any) error {
	if len(in.Configuration) == 0 {
		return nil
	}
	return json.Unmarshal(in.Configuration, into)
}

// FeaturerInput is a chunk in which to detect things.
type FeaturerInput struct{ Input }

// SegmenterInput is the next chunk of a segmenter.
type SegmenterInput struct {
	Input
	// Segments are the one before the chunk and, if there is one, the open one.
	Segments    []Segment `json:"segments"`
	PreviousEnd Micros    `json:"previousEndMicros"`
	MaxSegment  Micros    `json:"maxSegmentMicros"`
}

// OptimizerInput holds segments whose marks are to be moved to better places.
type OptimizerInput struct {
	Input
	Segments []Segment `json:"segments"`
	// Neighbours are segments before and after, which limit how far marks may move.
	Neighbours []Segment `json:"neighbours"`
}

// LabelerInput holds segments that want a name.
type LabelerInput struct {
	Input
	Segments []Segment `json:"segments"`
}

// Result is something that a featurer found. End is exclusive; a point in time ends where it starts.
type Result struct {
	Start      Micros         `json:"startMicros"`
	End        Micros         `json:"endMicros"`
	Attributes map[string]any `json:"attributes"`
}

// Point is a result at one point in time.
func Point(at Micros, attributes map[string]any) Result { return Result{at, at, attributes} }

// Optimized are better marks for a segment. Codes say how it went, for people.
type Optimized struct {
	SegmentID string `json:"segmentID"`
	Start     Micros `json:"startMicros"`
	End       Micros `json:"endMicros"`
	StartCode string `json:"startCode"`
	EndCode   string `json:"endCode"`
}

// Label is a segment's name. Attributes are added to the segment's own.
type Label struct {
	SegmentID  string         `json:"segmentID"`
	Code       string         `json:"code"`
	Label      string         `json:"label"`
	Attributes map[string]any `json:"attributes"`
}

// answer is what goes back to the agent.
type answer struct {
	Contract  string          `json:"contract"`
	Results   []Result        `json:"results,omitempty"`
	Segments  []segmentUpdate `json:"segments,omitempty"`
	Optimized []Optimized     `json:"optimized,omitempty"`
	Labels    []Label         `json:"labels,omitempty"`
	Variables map[string]any  `json:"variables,omitempty"`
}

type segmentUpdate struct {
	ID          string         `json:"id,omitempty"`
	Start       Micros         `json:"startMicros"`
	End         *Micros        `json:"endMicros,omitempty"`
	Attributes  map[string]any `json:"attributes"`
	CloseReason string         `json:"closeReason,omitempty"`
}
