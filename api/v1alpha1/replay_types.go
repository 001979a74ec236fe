// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReplaySpec is a highlight reel: which segments of an Event it takes and what is rendered.
type ReplaySpec struct {
	// eventRef is the Event whose segments are used.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="eventRef is immutable: make a new Replay"
	EventRef LocalReference `json:"eventRef,omitzero"`

	// audioTrack is the 1-based number of the audio track that the reel has.
	// +optional
	// +default=1
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	AudioTrack int32 `json:"audioTrack,omitempty"`

	// select says which segments are taken.
	// +required
	Select ReplaySelection `json:"select,omitzero"`

	// outputs says what is rendered.
	// +optional
	// +default={}
	// +kubebuilder:default={}
	Outputs ReplayOutputs `json:"outputs,omitzero"`
}

// ReplaySelection says which segments are taken.
// +kubebuilder:validation:ExactlyOneOf=byDuration
type ReplaySelection struct {
	// byDuration fills a given length with the best segments.
	// +optional
	ByDuration *SelectByDuration `json:"byDuration,omitempty"`

	// features are what makes a segment worth taking. A segment's score is the sum of the weights of
	// the features that it has at least once; a segment without any is left out.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(f, self.exists_one(g, g.plugin == f.plugin && g.attribute == f.attribute))",message="features: each plugin and attribute may stand there once"
	Features []FeatureWeight `json:"features,omitempty"`
}

// SelectByDuration fills a given length with the best segments.
type SelectByDuration struct {
	// durationSeconds is the wanted length of the reel.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	DurationSeconds int32 `json:"durationSeconds,omitempty"`

	// toleranceSeconds is how much longer the reel may become, so that a good segment still fits.
	// +optional
	// +default=30
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	ToleranceSeconds *int32 `json:"toleranceSeconds,omitempty"`

	// distribution is ByScore to take the best segments wherever they are, or Equal to take the best
	// ones of every part of the Event in turn.
	// +optional
	// +default="ByScore"
	// +kubebuilder:default=ByScore
	// +kubebuilder:validation:Enum=ByScore;Equal
	Distribution string `json:"distribution,omitempty"`
}

// FeatureWeight gives a weight to an attribute that a plugin puts out.
type FeatureWeight struct {
	// plugin is the name of the Plugin.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	Plugin string `json:"plugin,omitempty"`

	// attribute of the plugin's results. The feature is there when the attribute is true.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Attribute string `json:"attribute,omitempty"`

	// weight of the feature.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight,omitempty"`
}

// ReplayOutputs says what is rendered.
type ReplayOutputs struct {
	// resolutions of the MP4 files, as WIDTHxHEIGHT with even numbers. The picture is scaled until it
	// fills the frame, and its centre is kept.
	// +optional
	// +kubebuilder:default={"1280x720"}
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	// +kubebuilder:validation:items:MinLength=5
	// +kubebuilder:validation:items:MaxLength=9
	// +kubebuilder:validation:items:Pattern=`^[1-9][0-9]{0,2}[02468]x[1-9][0-9]{0,2}[02468]$`
	Resolutions []string `json:"resolutions,omitempty"`
}

// ReplayStatus is the current plan of the reel and what was rendered of it.
type ReplayStatus struct {
	// conditions are Ready, Selected, Rendered and, for kstatus, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// planHash names the current selection.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	PlanHash string `json:"planHash,omitempty"`

	// selected is the number of segments in the reel.
	// +optional
	Selected *int64 `json:"selected,omitempty"`

	// durationMilliseconds is the length of the reel.
	// +optional
	DurationMilliseconds *int64 `json:"durationMilliseconds,omitempty"`

	// outputs are the rendered files.
	// +optional
	// +listType=map
	// +listMapKey=resolution
	// +kubebuilder:validation:MaxItems=9
	Outputs []ReplayOutputStatus `json:"outputs,omitempty"`
}

// ReplayOutputStatus is a rendered reel.
type ReplayOutputStatus struct {
	// resolution of the picture, as WIDTHxHEIGHT.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=9
	Resolution string `json:"resolution,omitempty"`

	// mp4 is the place of the file, as an s3:// location.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	MP4 string `json:"mp4,omitempty"`

	// thumbnail is the place of a JPEG picture, as an s3:// location.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Thumbnail string `json:"thumbnail,omitempty"`

	// frames is the number of frames of the file.
	// +optional
	Frames *int64 `json:"frames,omitempty"`
}

// Replay is a highlight reel of an Event.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mrep,categories=mre
// +kubebuilder:printcolumn:name="Event",type=string,JSONPath=`.spec.eventRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Segments",type=integer,JSONPath=`.status.selected`
// +kubebuilder:printcolumn:name="Milliseconds",type=integer,JSONPath=`.status.durationMilliseconds`
// +kubebuilder:printcolumn:name="Rendered",type=string,JSONPath=`.status.conditions[?(@.type=="Rendered")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name must be at most 40 characters, so that child objects can carry it"
type Replay struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the reel that is wanted.
	// +required
	Spec ReplaySpec `json:"spec,omitzero"`

	// status is what has come of it.
	// +optional
	Status ReplayStatus `json:"status,omitzero"`
}

// ReplayList is a list of Replays.
//
// +kubebuilder:object:root=true
type ReplayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Replay `json:"items"`
}
