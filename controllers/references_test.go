// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// conditionOf reads a condition afresh.
func conditionOf(ctx context.Context, o client.Object, kind string) func(Gomega) metav1.Condition {
	return func(g Gomega) metav1.Condition {
		g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		var list []metav1.Condition
		var observed int64
		switch o := o.(type) {
		case *mrev1.Plugin:
			list, observed = o.Status.Conditions, o.Status.ObservedGeneration
		case *mrev1.Model:
			list, observed = o.Status.Conditions, o.Status.ObservedGeneration
		case *mrev1.Profile:
			list, observed = o.Status.Conditions, o.Status.ObservedGeneration
		case *mrev1.Event:
			list, observed = o.Status.Conditions, o.Status.ObservedGeneration
		case *mrev1.Replay:
			list, observed = o.Status.Conditions, o.Status.ObservedGeneration
		}
		g.Expect(observed).To(Equal(o.GetGeneration()))
		c := meta.FindStatusCondition(list, kind)
		g.Expect(c).NotTo(BeNil(), "%s is not set", kind)
		return *c
	}
}

// in puts an object into a namespace as a person would create it.
func in[T client.Object](namespace string, o T) T {
	o.SetNamespace(namespace)
	o.SetGeneration(0)
	o.SetUID("")
	o.SetCreationTimestamp(metav1.Time{})
	return o
}

var _ = Describe("References", func() {
	var ns string
	BeforeEach(func(ctx context.Context) { ns = newNamespace(ctx) })

	It("are resolved in any order of apply", func(ctx context.Context) {
		profile := in(ns, makeProfile(func(p *mrev1.Profile) {
			u := use(scenes)
			u.Model = &mrev1.LocalReference{Name: "m"}
			p.Spec.Featurers = featurers(u)
		}))
		Expect(k8s.Create(ctx, profile)).To(Succeed())
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReferencesResolved)).Should(
			is("False", mrev1.ReasonReferenceNotFound, "spec.segmenter.plugin: Plugin "+moment,
				"spec.featurers[0].plugin: Plugin "+scenes))
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReconciling)).Should(is("True", mrev1.ReasonReferenceNotFound))

		plugins := usualPlugins()
		plugins[0].Spec.Models = references("m")
		for _, plugin := range slices.Backward(plugins) {
			Expect(k8s.Create(ctx, in(ns, plugin))).To(Succeed())
		}
		Eventually(conditionOf(ctx, plugins[0], mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonReferenceNotFound, "spec.models: Model m"))
		Eventually(conditionOf(ctx, plugins[2], mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonReferenceNotFound, "spec.featurers[0].model: Model m"))

		model := in(ns, makeModel("m", mrev1.ClassFeaturer))
		Expect(k8s.Create(ctx, model)).To(Succeed())
		Eventually(conditionOf(ctx, model, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		Eventually(conditionOf(ctx, plugins[0], mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		Expect(profile.Status.Graph).To(HaveExactElements(
			mrev1.GraphStep{Plugins: []string{peaks, scenes}}, mrev1.GraphStep{Plugins: []string{moment}},
			mrev1.GraphStep{Plugins: []string{label, snapTo}}))
		Expect(profile.Status.Conditions).NotTo(ContainElement(HaveField("Type", mrev1.ConditionReconciling)))

		called := func(p *mrev1.Plugin, name string) {
			before := p.DeepCopy()
			p.Annotations = map[string]string{mrev1.AnnotationMREName: name}
			Expect(k8s.Patch(ctx, p, client.MergeFrom(before))).To(Succeed())
		}
		called(plugins[1], "DetectAudioPeaks")
		called(plugins[2], "DetectAudioPeaks")
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonInvalidMREName, peaks, moment, "DetectAudioPeaks"))
		Expect(conditionOf(ctx, profile, mrev1.ConditionReferencesResolved)(Default)).
			To(is("False", mrev1.ReasonInvalidMREName))
		called(plugins[2], "SegmentByKeyMoment")
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))

		Expect(k8s.Delete(ctx, plugins[1])).To(Succeed())
		Eventually(conditionOf(ctx, plugins[2], mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonReferenceNotFound, "spec.dependsOn: Plugin "+peaks))
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonReferenceNotFound, peaks))
		Expect(profile.Status.Graph).To(BeEmpty())
	})

	It("keep the order of dependencies that is applied", func(ctx context.Context) {
		for _, want := range [][]string{{"b", "a", "c"}, {"a", "c", "b"}} {
			p := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": mrev1.GroupVersion.String(), "kind": "Plugin",
				"metadata": map[string]any{"name": "ordered", "namespace": ns},
				"spec": map[string]any{"class": "Segmenter", "mediaType": "Video",
					"runtime": map[string]any{"builtin": map[string]any{"name": "key-moment"}},
					"dependsOn": []any{map[string]any{"name": want[0]}, map[string]any{"name": want[1]},
						map[string]any{"name": want[2]}}},
			}}
			Expect(k8s.Apply(ctx, client.ApplyConfigurationFromUnstructured(p), client.FieldOwner("somebody"))).To(Succeed())
			var stored mrev1.Plugin
			Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: "ordered"}, &stored)).To(Succeed())
			Expect(stored.Spec.DependsOn).To(Equal(references(want...)))
		}
	})

	It("in a circle are named with their path, by every member, until it is broken", func(ctx context.Context) {
		a := in(ns, makePlugin("a", mrev1.ClassFeaturer, "scene-change", dependsOn("b")))
		b := in(ns, makePlugin("b", mrev1.ClassFeaturer, "scene-change", dependsOn("c")))
		c := in(ns, makePlugin("c", mrev1.ClassFeaturer, "scene-change"))
		for _, p := range []*mrev1.Plugin{a, b, c} {
			Expect(k8s.Create(ctx, p)).To(Succeed())
		}
		for _, p := range []*mrev1.Plugin{a, b, c} {
			Eventually(conditionOf(ctx, p, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		}
		before := c.DeepCopy()
		c.Spec.DependsOn = references("a")
		Expect(k8s.Patch(ctx, c, client.MergeFrom(before))).To(Succeed())
		Eventually(conditionOf(ctx, a, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonDependencyCycle, "a → b → c → a"))
		Eventually(conditionOf(ctx, b, mrev1.ConditionStalled)).
			Should(is("True", mrev1.ReasonDependencyCycle, "b → c → a → b"))
		Eventually(conditionOf(ctx, c, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonDependencyCycle, "c → a → b → c"))

		before = c.DeepCopy()
		c.Spec.DependsOn = nil
		Expect(k8s.Patch(ctx, c, client.MergeFrom(before))).To(Succeed())
		for _, p := range []*mrev1.Plugin{a, b, c} {
			Eventually(conditionOf(ctx, p, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		}
	})

	It("to a Plugin that was mended heal the Profile", func(ctx context.Context) {
		plugins := usualPlugins()
		plugins[2].Spec.Configuration.Raw = []byte(`{"preRollSeconds": "soon"}`)
		for _, p := range plugins {
			Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
		}
		profile := in(ns, makeProfile())
		Expect(k8s.Create(ctx, profile)).To(Succeed())
		Eventually(conditionOf(ctx, plugins[2], mrev1.ConditionStalled)).Should(
			is("True", mrev1.ReasonInvalidConfiguration, "spec.configuration.preRollSeconds"))
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonReferenceNotReady, "Plugin "+moment, "preRollSeconds"))

		before := plugins[2].DeepCopy()
		plugins[2].Spec.Configuration.Raw = []byte(`{"preRollSeconds": 3}`)
		Expect(k8s.Patch(ctx, plugins[2], client.MergeFrom(before))).To(Succeed())
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
	})
})
