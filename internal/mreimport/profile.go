// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Bounds of the Profile kind.
const (
	minChunk, maxChunk     = 2, 60
	minSegment, maxSegment = 1, 7200
	maxFeaturers           = 32
	maxVariables           = 128
)

func (im *importer) profile(d *document) (*mrev1.Profile, error) {
	p := &mrev1.Profile{
		TypeMeta:   metav1.TypeMeta{APIVersion: mrev1.GroupVersion.String(), Kind: "Profile"},
		ObjectMeta: im.meta(d, kindProfile, d.text("Name")),
		Spec: mrev1.ProfileSpec{
			ChunkSeconds:      within(d, "ChunkSize", minChunk, maxChunk),
			MaxSegmentSeconds: within(d, "MaxSegmentLengthSeconds", minSegment, maxSegment),
			// MRE keeps what the plugins say.
			SegmentOverlap: mrev1.OverlapAllow,
			Variables:      variables(d),
		},
	}
	if rate := d.number("ProcessingFrameRate"); rate > 0 {
		p.Spec.ProcessingFrameRate = strconv.FormatInt(rate, 10)
	}
	b := profileBuilder{im: im, profile: p, seen: map[string]*document{}}
	classifier := d.object("Classifier")
	if classifier == nil {
		return nil, errors.New("the Classifier is empty; a profile has one")
	}
	for _, c := range []struct {
		field string
		place func(mrev1.PluginUse)
	}{
		{"Classifier", func(u mrev1.PluginUse) { p.Spec.Segmenter = u }},
		{"Optimizer", func(u mrev1.PluginUse) { p.Spec.Optimizer = &u }},
		{"Labeler", func(u mrev1.PluginUse) { p.Spec.Labeler = &u }},
	} {
		use := d.object(c.field)
		if use == nil {
			continue
		}
		u, err := b.use(use)
		if err != nil {
			return nil, err
		}
		c.place(u)
	}
	for _, use := range d.objects("Featurers") {
		u, err := b.use(use)
		if err != nil {
			return nil, err
		}
		// MRE lets the segmenter wait unless it is told otherwise.
		before := true
		if priority, ok := use.boolean("IsPriorityForReplay"); ok {
			before = priority
		}
		b.featurer(use, mrev1.FeaturerUse{PluginUse: u, BeforeSegmenter: &before})
	}
	for _, field := range []string{"Classifier", "Optimizer", "Labeler"} {
		if use := d.object(field); use != nil {
			if err := b.dependents(use); err != nil {
				return nil, err
			}
		}
	}
	for _, use := range d.objects("Featurers") {
		if err := b.dependents(use); err != nil {
			return nil, err
		}
	}
	p.Spec.Featurers = bounded(d, "Featurers", p.Spec.Featurers, maxFeaturers)
	return p, nil
}

type profileBuilder struct {
	im      *importer
	profile *mrev1.Profile
	// seen are the uses of plugins so far, by the plugin's name here.
	seen map[string]*document
}

func (b *profileBuilder) use(d *document) (mrev1.PluginUse, error) {
	original := d.text("Name")
	u := mrev1.PluginUse{Plugin: mrev1.RevisionReference{Name: b.im.names.of(kindPlugin, original)}}
	if model := d.object("ModelEndpoint"); model != nil {
		u.Model = &mrev1.LocalReference{Name: b.im.modelReference(model)}
	}
	var err error
	if u.Configuration, err = configuration(d); err != nil {
		return u, fmt.Errorf("%s: %w", original, err)
	}
	b.replaced(d, original)
	d.get("IsPriorityForReplay")
	d.get("DependentPlugins")
	d.get("DependentFor")
	// MRE notes the newest version here; it pins nothing.
	d.get("Version")
	d.leftovers()
	return u, nil
}

// replaced warns of defaults that would show through: MRE puts a profile's configuration in place of the plugin's,
// we override single keys.
func (b *profileBuilder) replaced(d *document, original string) {
	own, _ := d.get("Configuration").(map[string]any)
	plugin := b.im.pluginOf[original]
	if len(own) == 0 || plugin == nil {
		return
	}
	defaults, _ := plugin.get("Configuration").(map[string]any)
	var through []string
	for _, key := range slices.Sorted(maps.Keys(defaults)) {
		if _, ok := own[key]; !ok {
			through = append(through, key)
		}
	}
	if len(through) > 0 {
		d.warn("Configuration", "leaves out %s, which MRE then takes as absent; here the Plugin's defaults hold for them",
			strings.Join(through, ", "))
	}
}

func (b *profileBuilder) featurer(d *document, f mrev1.FeaturerUse) {
	if before := b.seen[f.Plugin.Name]; before != nil {
		other := b.profile.Spec.Featurers[slices.IndexFunc(b.profile.Spec.Featurers, func(o mrev1.FeaturerUse) bool {
			return o.Plugin.Name == f.Plugin.Name
		})]
		if !sameConfiguration(other.Configuration, f.Configuration) || !sameModel(other.Model, f.Model) {
			d.warn("Name", "%q is used with other settings at %s, which hold: a plugin runs once for each chunk",
				d.text("Name"), before.Source)
		}
		return
	}
	b.seen[f.Plugin.Name] = d
	b.profile.Spec.Featurers = append(b.profile.Spec.Featurers, f)
}

// dependents lists the plugins that others of the profile depend on, where they have settings here. Without any they
// run by the Plugins' own dependsOn.
func (b *profileBuilder) dependents(use *document) error {
	for _, d := range use.objects("DependentPlugins") {
		u, err := b.use(d)
		if err != nil {
			return err
		}
		if u.Configuration == nil && u.Model == nil {
			continue
		}
		b.featurer(d, mrev1.FeaturerUse{PluginUse: u, BeforeSegmenter: new(false)})
	}
	return nil
}

func sameConfiguration(a, b *apiextensionsv1.JSON) bool {
	return a == nil && b == nil || a != nil && b != nil && bytes.Equal(a.Raw, b.Raw)
}

func sameModel(a, b *mrev1.LocalReference) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// within is a number of seconds between the bounds of ours. 0 is our default.
func within(d *document, field string, least, most int64) int32 {
	n := d.number(field)
	if n == 0 {
		return 0
	}
	if held := min(max(n, least), most); held != n {
		d.warn(field, "%d becomes %d: it must be between %d and %d", n, held, least, most)
		n = held
	}
	return int32(n)
}

func variables(d *document) []mrev1.Variable {
	declared := d.object("Variables")
	if declared == nil {
		return nil
	}
	var out []mrev1.Variable
	for _, name := range slices.Sorted(maps.Keys(declared.fields)) {
		value := declared.text(name)
		out = append(out, mrev1.Variable{Name: name, Value: &value})
	}
	return bounded(d, "Variables", out, maxVariables)
}
