// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dataclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

// wire passes connections on to an address until it is cut.
type wire struct {
	net.Listener
	mu    sync.Mutex
	off   bool
	conns []net.Conn
}

func newWire(to string) *wire {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	w := &wire{Listener: listener}
	DeferCleanup(listener.Close)
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			on, err := net.Dial("tcp", to)
			if !w.hold(from, on) || err != nil {
				_ = from.Close()
				continue
			}
			go func() { _, _ = io.Copy(on, from); _ = on.Close() }()
			go func() { _, _ = io.Copy(from, on); _ = from.Close() }()
		}
	}()
	return w
}

// hold notes connections, to end them when the wire is cut; it returns false when it is.
func (w *wire) hold(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		if c != nil {
			w.conns = append(w.conns, c)
		}
	}
	return !w.off
}

func (w *wire) cut(off bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = off
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

var _ = Describe("Deletion", func() {
	It("follows the order, and its Replays follow the policy", func(ctx context.Context) {
		ns := newNamespace(ctx)
		e := startEvent(ctx, ns)
		a := play(ctx, e)
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(func(g Gomega) string {
			a.work(ctx, api.PoolRender)
			return conditionOf(ctx, replay, mrev1.ConditionRendered)(g).Reason
		}).Should(Equal(mrev1.ReasonRendered))
		holder := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "straggler",
				Labels: map[string]string{mrev1.LabelEventUID: string(e.UID)}},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: oldImage}},
				AutomountServiceAccountToken: new(false)},
		}
		token(ns, "default")
		Expect(k8s.Create(ctx, holder)).To(Succeed())

		By("leaving a tombstone before anything else, and waiting for the pods")
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonDeleting, "Jobs and pods"))
		Eventually(jobsOf(ctx, e)).Should(BeEmpty())
		_, err := a.data.Lease(ctx, a.uid, api.LeaseRequest{Pool: api.PoolWork, Holder: "late"})
		Expect(dataclient.Is(err, api.ProblemCodeGone)).To(BeTrue(), "%v", err)
		Expect(strings.Join(stored(ctx, ns), " ")).To(ContainSubstring("/units/"),
			"somebody may still write: nothing is removed yet")

		By("removing what the policy does not keep, and listing what it does")
		Expect(k8s.Delete(ctx, holder, client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(isGone(ctx, e)).Should(BeTrue())
		left := stored(ctx, ns)
		index := slices.IndexFunc(left, func(key string) bool { return strings.HasSuffix(key, "/retained.json") })
		Expect(index).To(BeNumerically(">=", 0), "%v", left)
		body, err := plane.bucket.Get(ctx, left[index])
		Expect(err).NotTo(HaveOccurred())
		var list struct{ Objects []string }
		Expect(json.NewDecoder(body).Decode(&list)).To(Succeed())
		Expect(list.Objects).To(HaveLen(len(left)-1), "every object that stays is in the list, and no other")
		Expect(strings.Join(list.Objects, " ")).To(ContainSubstring(string(replay.UID)), "reels stay as clips do")
		Expect(strings.Join(left, " ")).NotTo(ContainSubstring("/units/"))
		Expect(k8s.Delete(ctx, replay)).To(Succeed())
		Eventually(isGone(ctx, replay)).Should(BeTrue())
		Expect(stored(ctx, ns)).To(Equal(left), "what the Event's policy keeps outlives the Replay")
	})

	It("of a Replay follows its Event's policy", func(ctx context.Context) {
		ns := newNamespace(ctx)
		e := startEvent(ctx, ns, func(e *mrev1.Event) { e.Spec.DeletionPolicy = mrev1.DeletionDelete })
		a := play(ctx, e)
		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(func(g Gomega) string {
			a.work(ctx, api.PoolRender)
			return conditionOf(ctx, replay, mrev1.ConditionRendered)(g).Reason
		}).Should(Equal(mrev1.ReasonRendered))
		reels := func() int { return strings.Count(strings.Join(stored(ctx, ns), " "), string(replay.UID)) }
		Expect(reels()).To(BeNumerically(">", 0))
		Expect(k8s.Delete(ctx, replay)).To(Succeed())
		Eventually(isGone(ctx, replay)).Should(BeTrue())
		Expect(reels()).To(BeZero())
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(isGone(ctx, e)).Should(BeTrue())
		Expect(stored(ctx, ns)).To(BeEmpty())
	})

	It("says that the bucket is gone, and ends by force with what it leaves behind", func(ctx context.Context) {
		const ns = "apart-lost"
		ensureNamespace(ctx, ns)
		store := newWire(strings.TrimPrefix(storetest.Endpoint, "http://"))
		lost := startDataPlane(storetest.Bucket(suite, func(c *objects.Config) {
			c.Endpoint = "http://" + store.Addr().String()
		}))
		startManager(testManager{only: ns, plane: lost})
		e := startEvent(ctx, ns)
		a := agent{data: lost.asAgentOf(ns, string(e.UID)), uid: string(e.UID)}
		a.open(ctx)
		a.store(ctx, 0)
		replay := in(ns, makeReplay())
		Expect(k8s.Create(ctx, replay)).To(Succeed())
		Eventually(conditionOf(ctx, replay, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonWaitingForEvent))

		By("telling the bucket's name while the Event runs, and that it is back")
		store.cut(true)
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).WithTimeout(time.Minute).Should(
			is("False", mrev1.ReasonStorageUnavailable, lost.bucket.Location(""), "goes on when it is back"))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReconciling)).Should(is("True", mrev1.ReasonStorageUnavailable))
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonStorageUnavailable))
		store.cut(false)
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).
			WithTimeout(time.Minute).Should(is("True", mrev1.ReasonProgressing))
		a.store(ctx, 1)

		By("going on with what needs no bucket")
		store.cut(true)
		fail(ctx, e, Slot{RoleWorker, "", 0}, 1)
		Eventually(jobsOf(ctx, e)).Should(ContainElement("worker-0-2"))
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).WithTimeout(time.Minute).Should(
			is("False", mrev1.ReasonStorageUnavailable, mrev1.AnnotationForceDelete, "rows and objects stay"))
		annotate(ctx, e, mrev1.AnnotationForceDelete, "true")
		Eventually(isGone(ctx, e)).WithTimeout(time.Minute).Should(BeTrue())
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonForceDeleted))

		By("saying the same of a Replay when the data plane is gone as well")
		lost.cut.Store(true)
		Expect(k8s.Delete(ctx, replay)).To(Succeed())
		Eventually(conditionOf(ctx, replay, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonDataPlaneUnavailable, mrev1.AnnotationForceDelete))
		annotate(ctx, replay, mrev1.AnnotationForceDelete, "true")
		Eventually(isGone(ctx, replay)).Should(BeTrue())
		Eventually(reasonsTold(ctx, replay)).Should(tells(mrev1.ReasonForceDeleted))
	})

	It("of a namespace does not hang, and nothing is made in it any more", func(ctx context.Context) {
		ns := newNamespace(ctx)
		e := startEvent(ctx, ns)
		waits := in(ns, makeEvent(func(e *mrev1.Event) { e.Name, e.Spec.Suspend = "later", new(true) }))
		Expect(k8s.Create(ctx, waits)).To(Succeed())
		Eventually(conditionOf(ctx, waits, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonSuspended))
		Expect(k8s.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())

		fail(ctx, e, Slot{RoleWorker, "", 0}, 1)
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonNamespaceTerminating))
		Eventually(conditionOf(ctx, e, mrev1.ConditionReconciling)).Should(is("True", mrev1.ReasonNamespaceTerminating))
		Consistently(jobsOf(ctx, e), time.Second).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-1", "render-0-1"))
		edit(ctx, waits, func(e *mrev1.Event) { e.Spec.Suspend = new(false) })
		Eventually(conditionOf(ctx, waits, mrev1.ConditionReady)).Should(is("False", mrev1.ReasonNamespaceTerminating))
		for _, e := range []*mrev1.Event{e, waits} {
			Expect(k8s.Delete(ctx, e)).To(Succeed())
			Eventually(isGone(ctx, e)).Should(BeTrue())
			Expect(jobsOf(ctx, e)(Default)).To(BeEmpty())
		}
	})

})

var _ = Describe("What vanishes in mid-event", func() {
	It("shows in what the Jobs say that fail again and again", func(ctx context.Context) {
		ns := newNamespace(ctx)
		e := startEvent(ctx, ns)
		token(ns, "default")
		for attempt := int32(1); attempt <= 3; attempt++ {
			slot := Slot{RoleWorker, "", 0}
			Eventually(jobsOf(ctx, e)).Should(ContainElement(jobLabel(slot, attempt)))
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "dead-", Labels: map[string]string{
					mrev1.LabelEventUID: string(e.UID), "batch.kubernetes.io/job-name": jobName(e, slot, attempt)}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: oldImage}},
					AutomountServiceAccountToken: new(false)},
			}
			Expect(k8s.Create(ctx, pod)).To(Succeed())
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Message: "unit 1: NoSuchBucket"}}}}
			Expect(k8s.Status().Update(ctx, pod)).To(Succeed())
			fail(ctx, e, slot, attempt)
		}
		Eventually(conditionOf(ctx, e, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonJobsFailing, "worker 0", "unit 1: NoSuchBucket"))
		Eventually(reasonsTold(ctx, e)).Should(tells(mrev1.ReasonJobsFailing))
	})
})

func jobLabel(s Slot, attempt int32) string {
	return strings.Join([]string{string(s.Role), strconv.Itoa(int(s.Ordinal)), strconv.Itoa(int(attempt))}, "-")
}

// A data plane that refuses the manager, as when its credentials are gone, is told from one that is away.
func TestUnavailable(t *testing.T) {
	refusal := func(status int32, code api.ProblemCode) error {
		return &dataclient.Error{Call: "deleteEvent", Problem: api.Problem{Status: status, Code: code, Title: "no"}}
	}
	for name, tc := range map[string]struct {
		err  error
		says string
	}{
		"away":               {net.ErrClosed, "does not answer"},
		"no object store":    {refusal(503, api.ProblemCodeUnavailable), "object store does not answer"},
		"an internal error":  {refusal(500, api.ProblemCodeInternal), "its log says more"},
		"no credentials":     {refusal(401, api.ProblemCodeUnauthenticated), "refuses the manager"},
		"another account":    {refusal(403, api.ProblemCodeForbidden), "refuses the manager"},
		"too old to know it": {refusal(404, api.ProblemCodeNotFound), "refuses the manager"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFinding{mrev1.ReasonDataPlaneUnavailable, Wait, []string{tc.says}}.check(t, unavailable(tc.err))
		})
	}
}
