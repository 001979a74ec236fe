// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

func TestPoolEgress(t *testing.T) {
	live := fake.NewClientBuilder().WithObjects(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "triton"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "triton"},
			Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("http")}}},
	}).Build()
	rule := func(cidr string) networkingv1.NetworkPolicyEgressRule {
		return networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{address(cidr)}}
	}
	needs := podNeeds{Containers: []pluginContainer{
		{Plugin: "faces", Container: mrev1.ContainerRuntime{Pool: "gpu",
			Egress: []networkingv1.NetworkPolicyEgressRule{rule("10.1.0.0/16")}},
			Service: &mrev1.ModelService{Name: "triton", Port: 80}},
		{Plugin: "crowd",
			Container: mrev1.ContainerRuntime{Egress: []networkingv1.NetworkPolicyEgressRule{rule("10.2.0.0/16")}}},
		{Plugin: "logos", Container: mrev1.ContainerRuntime{Pool: "gpu",
			Egress: []networkingv1.NetworkPolicyEgressRule{rule("10.3.0.0/16")}},
			Service: &mrev1.ModelService{Name: "not-there-yet", Port: 80}},
	}}
	got, err := poolEgress(t.Context(), live, "football", needs)
	if err != nil {
		t.Fatal(err)
	}
	want := []PoolEgress{
		{Pool: "gpu", Rules: []networkingv1.NetworkPolicyEgressRule{rule("10.1.0.0/16"), rule("10.3.0.0/16")},
			Models: []ServiceBackend{{Selector: map[string]string{"app": "triton"}, Port: intstr.FromString("http")}}},
		{Rules: []networkingv1.NetworkPolicyEgressRule{rule("10.2.0.0/16")}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
