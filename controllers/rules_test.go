// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

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

// resources are written as in a manifest.
func resources(limits, requests string) *corev1.ResourceRequirements {
	out := &corev1.ResourceRequirements{}
	if err := yaml.Unmarshal([]byte("limits: {"+limits+"}\nrequests: {"+requests+"}"), out); err != nil {
		panic(err)
	}
	return out
}

func withConfiguration(p *mrev1.Plugin, json string) *mrev1.Plugin {
	configured(json)(p)
	return p
}

func TestCheckPodTemplate(t *testing.T) {
	const path = "spec.processing.podTemplate"
	toleration := func(change corev1.Toleration) mrev1.PodTemplate {
		return mrev1.PodTemplate{Tolerations: []corev1.Toleration{{Key: "a", Operator: "Exists"}, change}}
	}
	invalid := func(says ...string) wantFinding { return wantFinding{mrev1.ReasonInvalidPod, Stall, says} }
	for name, tc := range map[string]struct {
		template mrev1.PodTemplate
		want     wantFinding
	}{
		"all of it": {template: mrev1.PodTemplate{
			NodeSelector: map[string]string{"example.com/disk": "fast"}, Resources: resources("memory: 2Gi", "memory: 1Gi"),
			Tolerations: []corev1.Toleration{{Key: "a", Value: "b", Effect: "NoSchedule"}, {Operator: "Exists"},
				{Key: "c", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(3))}}}},
		"label with a space": {mrev1.PodTemplate{NodeSelector: map[string]string{"fast disk": "yes"}},
			invalid(path + ".nodeSelector[fast disk]")},
		"label with a bad value": {mrev1.PodTemplate{NodeSelector: map[string]string{"disk": "very fast"}},
			invalid(path + ".nodeSelector[disk]")},
		"toleration without a key": {toleration(corev1.Toleration{Value: "x"}),
			invalid(path+".tolerations[1]", "key is missing")},
		"toleration of any value": {toleration(corev1.Toleration{Key: "b", Operator: "Exists", Value: "x"}),
			invalid(path+".tolerations[1]", "value must be empty")},
		"toleration for a while": {toleration(corev1.Toleration{Key: "b", Effect: "NoSchedule",
			TolerationSeconds: new(int64(3))}), invalid("tolerationSeconds")},
		"unknown effect":   {toleration(corev1.Toleration{Key: "b", Effect: "NoWay"}), invalid("NoWay")},
		"key with a space": {toleration(corev1.Toleration{Key: "b c"}), invalid("b c")},
		"request above the limit": {mrev1.PodTemplate{Resources: resources("cpu: 1", "cpu: 2")},
			invalid(path + ".resources.requests[cpu]")},
	} {
		t.Run(name, func(t *testing.T) { tc.want.check(t, checkPodTemplate(path, tc.template)) })
	}
	pool := makeProfile(func(p *mrev1.Profile) {
		p.Spec.Processing.Pools = []mrev1.WorkerPool{{Name: "a"},
			{Name: "b", PodTemplate: &mrev1.PodTemplate{NodeSelector: map[string]string{"x y": ""}}}}
	})
	invalid("spec.processing.pools[1].podTemplate.nodeSelector").check(t,
		catalogueOf(nil, usualPlugins()...).checkProfile(pool))
}

// A pool that no plugin names does no harm, and is told.
func TestUnusedPools(t *testing.T) {
	profile := makeProfile(func(p *mrev1.Profile) {
		p.Spec.Featurers = featurers(use("crowd"))
		p.Spec.Processing.Pools = []mrev1.WorkerPool{{Name: "gpu"}, {Name: "npu"}}
	})
	cat := catalogueOf(nil, append(usualPlugins(), makeContainer("crowd", mrev1.ClassFeaturer, inPool("gpu")))...)
	setProfileStatus(profile, cat, conditions{list: &profile.Status.Conditions, now: now0})
	ready := meta.FindStatusCondition(profile.Status.Conditions, mrev1.ConditionReady)
	if ready.Status != metav1.ConditionTrue || !strings.HasSuffix(ready.Message, "spec.processing.pools: npu") {
		t.Errorf("Ready %s: %s", ready.Status, ready.Message)
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
		"no runtime": {
			plugin: makePlugin("p", mrev1.ClassFeaturer, "", func(p *mrev1.Plugin) { p.Spec.Runtime.Builtin = nil }),
			want:   wantFinding{mrev1.ReasonUnknownBuiltin, Stall, []string{"spec.runtime"}},
		},
		"container": {plugin: makeContainer("p", mrev1.ClassSegmenter, func(c *mrev1.ContainerRuntime) {
			c.Env = []corev1.EnvVar{{Name: "LOG.LEVEL", Value: "1"}, {Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{}}}
			c.Resources = resources("memory: 1Gi", "cpu: 250m, memory: 1Gi")
		})},
		"container whose settings nobody knows": {plugin: withConfiguration(makeContainer("p", mrev1.ClassFeaturer),
			`{"colour": "red"}`)},
		"container with a list of settings": {
			plugin: withConfiguration(makeContainer("p", mrev1.ClassFeaturer), `["red"]`),
			want:   wantFinding{mrev1.ReasonInvalidConfiguration, Stall, []string{"spec.configuration"}},
		},
		"container with a dependency that is missing": {
			plugin: func() *mrev1.Plugin {
				p := makeContainer("p", mrev1.ClassFeaturer)
				dependsOn("a")(p)
				return p
			}(),
			want: wantFinding{mrev1.ReasonReferenceNotFound, Wait, []string{"spec.dependsOn"}},
		},
		"variable that no process can have": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Env = []corev1.EnvVar{{Name: "A=B"}}
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall, []string{"spec.runtime.container.env", "A=B"}},
		},
		"variable with two values": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Env = []corev1.EnvVar{{Name: "A", Value: "1", ValueFrom: &corev1.EnvVarSource{}}}
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall, []string{"spec.runtime.container.env", "A has both"}},
		},
		"egress to no address": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Egress = []networkingv1.NetworkPolicyEgressRule{{},
					{To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "example.com"}}}}}
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall, []string{"spec.runtime.container.egress[1]", "example.com"}},
		},
		"request above the limit": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Resources = resources("memory: 1Gi", "memory: 2Gi")
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall,
				[]string{"spec.runtime.container.resources.requests[memory]", "2Gi", "1Gi"}},
		},
		"negative memory": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Resources = resources("memory: -1", "")
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall, []string{"spec.runtime.container.resources.limits[memory]"}},
		},
		"half a GPU": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Resources = resources("nvidia.com/gpu: 500m", "")
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall,
				[]string{"spec.runtime.container.resources.limits[nvidia.com/gpu]", "whole"}},
		},
		"GPU without a limit": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Resources = resources("", "nvidia.com/gpu: 1")
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall,
				[]string{"spec.runtime.container.resources.requests[nvidia.com/gpu]"}},
		},
		"resource with a space": {
			plugin: makeContainer("p", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
				c.Resources = resources("big gpu: 1", "")
			}),
			want: wantFinding{mrev1.ReasonInvalidPod, Stall, []string{"spec.runtime.container.resources.limits[big gpu]"}},
		},
		"unknown builtin": {
			plugin: makePlugin("p", mrev1.ClassFeaturer, "crystal-ball"),
			want: wantFinding{mrev1.ReasonUnknownBuiltin, Stall,
				[]string{"spec.runtime.builtin.name", "crystal-ball", "scene-change"}},
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
			want: wantFinding{mrev1.ReasonInvalidConfiguration, Stall,
				[]string{"spec.configuration.preRollSeconds", "; spec.configuration.colour"}},
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
	without := func(names ...string) []*mrev1.Plugin {
		var out []*mrev1.Plugin
		for _, p := range usualPlugins() {
			if !slices.Contains(names, p.Name) {
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
				[]string{"spec.segmenter.plugin: Plugin " + moment,
					"spec.optimizer.plugin: Plugin " + snapTo, "spec.labeler.plugin"}},
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
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Featurers = featurers(use(scenes), use(moment)) }),
			plugins: usualPlugins(), want: wantFinding{mrev1.ReasonWrongClass, Stall, []string{"spec.featurers[1].plugin"}},
		},
		"model that the plugin does not list": {
			profile: makeProfile(picked("m")), plugins: usualPlugins(),
			models: []*mrev1.Model{makeModel("m", mrev1.ClassFeaturer)},
			want:   wantFinding{mrev1.ReasonModelNotAllowed, Stall, []string{"spec.featurers[0].model", "does not list"}},
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
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"preRollSeconds": 99}`) }),
			plugins: usualPlugins(), want: wantFinding{mrev1.ReasonInvalidConfiguration, Stall,
				[]string{"spec.segmenter.configuration.preRollSeconds"}},
		},
		"override is invalid with the default": {
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"maxSeconds": 5}`) }),
			plugins: append(without(moment), makePlugin(moment, mrev1.ClassSegmenter,
				"key-moment", configured(`{"minSeconds": 10}`))),
			want: wantFinding{mrev1.ReasonInvalidConfiguration, Stall, []string{"spec.segmenter.configuration.minSeconds"}},
		},
		"a wrong override is told while something is missing": {
			profile: makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"colour": 1}`) }),
			plugins: without(snapTo), want: wantFinding{mrev1.ReasonInvalidConfiguration, Stall,
				[]string{"spec.segmenter.configuration.colour"}},
		},
		"circle": {
			profile: makeProfile(),
			plugins: append(without(peaks), makePlugin(peaks, mrev1.ClassFeaturer, "audio-peaks", onAudio, dependsOn("x")),
				makePlugin("x", mrev1.ClassFeaturer, "scene-change", dependsOn(peaks))),
			want: wantFinding{mrev1.ReasonDependencyCycle, Stall, []string{peaks + " → x → " + peaks}},
		},
		"two plugins with one name in MRE": {
			profile: makeProfile(),
			plugins: append(without(moment, peaks),
				calledInMRE("DetectAudioPeaks", makePlugin(peaks, mrev1.ClassFeaturer, "audio-peaks", onAudio)),
				calledInMRE("DetectAudioPeaks", makePlugin(moment, mrev1.ClassSegmenter, "key-moment", dependsOn(peaks)))),
			want: wantFinding{mrev1.ReasonInvalidMREName, Stall, []string{moment, peaks, `"DetectAudioPeaks"`}},
		},
		"a name in MRE that is another plugin's here": {
			profile: makeProfile(), plugins: append(without(moment),
				calledInMRE(peaks, makePlugin(moment, mrev1.ClassSegmenter, "key-moment", dependsOn(peaks)))),
			want: wantFinding{mrev1.ReasonInvalidMREName, Stall, []string{moment, peaks}},
		},
		"an empty name in MRE": {
			profile: makeProfile(), plugins: append(without(moment),
				calledInMRE("", makePlugin(moment, mrev1.ClassSegmenter, "key-moment", dependsOn(peaks)))),
			want: wantFinding{mrev1.ReasonInvalidMREName, Stall, []string{moment, "1 to 150"}},
		},
		"a name in MRE that is its own here": {
			profile: makeProfile(), plugins: append(without(moment),
				calledInMRE(moment, makePlugin(moment, mrev1.ClassSegmenter, "key-moment", dependsOn(peaks)))),
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
