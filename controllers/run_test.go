// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// edit patches an object as a person would.
func edit[T client.Object](ctx context.Context, o T, change func(T)) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		before := o.DeepCopyObject().(client.Object)
		change(o)
		g.Expect(k8s.Patch(ctx, o, client.MergeFrom(before))).To(Succeed())
	}).Should(Succeed())
}

func annotate(ctx context.Context, o client.Object, name, value string) {
	GinkgoHelper()
	edit(ctx, o, func(o client.Object) {
		all := o.GetAnnotations()
		if all == nil {
			all = map[string]string{}
		}
		all[name] = value
		o.SetAnnotations(all)
	})
}

// eventOf reads an Event afresh.
func eventOf(ctx context.Context, e *mrev1.Event) func(Gomega) mrev1.EventStatus {
	return func(g Gomega) mrev1.EventStatus {
		g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(e), e)).To(Succeed())
		return e.Status
	}
}

// What the data plane says of an end is shown in its words.
func TestReasonsOfTheDataPlane(t *testing.T) {
	for _, tc := range []struct {
		state api.EventStateState
		kind  string
		want  gomegatypes.GomegaMatcher
		said  string
	}{
		{api.EventStateStateFailed, mrev1.ConditionFailed, is("True", mrev1.ReasonSourceNotFound, "404"),
			string(api.FailureReasonSourceNotFound)},
		{api.EventStateStateFailed, mrev1.ConditionFailed, is("True", mrev1.ReasonSourceUnreachable, "404"),
			string(api.FailureReasonSourceUnreachable)},
		{api.EventStateStateFailed, mrev1.ConditionFailed, is("True", mrev1.ReasonSourceCorrupt, "404"),
			string(api.FailureReasonSourceCorrupt)},
		{api.EventStateStateFailed, mrev1.ConditionFailed, is("True", mrev1.ReasonIngestFailed, "404"),
			string(api.FailureReasonIngestFailed)},
		{api.EventStateStateFailed, mrev1.ConditionFailed, is("True", mrev1.ReasonDrainTimedOut, "404"), "DrainTimedOut"},
		{api.EventStateStateFailed, mrev1.ConditionFailed, is("True", mrev1.ReasonPluginFailed, "404"), "PluginFailed"},
		{api.EventStateStateFailed, mrev1.ConditionFailed, is("True", mrev1.ReasonSourceNotSeekable, "404"),
			string(api.FailureReasonSourceNotSeekable)},
		{api.EventStateStateComplete, mrev1.ConditionComplete,
			is("True", mrev1.ReasonCompletedWithFailures, "404"), "CompletedWithFailures"},
	} {
		g := NewWithT(t)
		e := makeEvent()
		s := &eventScope{before: e.DeepCopy(), event: e, now: now0,
			state: &api.EventState{State: tc.state, PlanHash: "h", Reason: &tc.said, Message: new("404")}}
		setEventStatus(s)
		setEventReady(s)
		g.Expect(meta.FindStatusCondition(e.Status.Conditions, tc.kind)).To(HaveValue(tc.want))
		g.Expect(meta.FindStatusCondition(e.Status.Conditions, mrev1.ConditionReady)).
			To(HaveValue(HaveField("Reason", tc.said)))
	}
}

// The states of a Replay that a whole run does not pass through.
func TestReasonsOfReplays(t *testing.T) {
	for _, tc := range []struct {
		state api.ReplayStateState
		want  gomegatypes.GomegaMatcher
	}{
		{api.ReplayStateStateRendering, is("True", mrev1.ReasonRendering, "0 of 1")},
		{api.ReplayStateStateNoMatch, is("False", mrev1.ReasonNoMatch, "no segment")},
		{api.ReplayStateStateFailed, is("False", mrev1.ReasonRenderFailed, "output 640x360: no room")},
	} {
		r := makeReplay()
		setReplayStatus(r, conditions{list: &r.Status.Conditions, generation: 1, now: now0},
			api.ReplayState{State: tc.state, PlanHash: new("p"),
				Outputs: []api.ReelState{{Resolution: "640x360", State: api.ReelStateStateFailed, Error: new("no room")}}})
		NewWithT(t).Expect(meta.FindStatusCondition(r.Status.Conditions, mrev1.ConditionReady)).To(HaveValue(tc.want))
	}
}

var _ = Describe("A refusal", func() {
	var ns string
	BeforeEach(func(ctx context.Context) { ns = newNamespace(ctx) })

	It("by the data plane, which has deleted the UID, stalls the Event and its Replay", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(conditionOf(ctx, replay, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonWaitingForEvent))
		admin := plane.as("mre-system", "mre-manager", nil)
		_, err := admin.DeleteReplay(ctx, string(replay.UID), api.DeletionPolicyDelete)
		Expect(err).NotTo(HaveOccurred())
		edit(ctx, replay, func(r *mrev1.Replay) { r.Spec.Outputs.Resolutions = []string{"640x360"} })
		Eventually(conditionOf(ctx, replay, mrev1.ConditionStalled)).Should(is("True", mrev1.ReasonPlanConflict))
		_, err = admin.DeleteEvent(ctx, string(e.UID), api.DeletionPolicyDelete, false)
		Expect(err).NotTo(HaveOccurred())
		annotate(ctx, e, "example.com/look", "again")
		Eventually(conditionOf(ctx, e, mrev1.ConditionStalled)).
			Should(is("True", mrev1.ReasonPlanConflict, "make a new Event"))
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(isGone(ctx, e)).Should(BeTrue())
	})

	It("by a quota is shown, and the Job is made when there is room", func(ctx context.Context) {
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "jobs"},
			Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("4")}}}
		e := startEvent(ctx, ns)
		Expect(k8s.Create(ctx, quota)).To(Succeed())
		quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: quota.Spec.Hard}
		Expect(k8s.Status().Update(ctx, quota)).To(Succeed())
		Eventually(func(g Gomega) { // the admission plugin learns of a quota by a watch
			g.Expect(k8s.Create(ctx, buildJob(e, NewJob{Slot: Slot{RoleWorker, "", 60}, Attempt: 1}, podNeeds{},
				DefaultOptions()), client.DryRunAll)).NotTo(Succeed())
		}).Should(Succeed())
		fail(ctx, e, Slot{RoleWorker, "", 1}, 1)
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonJobNotCreated, "quota"))
		Expect(k8s.Delete(ctx, quota)).To(Succeed())
		Eventually(jobsOf(ctx, e)).Should(ContainElement("worker-1-2"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
	})
})

var _ = Describe("Running an Event", func() {
	var ns string
	BeforeEach(func(ctx context.Context) { ns = newNamespace(ctx) })

	It("rests while it is suspended, and goes on where it was", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(5) {
			a.store(ctx, n)
		}
		edit(ctx, e, func(e *mrev1.Event) { e.Spec.Suspend = new(true) })
		Eventually(conditionOf(ctx, e, mrev1.ConditionSuspended)).Should(is("True", mrev1.ReasonSuspended))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonSuspended))
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("worker-0-1", "worker-1-1", "render-0-1"),
			"ingest asks for no tasks, so that it is stopped")
		answer, err := a.data.Lease(ctx, a.uid, api.LeaseRequest{Pool: api.PoolWork, Holder: "agent"})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Outcome).To(Equal(api.LeaseResponseOutcomeRetire))
		for _, slot := range []Slot{{RoleWorker, "", 0}, {RoleWorker, "", 1}, {RoleRender, "", 0}} {
			succeed(ctx, e, slot, 1)
		}
		Eventually(jobsOf(ctx, e)).Should(BeEmpty())
		Consistently(jobsOf(ctx, e), time.Second).Should(BeEmpty())

		edit(ctx, e, func(e *mrev1.Event) { e.Spec.Suspend = new(false) })
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-1", "render-0-1"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionSuspended)).Should(is("False", mrev1.ReasonResumed))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
		for n := int64(5); n < 8; n++ {
			a.store(ctx, n)
		}
		a.end(ctx, 8)
		a.work(ctx, api.PoolWork)
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(e.Status.Slots.Workers).To(BeZero())
	})

	It("does not start while it is suspended", func(ctx context.Context) {
		e := in(ns, makeEvent(func(e *mrev1.Event) { e.Spec.Suspend = new(true) }))
		Expect(k8s.Create(ctx, e)).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonSuspended, "has not started"))
		for _, p := range usualPlugins() {
			Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
		}
		profile := in(ns, makeProfile())
		Expect(k8s.Create(ctx, profile)).To(Succeed())
		Eventually(conditionOf(ctx, profile, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonAccepted))
		Consistently(jobsOf(ctx, e), time.Second).Should(BeEmpty())
		Expect(eventOf(ctx, e)(Default).PlanHash).To(BeEmpty())
		edit(ctx, e, func(e *mrev1.Event) { e.Spec.Suspend = new(false) })
		Eventually(jobsOf(ctx, e)).Should(HaveLen(4))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
	})

	It("ends with what is stored when it is finished", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(6) {
			a.store(ctx, n)
		}
		edit(ctx, e, func(e *mrev1.Event) { e.Spec.Finish = new(true) })
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonFinishing))
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("worker-0-1", "worker-1-1", "render-0-1"))
		a.work(ctx, api.PoolWork)
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(e.Status.Progress.Timeline).To(Equal("00:00:30.000"))
	})

	It("fails when it is finished before its first frame", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		edit(ctx, e, func(e *mrev1.Event) { e.Spec.Finish = new(true) })
		Eventually(conditionOf(ctx, e, mrev1.ConditionFailed)).Should(is("True", mrev1.ReasonSourceEmpty))
	})

	It("tries dead letters again, once for each word", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(8) {
			a.store(ctx, n)
		}
		By("failing a framer for good")
		answer, err := a.data.Lease(ctx, a.uid, api.LeaseRequest{Pool: api.PoolWork, Holder: "agent"})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Outcome).To(Equal(api.LeaseResponseOutcomeTask))
		Expect(a.data.Fail(ctx, a.uid, answer.Lease.TaskID,
			api.TaskFailure{Token: answer.Lease.Token, Message: "out of luck"})).To(Succeed())
		Eventually(eventOf(ctx, e)).Should(HaveField("DeadLetters", HaveValue(BeNumerically(">=", 1))))

		annotate(ctx, e, mrev1.AnnotationRetry, "once more")
		Eventually(eventOf(ctx, e)).Should(HaveField("Retry", HaveValue(And(
			HaveField("Word", "once more"), HaveField("Retried", BeNumerically(">=", 1)),
			HaveField("Message", HaveSuffix("tasks are tried again"))))),
			"whichever manager asked first, both get its answer")
		Eventually(eventOf(ctx, e)).Should(HaveField("DeadLetters", HaveValue(BeZero())))
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonRetried))
		retry := *e.Status.Retry
		a.end(ctx, 8)
		a.work(ctx, api.PoolWork)
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(e.Status.Retry).To(HaveValue(Equal(retry)))

		By("refusing words that are too long")
		annotate(ctx, e, mrev1.AnnotationRetry, strings.Repeat("x", 129))
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonRetryRefused))
		Expect(eventOf(ctx, e)(Default).Retry.Message).To(ContainSubstring("129 characters"))
	})

	It("says what is missing at its end, until a retry has mended it", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(8) {
			a.store(ctx, n)
		}
		a.end(ctx, 8)
		a.work(ctx, api.PoolWork)
		for {
			answer, err := a.data.Lease(ctx, a.uid, api.LeaseRequest{Pool: api.PoolRender, Holder: "agent"})
			Expect(err).NotTo(HaveOccurred())
			if answer.Outcome != api.LeaseResponseOutcomeTask {
				break
			}
			Expect(a.data.Fail(ctx, a.uid, answer.Lease.TaskID,
				api.TaskFailure{Token: answer.Lease.Token, Message: "out of luck"})).To(Succeed())
		}
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompletedWithFailures,
			"Missing: ", " clips", "First failed clip ", "out of luck"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonCompletedWithFailures, " clips"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionStalled)).
			Should(is("True", mrev1.ReasonCompletedWithFailures, " clips"))
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonCompletedWithFailures))

		annotate(ctx, e, mrev1.AnnotationRetry, "once more")
		Eventually(eventOf(ctx, e)).Should(HaveField("DeadLetters", HaveValue(BeZero())))
		Expect(conditionOf(ctx, e, mrev1.ConditionComplete)(Default)).To(is("True", mrev1.ReasonCompletedWithFailures),
			"nothing is mended yet")
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted, "All work is done"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonCompleted))
		Expect(meta.FindStatusCondition(e.Status.Conditions, mrev1.ConditionStalled)).To(BeNil())
	})

	It("says why ingest is tried again, until it stores something", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		Expect(a.data.NoteIngest(ctx, a.uid, "the filters cannot be built")).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionSourceReady)).
			Should(is("False", mrev1.ReasonIngestFailing, "tried again", "the filters cannot be built"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonIngestFailing))
		a.open(ctx)
		a.store(ctx, 0)
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
		Eventually(conditionOf(ctx, e, mrev1.ConditionSourceReady)).Should(is("True", mrev1.ReasonSourceOpened))
	})

	It("makes Replays of what a source gave before it broke off", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(8) {
			a.store(ctx, n)
		}
		Expect(a.data.FailSource(ctx, a.uid,
			api.Failure{Reason: api.FailureReasonSourceUnreachable, Message: "the line is dead"})).To(Succeed())
		a.work(ctx, api.PoolWork)
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, e, mrev1.ConditionFailed)).
			Should(is("True", mrev1.ReasonSourceUnreachable, "the line is dead"))
		Eventually(eventOf(ctx, e)).Should(HaveField("Slots.Renderers", BeZero()))
		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(eventOf(ctx, e)).Should(HaveField("Slots.Renderers", BeEquivalentTo(1)), "somebody has to render it")
		a.work(ctx, api.PoolRender)
		Eventually(conditionOf(ctx, replay, mrev1.ConditionRendered)).
			Should(is("True", mrev1.ReasonRendered, "broke off", "the line is dead"))
		Expect(conditionOf(ctx, e, mrev1.ConditionFailed)(Default)).To(is("True", mrev1.ReasonSourceUnreachable))
	})

	It("refuses to try an Event again that has failed", func(ctx context.Context) {
		e := startEvent(ctx, ns)
		a := newAgent(ns, string(e.UID))
		Expect(a.data.FailSource(ctx, a.uid,
			api.Failure{Reason: api.FailureReasonNoVideo, Message: "only audio"})).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionFailed)).Should(is("True", mrev1.ReasonNoVideo))
		annotate(ctx, e, mrev1.AnnotationRetry, "please")
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonRetryRefused))
		Expect(conditionOf(ctx, e, mrev1.ConditionFailed)(Default)).To(is("True", mrev1.ReasonNoVideo))
	})

	It("has as many workers as chunks wait for, between its bounds", func(ctx context.Context) {
		for _, p := range usualPlugins() {
			Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
		}
		Expect(k8s.Create(ctx, in(ns, makeProfile(func(p *mrev1.Profile) {
			p.Spec.ChunkSeconds = 5
			p.Spec.Processing = mrev1.ProcessingSpec{MinWorkers: 1, MaxWorkers: 4, MinRenderers: 1,
				DrainTimeoutSeconds: 1800, RecycleAfterChunks: ptr.To[int32](3)}
		})))).To(Succeed())
		e := in(ns, makeEvent())
		Expect(k8s.Create(ctx, e)).To(Succeed())
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "render-0-1"))
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(8) {
			a.store(ctx, n)
		}
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1",
			"worker-1-1", "worker-2-1", "worker-3-1", "render-0-1"))
		jobs, err := listJobs(ctx, k8s, e)
		Expect(err).NotTo(HaveOccurred())
		for _, j := range jobs {
			args := j.Spec.Template.Spec.Containers[0].Args
			Expect(slices.Contains(args, "--recycle-after-chunks=3")).To(Equal(j.Labels[mrev1.LabelRole] == "worker"))
			Expect(slices.Contains(args, "--ordinal="+j.Labels[mrev1.LabelOrdinal])).
				To(Equal(j.Labels[mrev1.LabelRole] != "ingest"))
		}

		By("sending those away that are not needed any more")
		a.work(ctx, api.PoolWork)
		Eventually(eventOf(ctx, e)).Should(HaveField("Slots", And(
			HaveField("Workers", BeEquivalentTo(4)), HaveField("WorkersWanted", BeEquivalentTo(1)),
			HaveField("WorkersLowSince", Not(BeNil())))))
		Eventually(func(g Gomega) {
			g.Expect(k8s.Get(ctx, client.ObjectKeyFromObject(e), e)).To(Succeed())
			before := e.DeepCopy()
			e.Status.Slots.WorkersLowSince = &metav1.Time{Time: time.Now().Add(-2 * scaleDownAfter)}
			g.Expect(k8s.Status().Patch(ctx, e, client.MergeFrom(before))).To(Succeed())
		}).Should(Succeed())
		annotate(ctx, e, "example.com/look", "again")
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "render-0-1"))
		high := int32(3)
		answer, err := a.data.Lease(ctx, a.uid, api.LeaseRequest{Pool: api.PoolWork, Holder: "agent", Ordinal: &high})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Outcome).To(Equal(api.LeaseResponseOutcomeRetire))
	})
})

func TestCheckFailing(t *testing.T) {
	job := func(failures int32, age time.Duration, change ...func(*ObservedJob)) ObservedJob {
		j := ObservedJob{Slot: Slot{RoleWorker, "", 2}, Name: "w", QuickFailures: failures,
			Created: now0.Add(-age), LastWords: "NoSuchBucket: mre"}
		for _, f := range change {
			f(&j)
		}
		return j
	}
	failed := func(j *ObservedJob) { j.State, j.Finished = JobFailed, now0 }
	for name, tc := range map[string]struct {
		job   ObservedJob
		want  wantFinding
		after time.Duration
	}{
		"forgiven": {job: job(2, time.Second)},
		"again and again": {job: job(3, 20*time.Second), want: wantFinding{mrev1.ReasonJobsFailing, Wait,
			[]string{"worker 2", "NoSuchBucket: mre"}}, after: 40 * time.Second},
		"failed this time": {job: job(2, 20*time.Second, failed),
			want: wantFinding{mrev1.ReasonJobsFailing, Wait, []string{"worker 2"}}, after: time.Second},
		"runs long enough":  {job: job(9, 2*time.Minute)},
		"failed after long": {job: job(9, time.Hour, failed), want: wantFinding{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, after := checkFailing([]ObservedJob{tc.job}, now0)
			tc.want.check(t, got)
			if after != tc.after {
				t.Errorf("after %s, want %s", after, tc.after)
			}
		})
	}
}
