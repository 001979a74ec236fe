// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

var _ = Describe("Plugins in containers", func() {
	var ns string
	BeforeEach(func(ctx context.Context) { ns = newNamespace(ctx) })

	It("have pods that Kubernetes takes where security is restricted", func(ctx context.Context) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}
		before := namespace.DeepCopy()
		namespace.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
		Expect(k8s.Patch(ctx, namespace, client.MergeFrom(before))).To(Succeed())
		Expect(k8s.Create(ctx, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "nvidia"}, Handler: "nvidia"})).
			To(Succeed())
		Expect(k8s.Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "media"}, Value: 10})).
			To(Succeed())
		o, needs := podOptions(suite), gpuNeeds(suite)
		for _, slot := range []Slot{{RoleWorker, "", 0}, {RoleWorker, "gpu", 0}, {RoleRender, "", 0}} {
			job := buildJob(in(ns, makeEvent()), NewJob{Slot: slot, Attempt: 1}, needs, o)
			job.OwnerReferences = nil
			Expect(k8s.Create(ctx, job.DeepCopy(), client.DryRunAll, client.FieldValidation("Strict"))).To(Succeed())
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: job.Name, Labels: job.Labels},
				Spec: job.Spec.Template.Spec}
			Eventually(func() error {
				return k8s.Create(ctx, pod.DeepCopy(), client.DryRunAll, client.FieldValidation("Strict"))
			}).Should(Succeed())
			pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{Name: "rich", Image: "rich"})
			Expect(k8s.Create(ctx, pod, client.DryRunAll)).To(MatchError(ContainSubstring("PodSecurity")),
				"nobody looked at the pod")
		}
	})

	It("run as they were when the Event started, each pool in Jobs of its own", func(ctx context.Context) {
		crowd := in(ns, makeContainer("crowd", mrev1.ClassFeaturer, inPool("gpu"), commanded("crowd")))
		faces := in(ns, makeContainer("faces", mrev1.ClassFeaturer))
		Expect(k8s.Create(ctx, crowd)).To(Succeed())
		Expect(k8s.Create(ctx, faces)).To(Succeed())
		for _, p := range usualPlugins() {
			Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
		}
		Expect(k8s.Create(ctx, in(ns, makeProfile(func(p *mrev1.Profile) {
			p.Spec.Featurers = featurers(use("crowd"), use("faces"))
			p.Spec.Processing.MinWorkers = 1
			p.Spec.Processing.Pools = []mrev1.WorkerPool{{Name: "gpu", MinWorkers: 2,
				PodTemplate: &mrev1.PodTemplate{NodeSelector: map[string]string{"gpu": "yes"}}}}
		})))).To(Succeed())
		e := in(ns, makeEvent())
		Expect(k8s.Create(ctx, e)).To(Succeed())
		gpu0, gpu1, worker0 := Slot{RoleWorker, "gpu", 0}, Slot{RoleWorker, "gpu", 1}, Slot{RoleWorker, "", 0}
		read := func(slot Slot, attempt int32) (job batchv1.Job) {
			GinkgoHelper()
			Eventually(func() error {
				return k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: jobName(e, slot, attempt)}, &job)
			}).Should(Succeed())
			return job
		}
		images := func(job batchv1.Job) map[string]string {
			out := map[string]string{}
			for _, c := range job.Spec.Template.Spec.InitContainers[2:] {
				out[c.Name] = c.Image
			}
			return out
		}
		Expect(images(read(worker0, 1))).To(Equal(map[string]string{"plugin-faces": "registry.example.com/faces:v1"}))
		Expect(images(read(gpu0, 1))).To(Equal(map[string]string{"plugin-crowd": "registry.example.com/crowd:v1"}))
		Expect(read(gpu1, 1).Spec.Template.Spec.NodeSelector).To(HaveKeyWithValue("gpu", "yes"))
		Eventually(func(g Gomega) []mrev1.PoolSlotsStatus {
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(e), e)).To(Succeed())
			return e.Status.Slots.Pools
		}).Should(ConsistOf(mrev1.PoolSlotsStatus{Name: "gpu", Workers: 2, WorkersWanted: 2}))

		edit(ctx, crowd, func(p *mrev1.Plugin) { p.Spec.Runtime.Container.Image = "registry.example.com/crowd:v2" })
		Expect(k8s.Delete(ctx, faces)).To(Succeed())
		fail(ctx, e, gpu0, 1)
		fail(ctx, e, worker0, 1)
		Expect(images(read(gpu0, 2))).To(Equal(map[string]string{"plugin-crowd": "registry.example.com/crowd:v1"}))
		Expect(images(read(worker0, 2))).To(Equal(map[string]string{"plugin-faces": "registry.example.com/faces:v1"}))
	})
})

var _ = Describe("A model server", func() {
	It("is asked whether its model is ready, and keeps nobody from starting", func(ctx context.Context) {
		var ready atomic.Bool
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !ready.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
		DeferCleanup(server.Close)
		ns := newNamespace(ctx)
		model := in(ns, makeServer("triton", mrev1.ClassFeaturer, mrev1.OpenInferenceModel{URL: server.URL}))
		Expect(k8s.Create(ctx, model)).To(Succeed())
		Eventually(conditionOf(ctx, model, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonModelNotReady, "triton", "503"))
		Eventually(reasonsTold(ctx, model)).Should(tells(mrev1.ReasonModelNotReady))

		plugin := in(ns, makePlugin(scenes, mrev1.ClassFeaturer, "scene-change", withModels("triton")))
		Expect(k8s.Create(ctx, plugin)).To(Succeed())
		Eventually(conditionOf(ctx, plugin, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))

		ready.Store(true)
		edit(ctx, model, func(m *mrev1.Model) { m.Spec.Description = "asks again" })
		Eventually(conditionOf(ctx, model, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
	})
})
