// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProfileSpec is a pipeline: which plugins run on an Event, and how.
type ProfileSpec struct {
	// chunkSeconds is the length of the pieces in which an Event is processed. Shorter chunks bring
	// clips earlier; plugins that need context want longer ones.
	// +optional
	// +default=20
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=60
	ChunkSeconds int32 `json:"chunkSeconds,omitempty"`

	// maxSegmentSeconds is the longest segment. An open segment that reaches it is closed there,
	// with the reason MaxSegmentLength.
	// +optional
	// +default=120
	// +kubebuilder:default=120
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=7200
	MaxSegmentSeconds int32 `json:"maxSegmentSeconds,omitempty"`

	// segmentOverlap says what becomes of segments that reach into each other. Trim, the default, keeps them apart: a
	// segment starts where the one before it ends, one that lies in it is left out, and optimized marks stop at the
	// neighbours. Allow keeps what the plugins say, as MRE does, also several segments that are open side by side.
	// A reel shows no frame twice either way.
	// +optional
	// +default="Trim"
	// +kubebuilder:default=Trim
	SegmentOverlap SegmentOverlap `json:"segmentOverlap,omitempty"`

	// processingFrameRate is how many frames a second plugins should look at: a number or a fraction, such as
	// "5" or "30000/1001". It is handed to plugins, and bounds what the frames of the plugin packages bring.
	// +optional
	// +default="5"
	// +kubebuilder:default="5"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=24
	// +kubebuilder:validation:Pattern=`^[1-9][0-9]{0,8}(/[1-9][0-9]{0,8})?$`
	ProcessingFrameRate string `json:"processingFrameRate,omitempty"`

	// variables are the context variables that each Event starts with: what plugins remember from chunk to chunk.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	Variables []Variable `json:"variables,omitempty"`

	// segmenter decides where segments start and end.
	// +required
	Segmenter PluginUse `json:"segmenter,omitzero"`

	// optimizer moves the marks of complete segments. Without one there is no optimized clip.
	// +optional
	Optimizer *PluginUse `json:"optimizer,omitempty"`

	// labeler names complete segments.
	// +optional
	Labeler *PluginUse `json:"labeler,omitempty"`

	// featurers detect things in each chunk. Featurers that other plugins depend on need not be
	// listed, unless to override their configuration.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(f, self.exists_one(g, g.plugin.name == f.plugin.name))",message="featurers: each plugin may stand there once"
	Featurers []FeaturerUse `json:"featurers,omitempty"`

	// processing says how much of the cluster an Event with this Profile uses, and how long it waits.
	// +optional
	// +default={}
	// +kubebuilder:default={}
	Processing ProcessingSpec `json:"processing,omitzero"`
}

// SegmentOverlap says what becomes of segments that reach into each other.
// +kubebuilder:validation:Enum=Trim;Allow
type SegmentOverlap string

// The policies for overlaps.
const (
	OverlapTrim  SegmentOverlap = "Trim"
	OverlapAllow SegmentOverlap = "Allow"
)

// PluginUse is a plugin in its place in a Profile.
type PluginUse struct {
	// plugin is the Plugin that runs here. A revision holds wherever the Profile runs the Plugin, also
	// where another one depends on it.
	// +required
	Plugin RevisionReference `json:"plugin,omitzero"`

	// model is one of the Models that the Plugin lists.
	// +optional
	Model *LocalReference `json:"model,omitempty"`

	// configuration overrides single keys of the Plugin's configuration.
	// +optional
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:XPreserveUnknownFields
	Configuration *apiextensionsv1.JSON `json:"configuration,omitempty"`
}

// FeaturerUse is a featurer in its place in a Profile.
type FeaturerUse struct {
	PluginUse `json:",inline"`

	// beforeSegmenter lets the segmenter of a chunk wait for this featurer although it does not read its
	// results, so that they are complete when a segment is. When it is false, which is the default, the
	// featurer runs beside the segmenter and adds nothing to the latency of clips. A segmenter waits for
	// what it depends on in any case.
	// +optional
	// +default=false
	// +kubebuilder:default=false
	BeforeSegmenter *bool `json:"beforeSegmenter,omitempty"`
}

// ProcessingSpec sizes the Jobs of an Event and bounds its waits.
// +kubebuilder:validation:XValidation:rule="!has(self.maxWorkers) || self.maxWorkers >= self.minWorkers",message="maxWorkers must be at least minWorkers",fieldPath=".maxWorkers"
// +kubebuilder:validation:XValidation:rule="!has(self.maxRenderers) || self.maxRenderers >= self.minRenderers",message="maxRenderers must be at least minRenderers",fieldPath=".maxRenderers"
type ProcessingSpec struct {
	// minWorkers is how many worker Jobs are kept while the Event has chunks to process.
	// +optional
	// +default=1
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MinWorkers int32 `json:"minWorkers,omitempty"`

	// maxWorkers is how many worker Jobs there may be while chunks pile up: one is added for every two
	// chunks that wait, at once, and leaves again after a minute in which it was not needed. Without it,
	// the number stays at minWorkers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxWorkers int32 `json:"maxWorkers,omitempty"`

	// minRenderers is how many render Jobs are kept while the Event has clips or reels to render.
	// +optional
	// +default=1
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MinRenderers int32 `json:"minRenderers,omitempty"`

	// maxRenderers is how many render Jobs there may be while clips and reels pile up: one is added for every
	// four that wait, at once, and leaves again after a minute in which it was not needed. Without it, the
	// number stays at minRenderers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxRenderers int32 `json:"maxRenderers,omitempty"`

	// recycleAfterChunks ends a worker Job when it has processed so many chunks, and a fresh one takes its
	// place. 1 gives every chunk a Job of its own, for plugins that must not meet what an earlier run has
	// left; each costs the start of a pod. 0, the default, keeps a worker for as long as there is work.
	// +optional
	// +default=0
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	RecycleAfterChunks *int32 `json:"recycleAfterChunks,omitempty"`

	// pools size and place the worker Jobs of plugins that name a pool. A pool that stands in no list has one
	// worker.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Pools []WorkerPool `json:"pools,omitempty"`

	// podTemplate places and sizes the pods of all Jobs.
	// +optional
	PodTemplate *PodTemplate `json:"podTemplate,omitempty"`

	// gapTimeoutSeconds is how long a hole in the media is waited for before it is declared missing and
	// processing goes on behind it. A chunk that comes later still is processed for features, but
	// not for segments, and is counted as late.
	// +optional
	// +default=60
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	GapTimeoutSeconds int32 `json:"gapTimeoutSeconds,omitempty"`

	// drainTimeoutSeconds bounds the time between the end of the source and the end of all work.
	// Work that is left then is given up, and the Event says so.
	// +optional
	// +default=1800
	// +kubebuilder:default=1800
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=86400
	DrainTimeoutSeconds int32 `json:"drainTimeoutSeconds,omitempty"`
}

// WorkerPool sizes and places the worker Jobs of the plugins that name it.
// +kubebuilder:validation:XValidation:rule="!has(self.maxWorkers) || self.maxWorkers >= self.minWorkers",message="maxWorkers must be at least minWorkers",fieldPath=".maxWorkers"
type WorkerPool struct {
	// name of the pool, as Plugins name it in runtime.container.pool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="name must be a lower-case DNS label"
	Name string `json:"name,omitempty"`

	// minWorkers is how many Jobs are kept while the Event has work for the pool.
	// +optional
	// +default=1
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MinWorkers int32 `json:"minWorkers,omitempty"`

	// maxWorkers is how many there may be while tasks pile up. Without it, the number stays at minWorkers.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=64
	MaxWorkers int32 `json:"maxWorkers,omitempty"`

	// podTemplate places and sizes the pool's pods; the one of processing when not set.
	// +optional
	PodTemplate *PodTemplate `json:"podTemplate,omitempty"`
}

// ProfileStatus is what the operator found out about a Profile.
type ProfileStatus struct {
	// conditions are Ready, ReferencesResolved and, for kstatus, Reconciling and Stalled.
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

	// graph shows the order of the plugins: those of one step can run side by side, each step
	// needs the ones before it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Graph []GraphStep `json:"graph,omitempty"`
}

// GraphStep is a set of plugins that can run side by side.
type GraphStep struct {
	// plugins of this step, by name.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=40
	Plugins []string `json:"plugins,omitempty"`
}

// Profile is a pipeline: the plugins that run on an Event, their settings and their order.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mprof,categories=mre
// +kubebuilder:printcolumn:name="Segmenter",type=string,JSONPath=`.spec.segmenter.plugin.name`
// +kubebuilder:printcolumn:name="Chunk",type=integer,JSONPath=`.spec.chunkSeconds`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name must be at most 40 characters, so that child objects can carry it"
type Profile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the pipeline.
	// +required
	Spec ProfileSpec `json:"spec,omitzero"`

	// status is what the operator found out.
	// +optional
	Status ProfileStatus `json:"status,omitzero"`
}

// ProfileList is a list of Profiles.
//
// +kubebuilder:object:root=true
type ProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Profile `json:"items"`
}
