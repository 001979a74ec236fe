// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// jobsOf lists role, ordinal and attempt of an Event's Jobs, such as worker-0-1.
func jobsOf(ctx context.Context, e *mrev1.Event) func(Gomega) []string {
	return func(g Gomega) []string {
		jobs, err := listJobs(ctx, k8s, e)
		g.Expect(err).NotTo(HaveOccurred())
		var out []string
		for _, j := range jobs {
			l := j.Labels
			out = append(out, l[mrev1.LabelRole]+"-"+l[mrev1.LabelOrdinal]+"-"+l[mrev1.LabelAttempt])
		}
		return out
	}
}

// finish plays the Job controller: it ends a Job the way Kubernetes does.
func finish(ctx context.Context, e *mrev1.Event, slot Slot, attempt int32, first, last batchv1.JobConditionType) {
	GinkgoHelper()
	var job batchv1.Job
	Expect(k8s.Get(ctx, client.ObjectKey{Namespace: e.Namespace, Name: jobName(e, slot, attempt)}, &job)).To(Succeed())
	at := metav1.Now()
	job.Status.StartTime = &at
	for _, kind := range []batchv1.JobConditionType{first, last} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
			Type: kind, Status: corev1.ConditionTrue, Reason: "Spec", LastTransitionTime: at, LastProbeTime: at})
	}
	if last == batchv1.JobComplete {
		job.Status.CompletionTime = &at
		job.Status.Succeeded = 1
	} else {
		job.Status.Failed = 1
	}
	Expect(k8s.Status().Update(ctx, &job)).To(Succeed())
}

func succeed(ctx context.Context, e *mrev1.Event, slot Slot, attempt int32) {
	GinkgoHelper()
	finish(ctx, e, slot, attempt, batchv1.JobSuccessCriteriaMet, batchv1.JobComplete)
}

func fail(ctx context.Context, e *mrev1.Event, slot Slot, attempt int32) {
	GinkgoHelper()
	finish(ctx, e, slot, attempt, batchv1.JobFailureTarget, batchv1.JobFailed)
}

// reasonsTold lists the reasons of the Kubernetes Events about an object, each as often as it was told.
func reasonsTold(ctx context.Context, o client.Object) func(Gomega) []string {
	return func(g Gomega) []string {
		var list eventsv1.EventList
		g.Expect(k8s.List(ctx, &list, client.InNamespace(o.GetNamespace()))).To(Succeed())
		var out []string
		for _, e := range list.Items {
			if e.Regarding.UID == o.GetUID() {
				out = append(out, e.Reason)
			}
		}
		return out
	}
}

// expectToldOnce waits until the Kubernetes Events about an object have each of some reasons, and expects none to come
// twice. They are written in the background, after the status.
func expectToldOnce(ctx context.Context, o client.Object, reasons ...string) {
	GinkgoHelper()
	for _, reason := range reasons {
		Eventually(reasonsTold(ctx, o)).Should(tells(reason))
	}
	told := reasonsTold(ctx, o)(Default)
	for _, reason := range reasons {
		n := 0
		for _, r := range told {
			if r == reason {
				n++
			}
		}
		Expect(n).To(Equal(1), "%s in %v", reason, told)
	}
}

func isGone(ctx context.Context, o client.Object) func() bool {
	return func() bool { return apierrors.IsNotFound(k8s.Get(ctx, client.ObjectKeyFromObject(o), o)) }
}

// startEvent applies the usual Plugins and Profile and an Event, and waits for its Jobs.
func startEvent(ctx context.Context, ns string, change ...func(*mrev1.Event)) *mrev1.Event {
	GinkgoHelper()
	for _, p := range usualPlugins() {
		Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
	}
	Expect(k8s.Create(ctx, in(ns, makeProfile()))).To(Succeed())
	e := in(ns, makeEvent(change...))
	Expect(k8s.Create(ctx, e)).To(Succeed())
	Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-1", "render-0-1"))
	Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
	return e
}

// play takes an Event to its end.
func play(ctx context.Context, e *mrev1.Event) agent {
	GinkgoHelper()
	a := newAgent(e.Namespace, string(e.UID))
	a.open(ctx)
	for n := range int64(8) {
		a.store(ctx, n)
	}
	a.end(ctx, 8)
	a.work(ctx, api.PoolWork)
	a.work(ctx, api.PoolRender)
	return a
}

var _ = Describe("An Event", func() {
	var ns string
	BeforeEach(func(ctx context.Context) { ns = newNamespace(ctx) })

	It("goes from nothing to a reel and away again", func(ctx context.Context) {
		By("waiting for what is applied after it")
		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(conditionOf(ctx, replay, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonEventNotFound, "spec.eventRef: Event final"))
		e := in(ns, makeEvent())
		Expect(k8s.Create(ctx, e)).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionReferencesResolved)).
			Should(is("False", mrev1.ReasonReferenceNotFound, "spec.profileRef: Profile soccer"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonWaitingForReferences))
		Eventually(conditionOf(ctx, replay, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonWaitingForEvent))
		profile := in(ns, makeProfile())
		Expect(k8s.Create(ctx, profile)).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionReferencesResolved)).
			Should(is("False", mrev1.ReasonReferenceNotReady, "Profile soccer", moment))
		for _, p := range usualPlugins() {
			Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
		}

		By("starting")
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-1", "render-0-1"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReferencesResolved)).Should(is("True", mrev1.ReasonResolved))
		Eventually(conditionOf(ctx, e, mrev1.ConditionSourceReady)).Should(is("False", mrev1.ReasonSourcePending))
		hash := e.Status.PlanHash
		Expect(hash).To(HaveLen(64))
		var account corev1.ServiceAccount
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ns, Name: "mre-agent"}, &account)).To(Succeed())
		Expect(account.AutomountServiceAccountToken).To(HaveValue(BeFalse()))

		By("keeping its plan when the Profile changes")
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(profile), profile)).To(Succeed())
		before := profile.DeepCopy()
		profile.Spec.ChunkSeconds, profile.Spec.Processing.MinWorkers = 6, 5
		Expect(k8s.Patch(ctx, profile, client.MergeFrom(before))).To(Succeed())

		By("replacing a Job that dies")
		fail(ctx, e, Slot{RoleWorker, "", 1}, 1)
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-2", "render-0-1"))
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonJobReplaced))

		By("showing what the data plane knows")
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(4) {
			a.store(ctx, n)
		}
		Eventually(conditionOf(ctx, e, mrev1.ConditionSourceReady)).Should(is("True", mrev1.ReasonSourceOpened, "Copy"))
		Expect(e.Status.Source).To(HaveValue(Equal(mrev1.SourceStatus{
			Ingest: "Copy", Reason: "H.264 with an IDR every second", Resolution: "1920x1080",
			FrameRate: "25", AudioTracks: ptr.To[int32](1)})))
		Eventually(func(g Gomega) string {
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(e), e)).To(Succeed())
			g.Expect(e.Status.Progress).NotTo(BeNil())
			return e.Status.Progress.Timeline
		}).Should(Equal("00:00:20.000"))

		By("ending")
		for n := int64(4); n < 8; n++ {
			a.store(ctx, n)
		}
		a.end(ctx, 8)
		Expect(a.work(ctx, api.PoolWork)).To(Equal(api.LeaseResponseOutcomeDone))
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(conditionOf(ctx, e, mrev1.ConditionReady)(Default)).To(is("True", mrev1.ReasonCompleted))
		Expect(conditionOf(ctx, e, mrev1.ConditionFailed)(Default)).To(is("False", mrev1.ReasonCompleted))
		Expect(e.Status.PlanHash).To(Equal(hash))
		Expect(e.Status.Progress.Clips).To(Equal(mrev1.ClipProgress{Wanted: 4, Rendered: 4}))
		Expect(e.Status.Artifacts.Export).To(HavePrefix("s3://"))
		Expect(e.Status.Artifacts.EDL).To(HaveLen(1))

		By("rendering the reel and letting finished Jobs go")
		for _, slot := range []Slot{{RoleIngest, "", 0}, {RoleWorker, "", 0}} {
			succeed(ctx, e, slot, 1)
		}
		succeed(ctx, e, Slot{RoleWorker, "", 1}, 2)
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, replay, mrev1.ConditionRendered)).Should(is("True", mrev1.ReasonRendered))
		Expect(conditionOf(ctx, replay, mrev1.ConditionReady)(Default)).To(is("True", mrev1.ReasonRendered))
		Expect(conditionOf(ctx, replay, mrev1.ConditionSelected)(Default)).To(is("True", mrev1.ReasonPlanned, "2 segments"))
		Expect(replay.Status.Outputs).To(HaveLen(1))
		Expect(replay.Status.Outputs[0].MP4).To(HavePrefix("s3://"))
		Expect(replay.Status.Outputs[0].Frames).To(HaveValue(BeNumerically(">", 0)))
		succeed(ctx, e, Slot{RoleRender, "", 0}, 1)
		Eventually(jobsOf(ctx, e)).Should(BeEmpty())

		By("rendering again when the rules change")
		beforeReplay := replay.DeepCopy()
		replay.Spec.Outputs.Resolutions = []string{"1280x720", "608x1080"}
		Expect(k8s.Patch(ctx, replay, client.MergeFrom(beforeReplay))).To(Succeed())
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("render-0-1"))
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, replay, mrev1.ConditionRendered)).Should(is("True", mrev1.ReasonRendered))
		Eventually(func(g Gomega) []mrev1.ReplayOutputStatus {
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(replay), replay)).To(Succeed())
			return replay.Status.Outputs
		}).Should(HaveLen(2))
		succeed(ctx, e, Slot{RoleRender, "", 0}, 1)
		Eventually(jobsOf(ctx, e)).Should(BeEmpty())
		Expect(conditionOf(ctx, e, mrev1.ConditionComplete)(Default)).To(is("True", mrev1.ReasonCompleted))

		By("telling each transition once")
		expectToldOnce(ctx, e, mrev1.ReasonProgressing, mrev1.ReasonSourceOpened, mrev1.ReasonCompleted)

		By("leaving only what is kept")
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(isGone(ctx, e)).Should(BeTrue())
		Eventually(conditionOf(ctx, replay, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonEventNotFound))
		Expect(k8s.Delete(ctx, replay)).To(Succeed())
		Eventually(isGone(ctx, replay)).Should(BeTrue())
		for _, key := range stored(ctx, ns) {
			Expect(key).NotTo(ContainSubstring("/units/"))
		}
	})

	It("has no renderer until there is something to render", func(ctx context.Context) {
		for _, o := range usualPlugins() {
			Expect(k8s.Create(ctx, in(ns, o))).To(Succeed())
		}
		Expect(k8s.Create(ctx, in(ns, makeProfile()))).To(Succeed())
		e := in(ns, makeEvent(func(e *mrev1.Event) {
			e.Spec.Clips.Original, e.Spec.Clips.Optimized = mrev1.Skip, mrev1.Skip
		}))
		Expect(k8s.Create(ctx, e)).To(Succeed())
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-1"))
		play(ctx, e)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(jobsOf(ctx, e)(Default)).NotTo(ContainElement(HavePrefix("render-")))
		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(jobsOf(ctx, e)).Should(ContainElement("render-0-1"))
	})

	It("fails for good with its source", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		Expect(a.data.FailSource(ctx, a.uid,
			api.Failure{Reason: api.FailureReasonNoVideo, Message: "only audio in match.mp4"})).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionFailed)).Should(is("True", mrev1.ReasonNoVideo, "only audio"))
		Expect(conditionOf(ctx, e, mrev1.ConditionReady)(Default)).To(is("False", mrev1.ReasonNoVideo))
		Expect(conditionOf(ctx, e, mrev1.ConditionStalled)(Default)).To(is("True", mrev1.ReasonNoVideo))
		Expect(conditionOf(ctx, e, mrev1.ConditionSourceReady)(Default)).To(is("False", mrev1.ReasonNoVideo))
		succeed(ctx, e, Slot{RoleWorker, "", 0}, 1)
		fail(ctx, e, Slot{RoleIngest, "", 0}, 1)
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("worker-1-1", "render-0-1"))

		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(conditionOf(ctx, replay, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonEventFailed))
	})

	It("says that the data plane is away, goes on afterwards, and can be forced to end", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		plane.cut.Store(true)
		DeferCleanup(func() { plane.cut.Store(false) })
		fail(ctx, e, Slot{RoleWorker, "", 0}, 1)
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonDataPlaneUnavailable))
		plane.cut.Store(false)
		Eventually(jobsOf(ctx, e)).Should(ContainElement("worker-0-2"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))

		plane.cut.Store(true)
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonDataPlaneUnavailable, mrev1.AnnotationForceDelete))
		before := e.DeepCopy()
		e.Annotations = map[string]string{mrev1.AnnotationForceDelete: "true"}
		Expect(k8s.Patch(ctx, e, client.MergeFrom(before))).To(Succeed())
		Eventually(isGone(ctx, e)).Should(BeTrue())
		Eventually(jobsOf(ctx, e)).Should(BeEmpty())
	})

	It("takes nothing with it that its policy keeps, and everything else", func(ctx context.Context) {
		e := startEvent(ctx, ns, func(e *mrev1.Event) { e.Spec.DeletionPolicy = mrev1.DeletionDelete })
		play(ctx, e)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(stored(ctx, ns)).NotTo(BeEmpty())
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(isGone(ctx, e)).Should(BeTrue())
		Expect(stored(ctx, ns)).To(BeEmpty())
	})

	It("says which pod does not start", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		jobs, err := listJobs(ctx, k8s, e)
		Expect(err).NotTo(HaveOccurred())
		late := checkStarts(observeJobs(jobs), nil, nil, 5*time.Minute, time.Now().Add(10*time.Minute))
		Expect(late).NotTo(BeNil())
		Expect(late.Message).To(ContainSubstring(jobName(e, Slot{RoleIngest, "", 0}, 1)))
	})
})

// stored lists the bucket below a namespace.
func stored(ctx context.Context, ns string) []string {
	GinkgoHelper()
	var out []string
	for object, err := range plane.bucket.List(ctx, ns+"/") {
		Expect(err).NotTo(HaveOccurred())
		out = append(out, object.Key)
	}
	return out
}
