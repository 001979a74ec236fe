// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sclient "sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dataclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/test/support/jobpod"
)

// The data plane asks a real API server, with the rights that config/rbac gives it.
var _ = Describe("Who calls the data plane", func() {
	// lease is what an agent does all day. The answer says whether the caller got through the gate.
	lease := func(ctx context.Context, token, uid string) error {
		GinkgoHelper()
		_, err := plane.with(token, nil).Lease(ctx, uid, api.LeaseRequest{Pool: api.PoolWork, Holder: "someone"})
		return err
	}
	forbidden := func(err error, words string) {
		GinkgoHelper()
		Expect(dataclient.Is(err, api.ProblemCodeForbidden)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(words))
	}

	It("lets the pod of a Job work for the Job's Event, whatever its labels say", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		e := startEvent(ctx, ns)
		other := in(ns, makeEvent())
		other.Name = "other"
		Expect(k8s.Create(ctx, other)).To(Succeed())
		Eventually(jobsOf(ctx, other)).ShouldNot(BeEmpty())

		By("taking the pod of a Job that the manager made")
		jobs, err := listJobs(ctx, k8s, e)
		Expect(err).NotTo(HaveOccurred())
		job := &jobs[0]
		pod, err := jobpod.Make(ctx, k8s, job)
		Expect(err).NotTo(HaveOccurred())
		Expect(lease(ctx, podToken(pod), string(e.UID))).To(Succeed())
		forbidden(lease(ctx, podToken(pod), string(other.UID)), "works for the Event with UID "+string(e.UID)+" only")

		By("refusing a pod that somebody made without the Job's selector, with labels that claim the Event")
		forge := func(change func(*corev1.Pod)) string {
			GinkgoHelper()
			forged := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: "forged-",
					Labels: map[string]string{mrev1.LabelEventUID: string(e.UID)}},
				Spec: *job.Spec.Template.Spec.DeepCopy(),
			}
			change(forged)
			Expect(k8s.Create(ctx, forged)).To(Succeed())
			return podToken(forged)
		}
		forbidden(lease(ctx, forge(func(*corev1.Pod) {}), string(e.UID)), "is not controlled by a Job")
		forbidden(lease(ctx, forge(func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job,
				batchv1.SchemeGroupVersion.WithKind("Job"))}
		}), string(e.UID)), "is not one that Job "+job.Name+" selects")
		forbidden(lease(ctx, forge(func(p *corev1.Pod) {
			owner := metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))
			owner.UID = "11111111-2222-3333-4444-555555555555"
			p.OwnerReferences = []metav1.OwnerReference{*owner}
			p.Labels = map[string]string{batchv1.ControllerUidLabel: string(owner.UID)}
		}), string(e.UID)), "there is no jobs "+job.Name)

		By("refusing a token of the account that belongs to no pod")
		forbidden(lease(ctx, token(ns, "mre-agent", tokenAudience), string(e.UID)), "not bound to a pod")

		By("refusing the token of a pod that is gone")
		short, err := jobpod.ForEvent(ctx, k8s, e, "mre-agent")
		Expect(err).NotTo(HaveOccurred())
		late := podToken(short)
		Expect(k8s.Delete(ctx, short, k8sclient.GracePeriodSeconds(0))).To(Succeed())
		Expect(dataclient.Is(lease(ctx, late, string(e.UID)), api.ProblemCodeUnauthenticated)).To(BeTrue())
	})

	It("closes the pods of an Event before the first one is made", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		e := startEvent(ctx, ns)
		var list networkingv1.NetworkPolicyList
		Expect(k8s.List(ctx, &list, k8sclient.InNamespace(ns))).To(Succeed())
		jobs, err := listJobs(ctx, k8s, e)
		Expect(err).NotTo(HaveOccurred())
		var names []string
		for _, p := range list.Items {
			names = append(names, p.Name[strings.LastIndex(p.Name, "-")+1:])
			Expect(metav1.IsControlledBy(&p, e)).To(BeTrue())
			for i := range jobs {
				Expect(p.CreationTimestamp.After(jobs[i].CreationTimestamp.Time)).To(BeFalse())
			}
		}
		Expect(names).To(ConsistOf("jobs", "ingest"))
	})

	It("lets people read what the cluster lets them", func(ctx SpecContext) {
		ns := newNamespace(ctx)
		e := startEvent(ctx, ns)
		reader := token(ns, "reader", tokenAudience)
		segments := func() error {
			_, err := plane.with(reader, nil).Segments(ctx, string(e.UID))
			return err
		}
		forbidden(segments(), "needs the right to get events/data of mre.media")

		By("binding the role for viewers of Events")
		elsewhere := newNamespace(ctx)
		for _, namespace := range []string{elsewhere, ns} {
			Expect(k8s.Create(ctx, &rbacv1.RoleBinding{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "readers"},
				RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "mre-event-viewer"},
				Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: "second"}},
			})).To(Succeed())
		}
		reader = token(ns, "second", tokenAudience)
		Eventually(segments).Should(Succeed())
		forbidden(lease(ctx, reader, string(e.UID)), "may not call LeaseTask")
		request, err := http.NewRequestWithContext(ctx, http.MethodDelete, plane.url+"/v1/events/"+string(e.UID), nil)
		Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+reader)
		response, err := http.DefaultClient.Do(request)
		Expect(err).NotTo(HaveOccurred())
		Expect(response.Body.Close()).To(Succeed())
		Expect(response.StatusCode).To(Equal(http.StatusForbidden))

		By("refusing them the Events of other namespaces")
		foreign := startEvent(ctx, newNamespace(ctx))
		_, err = plane.with(reader, nil).Segments(ctx, string(foreign.UID))
		forbidden(err, "needs the right to get events/data")
	})
})
