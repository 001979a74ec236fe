// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mre-operator/mre-operator/internal/certs"
)

// The keeper has the rights that config/rbac gives the manager.
var _ = Describe("The data plane's certificate", func() {
	It("is made once, handed to every namespace with Events, and renewed before it ends", func(ctx SpecContext) {
		account := rest.AnonymousClientConfig(restConfig)
		account.BearerToken = token("mre-system", "mre-manager")
		manager, err := client.New(account, client.Options{Scheme: testScheme})
		Expect(err).NotTo(HaveOccurred())
		ns := newNamespace(ctx)
		Expect(k8s.Create(ctx, in(ns, makeEvent()))).To(Succeed())
		clock := testclock.NewFakeClock(time.Now())
		keeper := func() *Certificates {
			return &Certificates{Client: manager, Live: manager, Clock: clock, Namespace: "mre-system", Service: "mre-dataplane"}
		}
		secret := func() map[string][]byte {
			GinkgoHelper()
			var s corev1.Secret
			Expect(k8s.Get(ctx, client.ObjectKey{Namespace: "mre-system", Name: certificateSecret}, &s)).To(Succeed())
			Expect(s.Type).To(Equal(corev1.SecretTypeTLS))
			return s.Data
		}
		trustOf := func(namespace string) string {
			GinkgoHelper()
			var m corev1.ConfigMap
			Expect(k8s.Get(ctx, client.ObjectKey{Namespace: namespace, Name: trustConfigMap}, &m)).To(Succeed())
			return m.Data[certs.Bundle]
		}

		By("making it, and going on with it in another process")
		first, second := keeper(), keeper()
		_, err = first.Trust()
		Expect(err).To(MatchError(ContainSubstring("has not been made yet")))
		Expect(first.look(ctx)).To(Succeed())
		made := secret()
		Expect(second.look(ctx)).To(Succeed())
		Expect(secret()).To(Equal(made))
		trusted, err := second.Trust()
		Expect(err).NotTo(HaveOccurred())
		Expect(trusted).To(Equal(made[certs.Bundle]))
		for _, namespace := range []string{"mre-system", ns} {
			Expect(trustOf(namespace)).To(Equal(string(trusted)))
		}

		By("renewing the certificate, then the authority; two keepers do not undo each other")
		clock.Step(61 * 24 * time.Hour)
		Expect(first.look(ctx)).To(Succeed())
		Expect(second.look(ctx)).To(Succeed())
		renewed := secret()
		Expect(renewed[certs.Certificate]).NotTo(Equal(made[certs.Certificate]))
		Expect(renewed[certs.Bundle]).To(Equal(made[certs.Bundle]))
		clock.Step(430 * 24 * time.Hour)
		Expect(second.look(ctx)).To(Succeed())
		Expect(first.look(ctx)).To(Succeed())
		Expect(bytes.Count(secret()[certs.Bundle], []byte("BEGIN CERTIFICATE"))).To(Equal(2))
		Expect(trustOf(ns)).To(Equal(string(secret()[certs.Bundle])))

		By("looking by itself")
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		third := keeper()
		go func() { ended <- third.Start(running) }()
		Eventually(func() error { _, err := third.Trust(); return err }).Should(Succeed())
		stop()
		Expect(<-ended).To(Succeed())
	})

	It("is what the pods of Jobs know the data plane by", func(ctx SpecContext) {
		o := DefaultOptions()
		plain := podSpec(makeEvent(), NewJob{Slot: Slot{Role: RoleWorker}}, podNeeds{}, o)
		Expect(plain.Volumes[0].Projected.Sources).To(HaveLen(1))
		o.Trust = func() ([]byte, error) { return nil, nil }
		pod := podSpec(makeEvent(), NewJob{Slot: Slot{Role: RoleWorker}}, podNeeds{}, o)
		Expect(pod.Volumes[0].Projected.Sources[1].ConfigMap.Name).To(Equal(trustConfigMap))
		Expect(pod.Containers[0].Args).To(ContainElement("--ca-file=" + tokenFolder + "/ca.crt"))
	})
})
