// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func pod(namespace, name, ip string, set labels.Set) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: set},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}},
		Status: corev1.PodStatus{PodIP: ip},
	}
}

func cluster(spec ...networkingv1.NetworkPolicySpec) state {
	s := state{
		namespaces: map[string]labels.Set{"a": {"name": "a"}, "b": {"name": "b"}},
		pods: []*corev1.Pod{
			pod("a", "worker", "10.0.0.1", labels.Set{"role": "worker"}),
			pod("a", "other", "10.0.0.2", labels.Set{"role": "other"}),
			pod("b", "plane", "10.0.0.3", labels.Set{"app": "plane"}),
		},
	}
	for _, p := range spec {
		s.policies = append(s.policies,
			&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "p"}, Spec: p})
	}
	return s
}

// chain are the lines of a chain of the script, without the count that all of them end with.
func chain(script, name string) []string {
	_, rest, found := strings.Cut(script, "\tchain "+name+" {")
	if !found {
		return nil
	}
	body, _, _ := strings.Cut(rest, "\n\t}")
	var out []string
	for line := range strings.SplitSeq(body, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && line != "counter drop" {
			out = append(out, line)
		}
	}
	return out
}

func TestRules(t *testing.T) {
	worker := metav1.LabelSelector{MatchLabels: map[string]string{"role": "worker"}}
	tcp := func(port intstr.IntOrString) []networkingv1.NetworkPolicyPort {
		return []networkingv1.NetworkPolicyPort{{Port: &port}}
	}
	for name, tt := range map[string]struct {
		policy networkingv1.NetworkPolicySpec
		chain  string
		want   []string
	}{
		"closed": {networkingv1.NetworkPolicySpec{PodSelector: worker,
			PolicyTypes: []networkingv1.PolicyType{"Ingress"}}, "ingress-10-0-0-1", []string{}},
		"not selected": {networkingv1.NetworkPolicySpec{PodSelector: worker,
			PolicyTypes: []networkingv1.PolicyType{"Ingress"}}, "ingress-10-0-0-2", nil},
		"the other direction is open": {networkingv1.NetworkPolicySpec{PodSelector: worker,
			PolicyTypes: []networkingv1.PolicyType{"Ingress"}}, "egress-10-0-0-1", nil},
		"anybody": {networkingv1.NetworkPolicySpec{PodSelector: worker, PolicyTypes: []networkingv1.PolicyType{"Egress"},
			Egress: []networkingv1.NetworkPolicyEgressRule{{}}}, "egress-10-0-0-1", []string{"return"}},
		"pods of another namespace, by a port's name": {networkingv1.NetworkPolicySpec{PodSelector: worker,
			PolicyTypes: []networkingv1.PolicyType{"Egress"},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To: []networkingv1.NetworkPolicyPeer{
					{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"name": "b"}},
						PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "plane"}}},
				},
				Ports: tcp(intstr.FromString("http")),
			}}}, "egress-10-0-0-1", []string{"ip daddr 10.0.0.3 tcp dport 8080 return"}},
		"own namespace without a selector of namespaces": {networkingv1.NetworkPolicySpec{PodSelector: worker,
			PolicyTypes: []networkingv1.PolicyType{"Ingress"},
			Ingress: []networkingv1.NetworkPolicyIngressRule{
				{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}},
			}},
			"ingress-10-0-0-1", []string{"ip saddr 10.0.0.1 return", "ip saddr 10.0.0.2 return"}},
		"a block with a hole": {networkingv1.NetworkPolicySpec{PodSelector: worker,
			PolicyTypes: []networkingv1.PolicyType{"Egress"},
			Egress: []networkingv1.NetworkPolicyEgressRule{{
				To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0",
					Except: []string{"169.254.169.254/32"}}}},
				Ports: tcp(intstr.FromInt32(443)),
			}}}, "egress-10-0-0-1", []string{"ip daddr 0.0.0.0/0 ip daddr != 169.254.169.254/32 tcp dport 443 return"}},
	} {
		t.Run(name, func(t *testing.T) {
			script, err := render(cluster(tt.policy))
			if err != nil {
				t.Fatal(err)
			}
			got, isolated := chain(script, tt.chain), strings.Contains(script, "chain "+tt.chain+" {")
			if isolated != (tt.want != nil) || !slices.Equal(got, tt.want) {
				t.Errorf("chain %s is %q, want %q\n%s", tt.chain, got, tt.want, script)
			}
		})
	}
}

// nft itself must take the script, where it is there.
func TestNftTakesTheScript(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Logf("nft is not there; hack/cluster installs it: %v", err)
		return
	}
	script, err := render(cluster(networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{"Ingress", "Egress"},
		Ingress: []networkingv1.NetworkPolicyIngressRule{
			{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}},
		}}))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "nft", "-c", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s\n%s", err, out, script)
	}
}
