// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PluginClass is the role of a plugin in the pipeline.
// +kubebuilder:validation:Enum=Featurer;Segmenter;Optimizer;Labeler
type PluginClass string

const (
	// ClassFeaturer detects things in a chunk.
	ClassFeaturer PluginClass = "Featurer"
	// ClassSegmenter decides where segments start and end. MRE calls it Classifier.
	ClassSegmenter PluginClass = "Segmenter"
	// ClassOptimizer moves a segment's marks to better places.
	ClassOptimizer PluginClass = "Optimizer"
	// ClassLabeler names a segment.
	ClassLabeler PluginClass = "Labeler"
)

// MediaType is what a plugin looks at.
// +kubebuilder:validation:Enum=Video;Audio
type MediaType string

const (
	// MediaVideo plugins run once per chunk.
	MediaVideo MediaType = "Video"
	// MediaAudio plugins run once per chunk and audio track.
	MediaAudio MediaType = "Audio"
)

// PluginSpec declares a detector and how it is run.
type PluginSpec struct {
	// class is the plugin's role: Featurer, Segmenter, Optimizer or Labeler. It cannot be changed,
	// as Profiles use the plugin in that role.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="class is immutable: make a new Plugin"
	Class PluginClass `json:"class,omitempty"`

	// mediaType is what the plugin looks at. An Audio plugin runs once for each audio track: a Featurer on
	// each chunk, an Optimizer on each segment, whose clips then have marks of their own for each track.
	// Segmenters and Labelers work on what Featurers found, for all tracks at once, and are Video.
	// +optional
	// +default="Video"
	// +kubebuilder:default=Video
	MediaType MediaType `json:"mediaType,omitempty"`

	// runtime is how the plugin is run. Exactly one member is set.
	// +required
	Runtime PluginRuntime `json:"runtime,omitzero"`

	// models are the Models that this plugin can work with. A Profile picks one of them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Models []LocalReference `json:"models,omitempty"`

	// dependsOn are the Featurers whose results this plugin reads. A Featurer starts when they are
	// done with the same chunk. They run even when the Profile does not list them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	DependsOn []LocalReference `json:"dependsOn,omitempty"`

	// prompts are templates that the plugin asks for by name, as MRE's plugins do.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Prompts []PromptReference `json:"prompts,omitempty"`

	// configuration holds the plugin's default settings. It is free-form; a Profile may override
	// single keys. The page of each built-in plugin lists its keys.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:XPreserveUnknownFields
	Configuration *apiextensionsv1.JSON `json:"configuration,omitempty"`

	// outputs are the attributes that the plugin puts on its results. Replays and templates name them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Outputs []PluginOutput `json:"outputs,omitempty"`

	// policy says how long one run may take, how often it is tried, and what follows when it has failed
	// for good.
	// +optional
	// +default={}
	// +kubebuilder:default={}
	Policy PluginPolicy `json:"policy,omitzero"`
}

// PluginRuntime is how a plugin is run.
// +kubebuilder:validation:ExactlyOneOf=builtin;container
type PluginRuntime struct {
	// builtin runs a plugin that is part of the worker itself.
	// +optional
	Builtin *BuiltinRuntime `json:"builtin,omitempty"`

	// container runs a plugin in a container of its own, beside the agent of a worker pod, where it stays warm.
	// +optional
	Container *ContainerRuntime `json:"container,omitempty"`
}

// BuiltinRuntime names a plugin of the worker itself.
type BuiltinRuntime struct {
	// name of the built-in plugin: scene-change, audio-peaks, key-moment, snap or template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
}

// PluginOutput declares one attribute of a plugin's results.
type PluginOutput struct {
	// name of the attribute, as it stands in the results.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_-]*$`
	Name string `json:"name,omitempty"`

	// description says what the attribute means.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
}

// PluginPolicy bounds the runs of a plugin.
type PluginPolicy struct {
	// timeoutSeconds is how long one run on one chunk may take. Longer runs are ended and count as failed.
	// +optional
	// +default=60
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// maxAttempts is how often a run that fails is tried before it has failed for good; onFailure says what
	// follows then. Runs that end with their pod do not count.
	// +optional
	// +default=3
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	MaxAttempts int32 `json:"maxAttempts,omitempty"`

	// onFailure is what follows when a run has failed for good. Skip: the chunk goes on without the plugin's
	// results. FailChunk: what depends on the plugin is skipped on this chunk, the chunk's segmenter too; the
	// next chunk is processed as usual. FailEvent: the Event fails. The failed run stays visible and can
	// be tried again in every case but the last.
	// +optional
	// +default="Skip"
	// +kubebuilder:default=Skip
	OnFailure FailurePolicy `json:"onFailure,omitempty"`
}

// FailurePolicy is what follows when a run of a plugin has failed for good.
// +kubebuilder:validation:Enum=Skip;FailChunk;FailEvent
type FailurePolicy string

const (
	// FailureSkip lets the chunk go on without the plugin's results.
	FailureSkip FailurePolicy = "Skip"
	// FailureFailChunk skips what depends on the plugin on this chunk, and the chunk's segmenter.
	FailureFailChunk FailurePolicy = "FailChunk"
	// FailureFailEvent fails the Event.
	FailureFailEvent FailurePolicy = "FailEvent"
)

// PluginStatus is what the operator found out about a Plugin.
type PluginStatus struct {
	// conditions are Ready and, for kstatus, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// revision is the name of the ControllerRevision that keeps the present spec.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Revision string `json:"revision,omitempty"`
}

// Plugin declares a detector: what it is, how it is run and what it puts out.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mplug,categories=mre
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.class`
// +kubebuilder:printcolumn:name="Media",type=string,JSONPath=`.spec.mediaType`
// +kubebuilder:printcolumn:name="Builtin",type=string,JSONPath=`.spec.runtime.builtin.name`
// +kubebuilder:printcolumn:name="Image",type=string,priority=1,JSONPath=`.spec.runtime.container.image`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name must be at most 40 characters, so that child objects can carry it"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.mediaType) || self.spec.mediaType != 'Audio' || self.spec.class in ['Featurer', 'Optimizer']",message="spec.mediaType: only a Featurer or an Optimizer can look at Audio"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.dependsOn) || self.spec.dependsOn.all(d, d.name != self.metadata.name)",message="spec.dependsOn: a plugin cannot depend on itself"
type Plugin struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the plugin is and how it is run.
	// +required
	Spec PluginSpec `json:"spec,omitzero"`

	// status is what the operator found out.
	// +optional
	Status PluginStatus `json:"status,omitzero"`
}

// PluginList is a list of Plugins.
//
// +kubebuilder:object:root=true
type PluginList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Plugin `json:"items"`
}
