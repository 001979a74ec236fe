// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// EventSpec is a recorded broadcast and what is made of it. An Event runs once; a re-run is a new Event.
// +kubebuilder:validation:XValidation:rule="has(self.start) == has(oldSelf.start)",message="start is immutable: it can be neither added nor removed",fieldPath=".start"
// +kubebuilder:validation:XValidation:rule="has(self.variables) == has(oldSelf.variables)",message="variables is immutable: it can be neither added nor removed",fieldPath=".variables"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.finish) || !oldSelf.finish || (has(self.finish) && self.finish)",message="finish cannot be taken back: a source that was ended stays ended; make a new Event",fieldPath=".finish"
type EventSpec struct {
	// program is the name of the show or competition that the Event belongs to. Exports carry it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Program string `json:"program,omitempty"`

	// profileRef is the pipeline that processes the Event. The Profile and its Plugins are copied when
	// the Event starts; later edits do not change a running Event.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="profileRef is immutable: an Event runs once, make a new Event"
	ProfileRef RevisionReference `json:"profileRef,omitzero"`

	// start is when the broadcast began. Exports carry it; the creation time stands in for it.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="start is immutable"
	Start *metav1.Time `json:"start,omitempty"`

	// source is where the media comes from. Exactly one member is set.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="source is immutable: an Event runs once, make a new Event"
	Source EventSource `json:"source,omitzero"`

	// picture says what becomes of the pictures.
	// +optional
	// +default={}
	// +kubebuilder:default={}
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="picture is immutable: an Event runs once, make a new Event"
	Picture PictureSpec `json:"picture,omitzero"`

	// clips says which clips are made of every segment.
	// +optional
	// +default={}
	// +kubebuilder:default={}
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clips is immutable: an Event runs once, make a new Event"
	Clips ClipsSpec `json:"clips,omitzero"`

	// audio says what the sound of clips and reels is like.
	// +optional
	// +default={}
	// +kubebuilder:default={}
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="audio is immutable: an Event runs once, make a new Event"
	Audio AudioSpec `json:"audio,omitzero"`

	// variables are context variables that the Event starts with, besides those of its Profile. One with the
	// same name takes the place of the Profile's.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="variables is immutable: plugins change them while the Event runs"
	Variables []Variable `json:"variables,omitempty"`

	// suspend lets the Event rest: no task is handed out and its Jobs leave. What is done stays, and the
	// time it rests does not count for its time-outs. An Event that is created suspended does not start,
	// and copies its Profile only when it does. False goes on.
	// +optional
	// +default=false
	// +kubebuilder:default=false
	Suspend *bool `json:"suspend,omitempty"`

	// finish ends the source now, with what is stored: the rest is processed and the Event becomes Complete.
	// It cannot be taken back. It has no effect once the source has ended by itself.
	// +optional
	// +default=false
	// +kubebuilder:default=false
	Finish *bool `json:"finish,omitempty"`

	// deletionPolicy says which objects stay in the bucket when the Event is deleted.
	// +optional
	// +default="RetainOutputs"
	// +kubebuilder:default=RetainOutputs
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// EventSource is where the media of an Event comes from.
// +kubebuilder:validation:ExactlyOneOf=file
type EventSource struct {
	// file is a recording that is read from its beginning to its end.
	// +optional
	File *FileSource `json:"file,omitempty"`
}

// FileSource is a recorded file.
type FileSource struct {
	// url of the file: s3://bucket/key in the install's object store, or http:// or https://.
	// Any container and codec that FFmpeg reads will do. User names and passwords do not belong in it.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('s3://') || self.startsWith('https://') || self.startsWith('http://')",message="url must start with s3://, https:// or http://"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('s3://') || self.matches('^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+$')",message="url must be s3://BUCKET/KEY"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('s3://') || (isURL(self) && url(self).getHost() != '')",message="url must name a host"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/?#]*@')",message="url must not hold a user name or password"
	URL string `json:"url,omitempty"`

	// ingest is how the file is stored. Auto stores its own pictures where they allow that, and goes on with
	// re-encoded ones where they stop allowing it; Mezzanine re-encodes them from the start.
	// +optional
	// +default="Auto"
	// +kubebuilder:default=Auto
	Ingest IngestPolicy `json:"ingest,omitempty"`

	// programme is the number of the programme that is taken of an MPEG transport stream with several.
	// Absent, the first one with a picture is taken. Its own sound goes with it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Programme *int32 `json:"programme,omitempty"`

	// audio lists the audio tracks of the Event, in order. Absent, every audio stream that can be decoded is a
	// track, with all its channels; of one with more than two channels that have no layout, channels 1 and 2.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Audio []AudioSelection `json:"audio,omitempty"`
}

// IngestPolicy says how a file is stored.
// +kubebuilder:validation:Enum=Auto;Mezzanine
type IngestPolicy string

const (
	// IngestAuto stores the file's own pictures where that is possible.
	IngestAuto IngestPolicy = "Auto"
	// IngestMezzanine re-encodes the pictures.
	IngestMezzanine IngestPolicy = "Mezzanine"
)

// AudioSelection is an audio track that is taken of a file.
type AudioSelection struct {
	// stream is the index of the audio stream in the file, as ffprobe counts all streams, from 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1023
	Stream *int32 `json:"stream,omitempty"`

	// channels are taken of the stream, counted from 1: one makes a mono track, two a stereo one. Absent, all are.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=64
	Channels []int32 `json:"channels,omitempty"`
}

// PictureSpec says what becomes of the pictures.
type PictureSpec struct {
	// hdr says what becomes of HDR pictures (PQ and HLG). ToneMap makes usual ones of them (BT.709) when they are
	// ingested, so that everything that is made of them looks right anywhere. Keep stores them as H.264 High 10
	// with their tags; clips then need a player that shows them, thumbnails do not.
	// +optional
	// +default="ToneMap"
	// +kubebuilder:default=ToneMap
	HDR HDRPolicy `json:"hdr,omitempty"`
}

// HDRPolicy says what becomes of HDR pictures.
// +kubebuilder:validation:Enum=ToneMap;Keep
type HDRPolicy string

const (
	// HDRToneMap maps HDR pictures to BT.709.
	HDRToneMap HDRPolicy = "ToneMap"
	// HDRKeep keeps them.
	HDRKeep HDRPolicy = "Keep"
)

// AudioChannels says what becomes of the channels of an audio track.
// +kubebuilder:validation:Enum=Stereo;Source
type AudioChannels string

const (
	// AudioStereo mixes all channels to two.
	AudioStereo AudioChannels = "Stereo"
	// AudioSource keeps the source's channels.
	AudioSource AudioChannels = "Source"
)

// AudioSpec says what the sound of clips and reels is like.
type AudioSpec struct {
	// channels of clips and reels. Stereo mixes those of the source to two: mono sounds on both sides as loud
	// as it is, stereo stays as it is, and of more channels the centre and the surrounds are added 3 dB down,
	// without the low frequency effects (ITU-R BS.775); what would become louder than -1 dBFS by that is
	// limited. Source keeps the source's channels.
	// +optional
	// +default="Stereo"
	// +kubebuilder:default=Stereo
	Channels AudioChannels `json:"channels,omitempty"`
}

// ClipsSpec says which clips are made of every segment.
type ClipsSpec struct {
	// original clips have the segmenter's marks.
	// +optional
	// +default="Render"
	// +kubebuilder:default=Render
	Original RenderPolicy `json:"original,omitempty"`

	// optimized clips have the optimizer's marks. A Profile without an optimizer has none.
	// +optional
	// +default="Render"
	// +kubebuilder:default=Render
	Optimized RenderPolicy `json:"optimized,omitempty"`

	// thumbnails are JPEG pictures beside the clips.
	// +optional
	// +default="Render"
	// +kubebuilder:default=Render
	Thumbnails RenderPolicy `json:"thumbnails,omitempty"`
}

// EventStatus is how far the Event has come.
type EventStatus struct {
	// conditions are Ready, ReferencesResolved, SourceReady, Complete, Failed, Suspended once the Event has
	// rested and, for kstatus, Reconciling and Stalled. Complete and Failed are terminal.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// profileRevision names the ControllerRevision of the Profile that the Event runs with.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ProfileRevision string `json:"profileRevision,omitempty"`

	// planHash names the compiled copy of the Profile that the Event runs with.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	PlanHash string `json:"planHash,omitempty"`

	// slots is how many Jobs the Event has while it has work, between the bounds that were copied from the
	// Profile when it started.
	// +optional
	Slots SlotsStatus `json:"slots,omitzero"`

	// source is what ingest found out about the media.
	// +optional
	Source *SourceStatus `json:"source,omitempty"`

	// progress counts what was done.
	// +optional
	Progress *EventProgress `json:"progress,omitempty"`

	// deadLetters is the number of tasks that failed for good and can be tried again.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DeadLetters *int64 `json:"deadLetters,omitempty"`

	// retry is what came of the last retry that was asked for.
	// +optional
	Retry *RetryStatus `json:"retry,omitempty"`

	// artifacts are the places of the exports.
	// +optional
	Artifacts *EventArtifacts `json:"artifacts,omitempty"`
}

// SlotsStatus is how many Jobs an Event has while it has work, and how the number comes about.
type SlotsStatus struct {
	// workers is the number of worker Jobs of no named pool. It is 0 while other Events have all that the
	// install allows.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	Workers int32 `json:"workers"`

	// workersWanted is the number that the waiting chunks ask for. It is more than workers while the
	// install's bound holds the Event back, and less while an idle worker has not left yet.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	WorkersWanted int32 `json:"workersWanted"`

	// workersLowSince is since when fewer workers would do.
	// +optional
	WorkersLowSince *metav1.Time `json:"workersLowSince,omitempty"`

	// renderers is the number of render Jobs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	Renderers int32 `json:"renderers"`

	// renderersLowSince is since when fewer renderers would do.
	// +optional
	RenderersLowSince *metav1.Time `json:"renderersLowSince,omitempty"`

	// pools are the worker Jobs of pools that have a name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=128
	Pools []PoolSlotsStatus `json:"pools,omitempty"`
}

// PoolSlotsStatus is how many worker Jobs an Event has for the plugins of one named pool.
type PoolSlotsStatus struct {
	// name of the pool, as Plugins name it in runtime.container.pool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`

	// workers is the number of the pool's worker Jobs.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	Workers int32 `json:"workers"`

	// workersWanted is the number that the tasks that wait for the pool ask for.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=64
	WorkersWanted int32 `json:"workersWanted"`

	// workersLowSince is since when fewer workers would do.
	// +optional
	WorkersLowSince *metav1.Time `json:"workersLowSince,omitempty"`
}

// RetryStatus is what came of a retry.
type RetryStatus struct {
	// word is the value of the annotation that asked for it. The same word again has no effect.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Word string `json:"word,omitempty"`

	// retried is the number of tasks that run again.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Retried int64 `json:"retried"`

	// message says what was left, and why.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// SourceStatus is what ingest found out about the media.
type SourceStatus struct {
	// ingest is Copy when the stream is stored as it is, or Mezzanine when it is transcoded first.
	// +optional
	// +kubebuilder:validation:Enum=Copy;Mezzanine
	Ingest string `json:"ingest,omitempty"`

	// reason says why the stream is copied or transcoded.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`

	// resolution of the video, as WIDTHxHEIGHT.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Resolution string `json:"resolution,omitempty"`

	// frameRate of the video, as a number or a fraction, such as 25 or 30000/1001.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	FrameRate string `json:"frameRate,omitempty"`

	// audioTracks is the number of audio tracks.
	// +optional
	// +kubebuilder:validation:Minimum=0
	AudioTracks *int32 `json:"audioTracks,omitempty"`

	// leftOut names streams of the file that are not ingested, and why.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	LeftOut []string `json:"leftOut,omitempty"`

	// parts lists how the source is ingested from some frame on, where that changed, the first 32 of them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Parts []SourcePart `json:"parts,omitempty"`

	// partsTotal is how many parts there are.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PartsTotal *int32 `json:"partsTotal,omitempty"`

	// picturesDropped counts pictures of the source that had to share a frame with another.
	// +optional
	// +kubebuilder:validation:Minimum=0
	PicturesDropped *int64 `json:"picturesDropped,omitempty"`

	// incomplete says what the source lacks, such as its end.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Incomplete string `json:"incomplete,omitempty"`
}

// SourcePart says how the source is ingested from a frame on.
type SourcePart struct {
	// from is where the part begins on the Event's timeline, as HH:MM:SS.mmm.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	From string `json:"from,omitempty"`

	// ingest is Copy or Mezzanine.
	// +required
	// +kubebuilder:validation:Enum=Copy;Mezzanine
	Ingest string `json:"ingest,omitempty"`

	// reason says why.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}

// EventProgress counts what was done.
type EventProgress struct {
	// chunks counts the pieces of the media.
	// +optional
	Chunks ChunkProgress `json:"chunks,omitzero"`

	// segments counts what the segmenter found.
	// +optional
	Segments SegmentProgress `json:"segments,omitzero"`

	// clips counts the rendered clips.
	// +optional
	Clips ClipProgress `json:"clips,omitzero"`

	// timeline is how much of the media was stored, as HH:MM:SS.mmm from its beginning.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	Timeline string `json:"timeline,omitempty"`

	// summary is the progress in a few words, for the printed columns.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Summary string `json:"summary,omitempty"`
}

// ChunkProgress counts chunks.
type ChunkProgress struct {
	// ingested chunks are stored and closed.
	// +optional
	Ingested int64 `json:"ingested"`
	// processed chunks have been through every plugin.
	// +optional
	Processed int64 `json:"processed"`
	// failed chunks lack the result of at least one plugin.
	// +optional
	Failed int64 `json:"failed"`
	// missing chunks never came.
	// +optional
	Missing int64 `json:"missing"`
	// late chunks came after they had been declared missing. They are processed for features, not for segments.
	// +optional
	Late int64 `json:"late"`
}

// SegmentProgress counts segments.
type SegmentProgress struct {
	// open segments have a start and no end yet.
	// +optional
	Open int64 `json:"open"`
	// complete segments have both marks.
	// +optional
	Complete int64 `json:"complete"`
	// optimized segments have been through the optimizer.
	// +optional
	Optimized int64 `json:"optimized"`
}

// ClipProgress counts clips.
type ClipProgress struct {
	// wanted clips follow from the segments that are complete so far.
	// +optional
	Wanted int64 `json:"wanted"`
	// rendered clips are in the bucket.
	// +optional
	Rendered int64 `json:"rendered"`
	// failed clips could not be rendered.
	// +optional
	Failed int64 `json:"failed"`
}

// EventArtifacts are the places of an Event's exports, as s3:// locations.
type EventArtifacts struct {
	// export is the Event as JSON, in MRE's schema.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Export string `json:"export,omitempty"`

	// edl are the edit decision lists (CMX 3600), one for each audio track.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=2048
	EDL []string `json:"edl,omitempty"`
}

// Event is a recorded broadcast that is turned into segments and clips.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mev,categories=mre
// +kubebuilder:printcolumn:name="Profile",type=string,JSONPath=`.spec.profileRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Complete",type=string,JSONPath=`.status.conditions[?(@.type=="Complete")].status`
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=`.status.progress.summary`
// +kubebuilder:printcolumn:name="Failures",type=integer,JSONPath=`.status.deadLetters`
// +kubebuilder:printcolumn:name="Timeline",type=string,JSONPath=`.status.progress.timeline`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name must be at most 40 characters, so that child objects can carry it"
// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self.metadata.name).hasValue()",message="metadata.name must be a lower-case DNS label, as the names of its Jobs carry it"
type Event struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the broadcast and what is made of it.
	// +required
	Spec EventSpec `json:"spec,omitzero"`

	// status is how far it has come.
	// +optional
	Status EventStatus `json:"status,omitzero"`
}

// EventList is a list of Events.
//
// +kubebuilder:object:root=true
type EventList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Event `json:"items"`
}
