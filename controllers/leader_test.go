// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// oldImage and newImage are those of the managers before and after an upgrade.
const (
	oldImage = "registry.example.com/mre:test"
	newImage = "registry.example.com/mre:next"
)

var _ = Describe("A change of the leader", func() {
	It("in mid-event loses and doubles nothing, and an upgrade leaves running pods alone", func(ctx context.Context) {
		const ns = "apart-leaders"
		ensureNamespace(ctx, ns)
		first, killFirst := startManager(testManager{only: ns, elects: true})
		Eventually(first.Elected()).Should(BeClosed())
		second, _ := startManager(testManager{only: ns, elects: true, options: func(o *Options) { o.AgentImage = newImage }})

		e := startEvent(ctx, ns)
		Expect(second.Elected()).NotTo(BeClosed())
		jobsByName := func() map[string]types.UID {
			GinkgoHelper()
			jobs, err := listJobs(ctx, k8s, e)
			Expect(err).NotTo(HaveOccurred())
			out := map[string]types.UID{}
			for _, j := range jobs {
				out[j.Name] = j.UID
			}
			return out
		}
		before, hash := jobsByName(), e.Status.PlanHash
		a := newAgent(ns, string(e.UID))
		a.open(ctx)
		for n := range int64(5) {
			a.store(ctx, n)
		}
		// A leader that dies between a status patch and its Kubernetes Event takes the latter with it.
		Eventually(reasonsTold(ctx, e)).Should(And(tells(mrev1.ReasonProgressing), tells(mrev1.ReasonSourceOpened)))

		By("killing the leader; a Job dies while nobody leads")
		killFirst()
		killed := time.Now()
		fail(ctx, e, Slot{RoleWorker, "", 1}, 1)
		Eventually(jobsOf(ctx, e)).Should(ConsistOf("ingest-0-1", "worker-0-1", "worker-1-2", "render-0-1"))
		gap := time.Since(killed)
		GinkgoWriter.Printf("the next leader replaced the Job %s after the first was killed\n", gap)
		Expect(second.Elected()).To(BeClosed())
		Expect(gap).To(BeNumerically("<", 10*time.Second))

		By("leaving the other Jobs as they are")
		after := jobsByName()
		dead := jobName(e, Slot{RoleWorker, "", 1}, 1)
		for name, uid := range before {
			if name != dead {
				Expect(after).To(HaveKeyWithValue(name, uid))
			}
		}
		jobs, err := listJobs(ctx, k8s, e)
		Expect(err).NotTo(HaveOccurred())
		for _, j := range jobs {
			want := oldImage
			if j.Labels[mrev1.LabelAttempt] == "2" {
				want = newImage
			}
			Expect(j.Spec.Template.Spec.Containers[0].Image).To(Equal(want), j.Name)
		}

		By("going on to the end")
		for n := int64(5); n < 8; n++ {
			a.store(ctx, n)
		}
		a.end(ctx, 8)
		a.work(ctx, "work")
		a.work(ctx, "render")
		Eventually(conditionOf(ctx, e, mrev1.ConditionComplete)).Should(is("True", mrev1.ReasonCompleted))
		Expect(e.Status.PlanHash).To(Equal(hash))
		Expect(e.Status.Progress.Clips).To(Equal(mrev1.ClipProgress{Wanted: 4, Rendered: 4}))
		expectToldOnce(ctx, e, mrev1.ReasonProgressing, mrev1.ReasonSourceOpened, mrev1.ReasonCompleted)
		Expect(k8s.Delete(ctx, e)).To(Succeed())
		Eventually(isGone(ctx, e)).Should(BeTrue())
	})
})

var _ = Describe("A bound on all workers", func() {
	It("is shared by Events, one each before any has two", func(ctx context.Context) {
		const ns = "apart-sharing"
		ensureNamespace(ctx, ns)
		startManager(testManager{only: ns, options: func(o *Options) { o.MaxWorkers = 3 }})
		for _, p := range usualPlugins() {
			Expect(k8s.Create(ctx, in(ns, p))).To(Succeed())
		}
		Expect(k8s.Create(ctx, in(ns, makeProfile()))).To(Succeed())
		var all []*mrev1.Event
		workers := func() []string {
			var out []string
			for _, e := range all {
				n := strings.Count(strings.Join(jobsOf(ctx, e)(Default), " "), "worker")
				out = append(out, strings.Repeat("w", n))
			}
			return out
		}
		add := func(name string) *mrev1.Event {
			GinkgoHelper()
			e := in(ns, makeEvent(func(e *mrev1.Event) { e.Name = name }))
			Expect(k8s.Create(ctx, e)).To(Succeed())
			all = append(all, e)
			// The order of creation decides, and has seconds.
			time.Sleep(1100 * time.Millisecond)
			return e
		}
		first := add("first")
		Eventually(workers).Should(Equal([]string{"ww"}))
		add("second")
		Eventually(workers).Should(Equal([]string{"ww", "w"}))
		add("third")
		Eventually(workers).Should(Equal([]string{"w", "w", "w"}))
		fourth := add("fourth")
		Eventually(conditionOf(ctx, fourth, mrev1.ConditionReady)).
			Should(is("False", mrev1.ReasonWaitingForWorkers, "all the 3 workers"))
		Consistently(func() int { return len(strings.Join(workers(), "")) }, time.Second).Should(BeNumerically("<=", 3))

		By("giving the worker of one that rests to the one that waits")
		edit(ctx, first, func(e *mrev1.Event) { e.Spec.Suspend = new(true) })
		Eventually(conditionOf(ctx, first, mrev1.ConditionSuspended)).Should(is("True", mrev1.ReasonSuspended))
		succeed(ctx, first, Slot{RoleWorker, "", 0}, 1)
		Eventually(workers).Should(Equal([]string{"", "w", "w", "w"}))
		Eventually(conditionOf(ctx, fourth, mrev1.ConditionReady)).Should(is("True", mrev1.ReasonProgressing))
		for _, e := range all {
			Expect(k8s.Delete(ctx, e)).To(Succeed())
			Eventually(isGone(ctx, e)).Should(BeTrue())
		}
	})
})
