// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// model makes a Model of each version that was given: MRE's plugins and profiles pick versions.
func (im *importer) model(d *document) (*mrev1.Model, error) {
	class, err := classOf(d, "PluginClass")
	if err != nil {
		return nil, err
	}
	m := &mrev1.Model{
		TypeMeta:   metav1.TypeMeta{APIVersion: mrev1.GroupVersion.String(), Kind: "Model"},
		ObjectMeta: im.meta(d, kindModel, d.text("Name")),
		Spec: mrev1.ModelSpec{
			PluginClass: class,
			Endpoint:    &mrev1.EndpointModel{Value: d.text("Endpoint")},
			Description: d.text("Description"),
		},
	}
	m.Name = im.versioned(d.text("Name"), d.version())
	// v0 and the version that it is a copy of are the same.
	for _, other := range im.models {
		if other == d {
			break
		}
		if other.text("Name") == d.text("Name") && other.version() == d.version() {
			if other.text("Endpoint") != d.text("Endpoint") {
				d.warn("Endpoint", "is left out: %s has another one for the same version", other.Source)
			}
			return nil, nil
		}
	}
	return m, nil
}

// modelReference is the Model that a reference means.
func (im *importer) modelReference(d *document) string {
	return im.versioned(d.text("Name"), d.text("Version"))
}

// versioned is the name of a version of a model. The newest one, and one that was not given, bear the name alone.
func (im *importer) versioned(name, version string) string {
	newest, given := int64(0), false
	for _, m := range im.models {
		if m.text("Name") != name {
			continue
		}
		newest = max(newest, versionNumber(m.version()))
		given = given || m.version() == version
	}
	if !given || versionNumber(version) == newest {
		return im.names.of(kindModel, name)
	}
	// The version is part of the name that is made a label, so that it is kept short as a whole.
	return im.names.of(kindModel, name+" "+version)
}
