// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the five kinds of MRE Operator: Plugin, Model, Profile, Event and Replay.
//
// The package imports no controller code, so that other programs can use the types alone.
//
// +kubebuilder:object:generate=true
// +groupName=mre.media
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the API group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "mre.media", Version: "v1alpha1"}

	// SchemeBuilder collects the functions that add this package's kinds to a scheme.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds this package's kinds to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Plugin{}, &PluginList{},
		&Model{}, &ModelList{},
		&Profile{}, &ProfileList{},
		&Event{}, &EventList{},
		&Replay{}, &ReplayList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
