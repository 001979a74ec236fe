// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// state is what policies are about. Pods have an address of their own and have not ended.
type state struct {
	pods       []*corev1.Pod
	namespaces map[string]labels.Set
	policies   []*networkingv1.NetworkPolicy
}

// direction is one of the two sides of a policy.
type direction struct {
	kind networkingv1.PolicyType
	// peer is the nft expression of the other side's address.
	peer string
}

var (
	egress  = direction{networkingv1.PolicyTypeEgress, "ip daddr"}
	ingress = direction{networkingv1.PolicyTypeIngress, "ip saddr"}
)

// rule is what a policy lets through: any of the peers, on any of the ports.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

// render writes the whole table as a script for nft, which takes it in one transaction. The same state gives the same
// script. A pod that no policy selects for a direction is open in it; one that some do is open to what any of them
// allows. Answers pass, as connections are what policies are about.
func render(s state) (string, error) {
	var chains, maps strings.Builder
	slices.SortFunc(s.pods, func(a, b *corev1.Pod) int { return cmp.Compare(a.Status.PodIP, b.Status.PodIP) })
	for _, d := range []direction{egress, ingress} {
		var jumps []string
		for _, p := range s.pods {
			rules, isolated, err := s.rulesOf(p, d)
			if err != nil {
				return "", err
			}
			if !isolated {
				continue
			}
			chain := strings.ToLower(string(d.kind)) + "-" + strings.ReplaceAll(p.Status.PodIP, ".", "-")
			jumps = append(jumps, fmt.Sprintf("%s : jump %s", p.Status.PodIP, chain))
			fmt.Fprintf(&chains, "\tchain %s { # %s/%s\n", chain, p.Namespace, p.Name)
			for _, r := range rules {
				lines, err := s.lines(p, d, r)
				if err != nil {
					return "", err
				}
				for _, line := range lines {
					fmt.Fprintf(&chains, "\t\t%s return\n", line)
				}
			}
			chains.WriteString("\t\tcounter drop\n\t}\n")
		}
		elements := ""
		if len(jumps) > 0 {
			elements = " elements = { " + strings.Join(jumps, ", ") + " };"
		}
		fmt.Fprintf(&maps, "\tmap %s { type ipv4_addr : verdict;%s }\n", strings.ToLower(string(d.kind)), elements)
	}
	return "table ip mre-netpol\ndelete table ip mre-netpol\ntable ip mre-netpol {\n" +
		chains.String() + maps.String() + `	chain forward {
		type filter hook forward priority -5; policy accept;
		ct state established,related accept
		ip saddr vmap @egress
		ip daddr vmap @ingress
	}
	chain input {
		type filter hook input priority -5; policy accept;
		ct state established,related accept
		ip saddr vmap @egress
	}
}
`, nil
}

// rulesOf are what policies allow a pod in a direction, and whether any policy selects it there. The API server has
// filled in the directions of a policy that names none.
func (s state) rulesOf(p *corev1.Pod, d direction) (rules []rule, isolated bool, err error) {
	for _, policy := range s.policies {
		if policy.Namespace != p.Namespace || !slices.Contains(policy.Spec.PolicyTypes, d.kind) {
			continue
		}
		selected, err := matches(&policy.Spec.PodSelector, p.Labels)
		if err != nil {
			return nil, false, fmt.Errorf("NetworkPolicy %s/%s: spec.podSelector: %w", policy.Namespace, policy.Name, err)
		}
		if !selected {
			continue
		}
		isolated = true
		if d.kind == networkingv1.PolicyTypeEgress {
			for _, r := range policy.Spec.Egress {
				rules = append(rules, rule{r.To, r.Ports})
			}
			continue
		}
		for _, r := range policy.Spec.Ingress {
			rules = append(rules, rule{r.From, r.Ports})
		}
	}
	return rules, isolated, nil
}

// lines are the nft expressions of a rule; no expression at all lets everything pass.
func (s state) lines(p *corev1.Pod, d direction, r rule) ([]string, error) {
	peers, err := s.peers(p.Namespace, r.peers)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, peer := range peers {
		// The port is that of the side which is called.
		called := p
		if d.kind == networkingv1.PolicyTypeEgress {
			called = peer.pod
		}
		address := ""
		if peer.address != "" {
			address = d.peer + " " + peer.address + " "
		}
		for _, e := range peer.except {
			address += d.peer + " != " + e + " "
		}
		if len(r.ports) == 0 {
			out = append(out, strings.TrimSpace(address))
		}
		for _, port := range r.ports {
			if expression, ok := portExpression(called, port); ok {
				out = append(out, address+expression)
			}
		}
	}
	return out, nil
}

// peer is one other side; the empty address is anybody.
type peer struct {
	address string
	except  []string
	pod     *corev1.Pod
}

// peers are the addresses that a rule means.
func (s state) peers(namespace string, list []networkingv1.NetworkPolicyPeer) ([]peer, error) {
	if len(list) == 0 {
		return []peer{{}}, nil
	}
	var out []peer
	for _, l := range list {
		if l.IPBlock != nil {
			if prefix, err := netip.ParsePrefix(l.IPBlock.CIDR); err != nil || !prefix.Addr().Is4() {
				continue // pods have IPv4 addresses alone
			}
			out = append(out, peer{address: l.IPBlock.CIDR, except: l.IPBlock.Except})
			continue
		}
		for _, q := range s.pods {
			in, err := s.namespaceMatches(namespace, q.Namespace, l.NamespaceSelector)
			if err != nil {
				return nil, err
			}
			if !in {
				continue
			}
			if l.PodSelector != nil {
				if in, err = matches(l.PodSelector, q.Labels); err != nil {
					return nil, err
				}
			}
			if in {
				out = append(out, peer{address: q.Status.PodIP, pod: q})
			}
		}
	}
	return out, nil
}

// namespaceMatches: without a selector, a policy's own namespace is meant.
func (s state) namespaceMatches(own, other string, selector *metav1.LabelSelector) (bool, error) {
	if selector == nil {
		return own == other, nil
	}
	return matches(selector, s.namespaces[other])
}

func matches(selector *metav1.LabelSelector, set labels.Set) (bool, error) {
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set), err
}

// portExpression is the nft expression of a port; false for a name that the called pod does not know.
func portExpression(called *corev1.Pod, p networkingv1.NetworkPolicyPort) (string, bool) {
	protocol := corev1.ProtocolTCP
	if p.Protocol != nil {
		protocol = *p.Protocol
	}
	name := strings.ToLower(string(protocol))
	switch {
	case p.Port == nil:
		return "meta l4proto " + name, true
	case p.EndPort != nil:
		return fmt.Sprintf("%s dport %d-%d", name, p.Port.IntValue(), *p.EndPort), true
	case p.Port.Type == intstr.Int:
		return name + " dport " + strconv.Itoa(p.Port.IntValue()), true
	case called == nil:
		return "", false
	}
	for _, c := range slices.Concat(called.Spec.InitContainers, called.Spec.Containers) {
		for _, port := range c.Ports {
			if port.Name == p.Port.StrVal && cmp.Or(port.Protocol, corev1.ProtocolTCP) == protocol {
				return name + " dport " + strconv.Itoa(int(port.ContainerPort)), true
			}
		}
	}
	return "", false
}

// sortPolicies makes the script depend on what the policies say and not on the order in which they came.
func sortPolicies(list []*networkingv1.NetworkPolicy) {
	slices.SortFunc(list, func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
