// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

type wantFinding struct {
	reason string
	next   Next
	// says are parts of the message.
	says []string
}

func (w wantFinding) check(t *testing.T, got *Finding) {
	t.Helper()
	if w.reason == "" {
		if got != nil {
			t.Fatalf("got %+v, want none", *got)
		}
		return
	}
	if got == nil {
		t.Fatalf("got no finding, want %s", w.reason)
	}
	if got.Reason == w.reason && got.Next == w.next {
		asserted.Store(got.Reason, true)
	} else {
		t.Errorf("got %s (next %d), want %s (next %d): %s", got.Reason, got.Next, w.reason, w.next, got.Message)
	}
	for _, part := range w.says {
		if !strings.Contains(got.Message, part) {
			t.Errorf("message %q does not say %q", got.Message, part)
		}
	}
}

func TestCheckPlugin(t *testing.T) {
	for name, tc := range map[string]struct {
		plugin *mrev1.Plugin
		others []*mrev1.Plugin
		models []*mrev1.Model
		want   wantFinding
	}{
		"accepted": {plugin: makePlugin("p", mrev1.ClassFeaturer, "scene-change")},
		"unknown builtin": {
			plugin: makePlugin("p", mrev1.ClassFeaturer, "crystal-ball"),
			want:   wantFinding{mrev1.ReasonUnknownBuiltin, Stall, []string{"spec.runtime.builtin.name", "crystal-ball", "scene-change"}},
		},
		"class is not the builtin's": {
			plugin: makePlugin("p", mrev1.ClassFeaturer, "key-moment"),
			want:   wantFinding{mrev1.ReasonWrongClass, Stall, []string{"spec.class", "Segmenter"}},
		},
		"media is not the builtin's": {
			plugin: makePlugin("p", mrev1.ClassFeaturer, "audio-peaks"),
			want:   wantFinding{mrev1.ReasonWrongMediaType, Stall, []string{"spec.mediaType", "Video"}},
		},
		"configuration names the key": {
			plugin: makePlugin("p", mrev1.ClassSegmenter, "key-moment", configured(`{"preRollSeconds": -1}`)),
			want:   wantFinding{mrev1.ReasonInvalidConfiguration, Stall, []string{"spec.configuration.preRollSeconds"}},
		},
		"each key is named": {
			plugin: makePlugin("p", mrev1.ClassSegmenter, "key-moment", configured(`{"preRollSeconds": -1, "colour": "red"}`)),
			want:   wantFinding{mrev1.ReasonInvalidConfiguration, Stall, []string{"spec.configuration.preRollSeconds", "; spec.configuration.colour"}},
		},
		"dependency missing": {
			plugin: makePlugin("p", mrev1.ClassSegmenter, "key-moment", dependsOn("zulu", "alpha")),
			want:   wantFinding{mrev1.ReasonReferenceNotFound, Wait, []string{"spec.dependsOn", "alpha, zulu"}},
		},
		"dependency is no featurer": {
			plugin: makePlugin("p", mrev1.ClassSegmenter, "key-moment", dependsOn("s")),
			others: []*mrev1.Plugin{makePlugin("s", mrev1.ClassOptimizer, "snap")},
			want:   wantFinding{mrev1.ReasonWrongClass, Stall, []string{"spec.dependsOn", "s is a Optimizer"}},
		},
		"circle": {
			plugin: makePlugin("a", mrev1.ClassFeaturer, "scene-change", dependsOn("b")),
			others: []*mrev1.Plugin{
				makePlugin("b", mrev1.ClassFeaturer, "scene-change", dependsOn("c")),
				makePlugin("c", mrev1.ClassFeaturer, "scene-change", dependsOn("a")),
			},
			want: wantFinding{mrev1.ReasonDependencyCycle, Stall, []string{"a → b → c → a"}},
		},
		"circle further on": {
			plugin: makePlugin("p", mrev1.ClassSegmenter, "key-moment", dependsOn("b")),
			others: []*mrev1.Plugin{
				makePlugin("b", mrev1.ClassFeaturer, "scene-change", dependsOn("c")),
				makePlugin("c", mrev1.ClassFeaturer, "scene-change", dependsOn("b")),
			},
			want: wantFinding{mrev1.ReasonDependencyCycle, Stall, []string{"b → c → b"}},
		},
		"model missing": {
			plugin: makePlugin("p", mrev1.ClassFeaturer, "scene-change", withModels("m")),
			want:   wantFinding{mrev1.ReasonReferenceNotFound, Wait, []string{"spec.models", "m not found"}},
		},
		"model of another class": {
			plugin: makePlugin("p", mrev1.ClassFeaturer, "scene-change", withModels("m")),
			models: []*mrev1.Model{makeModel("m", mrev1.ClassLabeler)},
			want:   wantFinding{mrev1.ReasonModelNotAllowed, Stall, []string{"spec.models", "Labeler"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cat := catalogueOf(tc.models, append(tc.others, tc.plugin)...)
			tc.want.check(t, cat.checkPlugin(tc.plugin))
		})
	}
}

func TestCheckProfile(t *testing.T) {
	without := func(name string) []*mrev1.Plugin {
		var out []*mrev1.Plugin
		for _, p := range usualPlugins() {
			if p.Name != name {
				out = append(out, p)
			}
		}
		return out
	}
	picked := func(model string) func(*mrev1.Profile) {
		return func(p *mrev1.Profile) {
			u := use(scenes)
			u.Model = &mrev1.LocalReference{Name: model}
			p.Spec.Featurers = featurers(u)
		}
	}
	for name, tc := range map[string]struct {
		profile *mrev1.Profile
		plugins []*mrev1.Plugin
		models  []*mrev1.Model
		want    wantFinding
	}{
		"accepted": {profile: makeProfile(), plugins: usualPlugins()},
		"everything missing is named": {
			profile: makeProfile(),
			want: wantFinding{mrev1.ReasonReferenceNotFound, Wait,
				[]string{"spec.segmenter.plugin: Plugin " + moment, "spec.optimizer.plugin: Plugin " + snapTo, "spec.labeler.plugin"}},
		},
		"dependency of a plugin missing": {
			profile: makeProfile(), plugins: without(peaks),
			want: wantFinding{mrev1.ReasonReferenceNotFound, Wait, []string{"Plugin " + peaks + ", which others depend on"}},
		},
		"featurer as segmenter": {
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = use(scenes) }), plugins: usualPlugins(),
			want: wantFinding{mrev1.ReasonWrongClass, Stall, []string{"spec.segmenter.plugin", "Featurer"}},
		},
		"segmenter as featurer": {
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Featurers = featurers(use(scenes), use(moment)) }), plugins: usualPlugins(),
			want: wantFinding{mrev1.ReasonWrongClass, Stall, []string{"spec.featurers[1].plugin"}},
		},
		"model that the plugin does not list": {
			profile: makeProfile(picked("m")), plugins: usualPlugins(), models: []*mrev1.Model{makeModel("m", mrev1.ClassFeaturer)},
			want: wantFinding{mrev1.ReasonModelNotAllowed, Stall, []string{"spec.featurers[0].model", "does not list"}},
		},
		"model of another class": {
			profile: makeProfile(picked("m")),
			plugins: append(without(scenes), makePlugin(scenes, mrev1.ClassFeaturer, "scene-change", withModels("m"))),
			models:  []*mrev1.Model{makeModel("m", mrev1.ClassSegmenter)},
			want:    wantFinding{mrev1.ReasonModelNotAllowed, Stall, []string{"spec.featurers[0].model", "is for a Segmenter"}},
		},
		"model missing": {
			profile: makeProfile(picked("m")),
			plugins: append(without(scenes), makePlugin(scenes, mrev1.ClassFeaturer, "scene-change", withModels("m"))),
			want:    wantFinding{mrev1.ReasonReferenceNotFound, Wait, []string{"spec.featurers[0].model: Model m"}},
		},
		"override is invalid": {
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"preRollSeconds": 99}`) }), plugins: usualPlugins(),
			want: wantFinding{mrev1.ReasonInvalidConfiguration, Stall, []string{"spec.segmenter.configuration.preRollSeconds"}},
		},
		"override is invalid with the default": {
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"maxSeconds": 5}`) }),
			plugins: append(without(moment), makePlugin(moment, mrev1.ClassSegmenter, "key-moment", configured(`{"minSeconds": 10}`))),
			want:    wantFinding{mrev1.ReasonInvalidConfiguration, Stall, []string{"spec.segmenter.configuration.minSeconds"}},
		},
		"a wrong override is told while something is missing": {
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"colour": 1}`) }), plugins: without(snapTo),
			want: wantFinding{mrev1.ReasonInvalidConfiguration, Stall, []string{"spec.segmenter.configuration.colour"}},
		},
		"circle": {
			profile: makeProfile(),
			plugins: append(without(peaks), makePlugin(peaks, mrev1.ClassFeaturer, "audio-peaks", onAudio, dependsOn("x")),
				makePlugin("x", mrev1.ClassFeaturer, "scene-change", dependsOn(peaks))),
			want: wantFinding{mrev1.ReasonDependencyCycle, Stall, []string{peaks + " → x → " + peaks}},
		},
		"plugin not ready": {
			profile: makeProfile(),
			plugins: append(without(scenes), makePlugin(scenes, mrev1.ClassFeaturer, "crystal-ball")),
			want:    wantFinding{mrev1.ReasonReferenceNotReady, Stall, []string{"Plugin " + scenes, mrev1.ReasonUnknownBuiltin}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.check(t, catalogueOf(tc.models, tc.plugins...).checkProfile(tc.profile))
		})
	}
}
