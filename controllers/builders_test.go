// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	appsv1 "k8s.io/api/apps/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Builders of objects as the API server would store them, with defaults.

func references(names ...string) []mrev1.LocalReference {
	var out []mrev1.LocalReference
	for _, n := range names {
		out = append(out, mrev1.LocalReference{Name: n})
	}
	return out
}

func makePlugin(name string, class mrev1.PluginClass, builtin string, change ...func(*mrev1.Plugin)) *mrev1.Plugin {
	p := &mrev1.Plugin{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", Generation: 1},
		Spec: mrev1.PluginSpec{
			Class: class, MediaType: mrev1.MediaVideo,
			Runtime: mrev1.PluginRuntime{Builtin: &mrev1.BuiltinRuntime{Name: builtin}},
			Policy:  mrev1.PluginPolicy{TimeoutSeconds: 60, MaxAttempts: 3},
		},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

// calledInMRE gives a Plugin its name in MRE.
func calledInMRE(name string, p *mrev1.Plugin) *mrev1.Plugin {
	p.Annotations = map[string]string{mrev1.AnnotationMREName: name}
	return p
}

func dependsOn(names ...string) func(*mrev1.Plugin) {
	return func(p *mrev1.Plugin) { p.Spec.DependsOn = references(names...) }
}

func configured(json string) func(*mrev1.Plugin) {
	return func(p *mrev1.Plugin) { p.Spec.Configuration = &apiextensionsv1.JSON{Raw: []byte(json)} }
}

func onAudio(p *mrev1.Plugin) { p.Spec.MediaType = mrev1.MediaAudio }

func withModels(names ...string) func(*mrev1.Plugin) {
	return func(p *mrev1.Plugin) { p.Spec.Models = references(names...) }
}

func makeModel(name string, class mrev1.PluginClass) *mrev1.Model {
	return &mrev1.Model{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec: mrev1.ModelSpec{PluginClass: class,
			Endpoint: &mrev1.EndpointModel{Value: "https://model.example.com/" + name}},
	}
}

// makeContainer is a Plugin that runs in a container of its own.
func makeContainer(name string, class mrev1.PluginClass, change ...func(*mrev1.ContainerRuntime)) *mrev1.Plugin {
	p := makePlugin(name, class, "")
	c := &mrev1.ContainerRuntime{Image: "registry.example.com/" + name + ":v1",
		Protocol: mrev1.ProtocolLambdaRuntime, StartTimeoutSeconds: 300}
	for _, f := range change {
		f(c)
	}
	p.Spec.Runtime = mrev1.PluginRuntime{Container: c}
	return p
}

func inPool(name string) func(*mrev1.ContainerRuntime) {
	return func(c *mrev1.ContainerRuntime) { c.Pool = name }
}

func commanded(command ...string) func(*mrev1.ContainerRuntime) {
	return func(c *mrev1.ContainerRuntime) { c.Command = command }
}

func makeServer(name string, class mrev1.PluginClass, o mrev1.OpenInferenceModel) *mrev1.Model {
	m := makeModel(name, class)
	m.Spec.Endpoint, m.Spec.OpenInference = nil, &o
	return m
}

// Names of the plugins of the usual Profile.
const (
	scenes = "detect-scenes"
	peaks  = "detect-peaks"
	moment = "segment-moments"
	snapTo = "optimize-snap"
	label  = "label-template"
)

// usualPlugins are one of each built-in.
func usualPlugins() []*mrev1.Plugin {
	return []*mrev1.Plugin{
		makePlugin(scenes, mrev1.ClassFeaturer, "scene-change"),
		makePlugin(peaks, mrev1.ClassFeaturer, "audio-peaks", onAudio),
		makePlugin(moment, mrev1.ClassSegmenter, "key-moment", dependsOn(peaks), configured(`{"preRollSeconds": 4}`)),
		makePlugin(snapTo, mrev1.ClassOptimizer, "snap", dependsOn(scenes)),
		makePlugin(label, mrev1.ClassLabeler, "template"),
	}
}

func use(name string) mrev1.PluginUse {
	return mrev1.PluginUse{Plugin: mrev1.RevisionReference{Name: name}}
}

func useWith(name, json string) mrev1.PluginUse {
	u := use(name)
	u.Configuration = &apiextensionsv1.JSON{Raw: []byte(json)}
	return u
}

func featurers(uses ...mrev1.PluginUse) []mrev1.FeaturerUse {
	var out []mrev1.FeaturerUse
	for _, u := range uses {
		out = append(out, mrev1.FeaturerUse{PluginUse: u})
	}
	return out
}

func makeProfile(change ...func(*mrev1.Profile)) *mrev1.Profile {
	p := &mrev1.Profile{
		ObjectMeta: metav1.ObjectMeta{Name: "soccer", Namespace: "default", Generation: 1},
		Spec: mrev1.ProfileSpec{
			ChunkSeconds: 20, MaxSegmentSeconds: 120,
			Segmenter:  use(moment),
			Optimizer:  new(use(snapTo)),
			Labeler:    new(use(label)),
			Processing: mrev1.ProcessingSpec{MinWorkers: 2, MinRenderers: 1, DrainTimeoutSeconds: 1800},
		},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func makeEvent(change ...func(*mrev1.Event)) *mrev1.Event {
	e := &mrev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "final", Namespace: "default", UID: "11111111-2222-3333-4444-555555555555",
			Generation: 1, CreationTimestamp: metav1.NewTime(now0)},
		Spec: mrev1.EventSpec{
			Program: "Open 2026", ProfileRef: mrev1.RevisionReference{Name: "soccer"},
			Source:         mrev1.EventSource{File: &mrev1.FileSource{URL: "https://example.com/match.mp4"}},
			Clips:          mrev1.ClipsSpec{Original: mrev1.Render, Optimized: mrev1.Render, Thumbnails: mrev1.Render},
			DeletionPolicy: mrev1.DeletionRetainOutputs,
		},
	}
	for _, f := range change {
		f(e)
	}
	return e
}

func makeReplay(change ...func(*mrev1.Replay)) *mrev1.Replay {
	r := &mrev1.Replay{
		ObjectMeta: metav1.ObjectMeta{Name: "best", Namespace: "default", Generation: 1},
		Spec: mrev1.ReplaySpec{
			EventRef: mrev1.LocalReference{Name: "final"}, AudioTrack: 1,
			Select: mrev1.ReplaySelection{
				ByDuration: &mrev1.SelectByDuration{DurationSeconds: 60,
					ToleranceSeconds: ptr.To[int32](10), Distribution: "ByScore"},
				Features: []mrev1.FeatureWeight{{Plugin: peaks, Attribute: "AudioPeak", Weight: 80}},
			},
			Outputs: mrev1.ReplayOutputs{Resolutions: []string{"1280x720"}},
		},
	}
	for _, f := range change {
		f(r)
	}
	return r
}

func catalogueOf(models []*mrev1.Model, plugins ...*mrev1.Plugin) *Catalogue {
	c := &Catalogue{Plugins: map[string]*mrev1.Plugin{}, Models: map[string]*mrev1.Model{},
		Revisions: map[string]*appsv1.ControllerRevision{}}
	for _, p := range plugins {
		c.Plugins[p.Name] = p
	}
	for _, m := range models {
		c.Models[m.Name] = m
	}
	return c
}
