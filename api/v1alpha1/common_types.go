// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// LocalReference names an object of a known kind in the same namespace.
type LocalReference struct {
	// name of the object. It is at most 40 characters long, so that the names of child objects can carry it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="name must be a lower-case DNS label"
	Name string `json:"name,omitempty"`
}

// RevisionReference names an object of a known kind in the same namespace, and which revision of it is meant.
type RevisionReference struct {
	// name of the object. It is at most 40 characters long, so that the names of child objects can carry it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="name must be a lower-case DNS label"
	Name string `json:"name,omitempty"`

	// revision pins a version of the object: the name of one of its ControllerRevisions, as status.revision of
	// the object showed it at the time. Without it, the object is taken as it is. Setting it to an earlier
	// revision is a roll-back.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="revision must be the name of a ControllerRevision"
	Revision string `json:"revision,omitempty"`
}

// DeletionPolicy says what happens to stored media when an Event is deleted.
// +kubebuilder:validation:Enum=RetainOutputs;Delete;Retain
type DeletionPolicy string

const (
	// DeletionRetainOutputs keeps clips, reels and exports in the bucket and removes everything else.
	DeletionRetainOutputs DeletionPolicy = "RetainOutputs"
	// DeletionDelete removes every object of the Event.
	DeletionDelete DeletionPolicy = "Delete"
	// DeletionRetain keeps every object of the Event, its ingested units too.
	DeletionRetain DeletionPolicy = "Retain"
)

// RenderPolicy says whether a kind of output is made.
// +kubebuilder:validation:Enum=Render;Skip
type RenderPolicy string

const (
	// Render makes the output.
	Render RenderPolicy = "Render"
	// Skip leaves the output out.
	Skip RenderPolicy = "Skip"
)
