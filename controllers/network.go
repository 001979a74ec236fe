// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	// labelNamespace is on every namespace and cannot be changed.
	labelNamespace = corev1.LabelMetadataName
	// dnsNamespace is where clusters have their DNS, and nodeLocalDNS where a cache on the node listens.
	dnsNamespace = metav1.NamespaceSystem
	nodeLocalDNS = "169.254.20.10/32"
	dnsPort      = 53
)

// notTheInternet are addresses that hand out the node's and other pods' credentials in clouds: nobody's source.
var notTheInternet = map[string][]string{
	"0.0.0.0/0": {"169.254.0.0/16"},
	"::/0":      {"fd00:ec2::/32", "fe80::/10"},
}

// Network says what the Jobs' pods must reach.
type Network struct {
	// DataPlaneURL is that of the Jobs, and ObjectStoreURL where signed URLs lead; empty for AWS S3.
	DataPlaneURL, ObjectStoreURL string
}

// PoolEgress is what the worker pods of a pool may reach besides.
type PoolEgress struct {
	// Pool is the name of the pool, empty for the one that every Event has.
	Pool string
	// Rules are those of its plugins.
	Rules []networkingv1.NetworkPolicyEgressRule
	// Models are the Services of the models that its plugins use.
	Models []ServiceBackend
}

// ServiceBackend are the pods behind a Service of the Event's namespace. A policy knows pods and their ports only.
type ServiceBackend struct {
	Selector map[string]string
	Port     intstr.IntOrString
}

// backendOf is what stands behind a port of a Service; false when the Service selects no pods of its own.
func backendOf(s *corev1.Service, port int32) (ServiceBackend, bool) {
	if len(s.Spec.Selector) == 0 {
		return ServiceBackend{}, false
	}
	for _, p := range s.Spec.Ports {
		if p.Port != port {
			continue
		}
		target := p.TargetPort
		if target == (intstr.IntOrString{}) {
			target = intstr.FromInt32(port)
		}
		return ServiceBackend{Selector: s.Spec.Selector, Port: target}, true
	}
	return ServiceBackend{}, false
}

// networkPolicies close the pods of an Event's Jobs to everybody, and open to them what they need. Policies add up: the
// first is for all of them, the others add what a role or a pool needs besides.
func networkPolicies(e *mrev1.Event, n Network, pools []PoolEgress) ([]networkingv1.NetworkPolicy, error) {
	dataPlane, err := egressTo(n.DataPlaneURL)
	if err != nil {
		return nil, fmt.Errorf("opening the way to the data plane: %w", err)
	}
	objectStore, err := egressTo(n.ObjectStoreURL)
	if err != nil {
		return nil, fmt.Errorf("opening the way to the object store: %w", err)
	}
	all := networkPolicy(e, "jobs", nil, append(egressToDNS(), dataPlane, objectStore))
	all.Spec.PolicyTypes = append(all.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
	out := []networkingv1.NetworkPolicy{all}
	// A source in the bucket is read from the object store.
	if file := e.Spec.Source.File; file != nil && !strings.HasPrefix(file.URL, "s3://") {
		out = append(out, networkPolicy(e, "ingest", roleIs(RoleIngest),
			[]networkingv1.NetworkPolicyEgressRule{egressAnywhere()}))
	}
	for _, p := range pools {
		rules := p.Rules
		for _, m := range p.Models {
			rules = append(slices.Clip(rules), networkingv1.NetworkPolicyEgressRule{
				Ports: tcp(m.Port),
				To:    []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: m.Selector}}},
			})
		}
		if len(rules) == 0 {
			continue
		}
		name, who := "worker", roleIs(RoleWorker)
		if p.Pool == "" {
			who = append(who, metav1.LabelSelectorRequirement{Key: mrev1.LabelPool,
				Operator: metav1.LabelSelectorOpDoesNotExist})
		} else {
			name += "-" + p.Pool
			who = append(who, metav1.LabelSelectorRequirement{Key: mrev1.LabelPool,
				Operator: metav1.LabelSelectorOpIn, Values: []string{p.Pool}})
		}
		out = append(out, networkPolicy(e, name, who, rules))
	}
	return out, nil
}

func roleIs(role Role) []metav1.LabelSelectorRequirement {
	return []metav1.LabelSelectorRequirement{{Key: mrev1.LabelRole,
		Operator: metav1.LabelSelectorOpIn, Values: []string{string(role)}}}
}

// networkPolicy has a deterministic name, and goes with the Event that it belongs to.
func networkPolicy(e *mrev1.Event, suffix string, who []metav1.LabelSelectorRequirement,
	egress []networkingv1.NetworkPolicyEgressRule) networkingv1.NetworkPolicy {
	sum := sha256.Sum256([]byte(e.UID))
	return networkingv1.NetworkPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace,
			Name: fmt.Sprintf("%s-%s-%s", strings.TrimRight(e.Name[:min(len(e.Name), 40)], "-"),
				hex.EncodeToString(sum[:3]), suffix),
			Labels: map[string]string{labelManagedBy: managedBy, labelPartOf: partOf, mrev1.LabelEvent: e.Name,
				mrev1.LabelEventUID: string(e.UID)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(e, mrev1.GroupVersion.WithKind("Event"))},
		},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{mrev1.LabelEventUID: string(e.UID)},
				MatchExpressions: who},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress:      egress,
		},
	}
}

// egressToDNS opens the way to the cluster's DNS: to its pods, which may listen on any port behind their Service, and
// on the usual port to whatever else of the system plays its part.
func egressToDNS() []networkingv1.NetworkPolicyEgressRule {
	udp, port := corev1.ProtocolUDP, intstr.FromInt32(dnsPort)
	return []networkingv1.NetworkPolicyEgressRule{
		{To: []networkingv1.NetworkPolicyPeer{inNamespace(dnsNamespace, map[string]string{"k8s-app": "kube-dns"})}},
		{
			Ports: append(tcp(port), networkingv1.NetworkPolicyPort{Protocol: &udp, Port: &port}),
			To:    []networkingv1.NetworkPolicyPeer{inNamespace(dnsNamespace, nil), address(nodeLocalDNS)},
		},
	}
}

// egressAnywhere is for what nobody knows beforehand: sources redirect.
func egressAnywhere() networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{
		address("0.0.0.0/0"), address("::/0"),
	}}
}

// egressTo opens the way to a URL: one of the operator's own Services, another namespace's Service, an address, or a
// name that may have any address. The empty URL is AWS S3.
func egressTo(to string) (networkingv1.NetworkPolicyEgressRule, error) {
	if to == "" {
		to = "https://s3.amazonaws.com"
	}
	u, err := url.Parse(to)
	if err != nil || u.Hostname() == "" {
		return networkingv1.NetworkPolicyEgressRule{}, fmt.Errorf("%q is not a URL with a host", to)
	}
	text := u.Port()
	if text == "" {
		text = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return networkingv1.NetworkPolicyEgressRule{}, fmt.Errorf("%q has no port, and is neither http:// nor https://", to)
	}
	ports := tcp(intstr.FromInt32(int32(port)))
	if service, namespace, ok := serviceOf(u.Hostname()); ok {
		component, ours := ownServices[service]
		if !ours {
			// The pods of a Service that is not ours may listen on any port.
			return networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{inNamespace(namespace, nil)}}, nil
		}
		return networkingv1.NetworkPolicyEgressRule{Ports: ports,
			To: []networkingv1.NetworkPolicyPeer{inNamespace(namespace, component)}}, nil
	}
	if at, err := netip.ParseAddr(u.Hostname()); err == nil {
		return networkingv1.NetworkPolicyEgressRule{Ports: ports,
			To: []networkingv1.NetworkPolicyPeer{address(netip.PrefixFrom(at, at.BitLen()).String())}}, nil
	}
	rule := egressAnywhere()
	rule.Ports = ports
	return rule, nil
}

// ownServices are the labels of the pods behind the operator's Services. These pods listen on the Services' ports.
var ownServices = map[string]map[string]string{
	"mre-dataplane":   {"app.kubernetes.io/name": "mre", "app.kubernetes.io/component": "dataplane"},
	"mre-objectstore": {"app.kubernetes.io/name": "mre", "app.kubernetes.io/component": "objectstore"},
}

// serviceOf takes NAME.NAMESPACE.svc, with or without the cluster's domain, apart.
func serviceOf(host string) (name, namespace string, ok bool) {
	labels := strings.Split(host, ".")
	if len(labels) < 3 || labels[2] != "svc" {
		return "", "", false
	}
	return labels[0], labels[1], true
}

// ServedByTLS tells which Service of the cluster a data plane's URL names, when it is one to encrypt the way to.
func ServedByTLS(dataPlaneURL string) (service, namespace string, ok bool) {
	u, err := url.Parse(dataPlaneURL)
	if err != nil || u.Scheme != "https" {
		return "", "", false
	}
	return serviceOf(u.Hostname())
}

func tcp(port intstr.IntOrString) []networkingv1.NetworkPolicyPort {
	protocol := corev1.ProtocolTCP
	return []networkingv1.NetworkPolicyPort{{Protocol: &protocol, Port: &port}}
}

func inNamespace(namespace string, pods map[string]string) networkingv1.NetworkPolicyPeer {
	peer := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{
		MatchLabels: map[string]string{labelNamespace: namespace}}}
	if pods != nil {
		peer.PodSelector = &metav1.LabelSelector{MatchLabels: pods}
	}
	return peer
}

func address(cidr string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: notTheInternet[cidr]}}
}
