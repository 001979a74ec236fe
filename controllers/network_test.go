// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

var installed = Network{
	DataPlaneURL: "http://mre-dataplane.mre-system.svc:8080", ObjectStoreURL: "http://mre-objectstore.mre-system.svc:7070",
}

// TestNetworkPolicies compares what is made for an Event with a file that a person has read.
func TestNetworkPolicies(t *testing.T) {
	inBucket := func(e *mrev1.Event) { e.Spec.Source.File.URL = "s3://mre/inputs/match.mp4" }
	weights := networkingv1.NetworkPolicyEgressRule{Ports: tcp(intstr.FromInt32(443)),
		To: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "203.0.113.0/24"}}}}
	model := ServiceBackend{Selector: map[string]string{"app": "triton"}, Port: intstr.FromString("http")}
	for name, c := range map[string]struct {
		event   *mrev1.Event
		network Network
		pools   []PoolEgress
	}{
		"web-source":    {makeEvent(), installed, nil},
		"bucket-source": {makeEvent(inBucket), installed, []PoolEgress{{Pool: ""}, {Pool: "gpu"}}},
		"pools": {makeEvent(inBucket), installed, []PoolEgress{
			{Pool: "", Models: []ServiceBackend{model}},
			{Pool: "gpu", Rules: []networkingv1.NetworkPolicyEgressRule{weights}, Models: []ServiceBackend{model}},
		}},
		"aws": {makeEvent(inBucket), Network{DataPlaneURL: installed.DataPlaneURL}, nil},
		"another-store": {makeEvent(inBucket),
			Network{DataPlaneURL: "http://10.0.0.7:8080", ObjectStoreURL: "http://minio.storage.svc.cluster.local"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			policies, err := networkPolicies(c.event, c.network, c.pools)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, p := range policies {
				text, err := yaml.Marshal(p)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n" + string(text))
			}
			file := filepath.Join("testdata", "network", name+".yaml")
			if *updateGolden {
				if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("(-want +got; -update writes the file):\n%s", diff)
			}
		})
	}
}

func TestNetworkPoliciesOfAnOpenWorldKeepItsSecrets(t *testing.T) {
	for _, to := range []string{"", "https://s3.example.com", "http://store.example.com:9000"} {
		rule, err := egressTo(to)
		if err != nil {
			t.Fatal(err)
		}
		if len(rule.Ports) != 1 {
			t.Errorf("%q: any port is open", to)
		}
		for _, peer := range append(rule.To, egressAnywhere().To...) {
			if peer.IPBlock == nil || len(peer.IPBlock.Except) == 0 {
				t.Errorf("%q: %+v reaches the node's metadata", to, peer)
			}
		}
	}
	for _, bad := range []string{"mre-dataplane:8080", "ftp://store.example.com", "http://"} {
		if rule, err := egressTo(bad); err == nil {
			t.Errorf("%q was taken: %+v", bad, rule)
		}
	}
}

func TestPodsBehindAService(t *testing.T) {
	service := func(selector map[string]string, target intstr.IntOrString) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{Selector: selector, Ports: []corev1.ServicePort{
			{Port: 9000, TargetPort: intstr.FromInt32(1)}, {Port: 80, TargetPort: target}}}}
	}
	triton := map[string]string{"app": "triton"}
	for name, c := range map[string]struct {
		service *corev1.Service
		port    int32
		want    ServiceBackend
		ok      bool
	}{
		"another port": {service(triton, intstr.FromInt32(8000)), 80, ServiceBackend{triton, intstr.FromInt32(8000)}, true},
		"a named port": {service(triton, intstr.FromString("http")),
			80, ServiceBackend{triton, intstr.FromString("http")}, true},
		"the same port": {service(triton, intstr.IntOrString{}), 80, ServiceBackend{triton, intstr.FromInt32(80)}, true},
		"no such port":  {service(triton, intstr.FromInt32(8000)), 81, ServiceBackend{}, false},
		"no pods":       {service(nil, intstr.FromInt32(8000)), 80, ServiceBackend{}, false},
	} {
		got, ok := backendOf(c.service, c.port)
		if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
			t.Errorf("%s: %v (-want +got):\n%s", name, ok, diff)
		}
	}
}
