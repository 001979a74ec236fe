// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestSplitServiceAddress(t *testing.T) {
	type answer struct {
		service, namespace string
		port               int32
		ok                 bool
	}
	for address, want := range map[string]answer{
		"mre-dataplane.mre-system.svc:8080":                 {"mre-dataplane", "mre-system", 8080, true},
		"mre-objectstore.mre-system.svc.cluster.local:7070": {"mre-objectstore", "mre-system", 7070, true},
		"mre-dataplane.mre-system:8080":                     {},
		"s3.eu-central-1.amazonaws.com:443":                 {},
		"a.b.svc.example.com:80":                            {},
		"10.97.0.1:6443":                                    {},
		"a.b.svc:http":                                      {},
		"a.b.svc":                                           {},
	} {
		service, namespace, port, ok := splitServiceAddress(address)
		if got := (answer{service, namespace, port, ok}); got != want {
			t.Errorf("%s: got %+v, want %+v", address, got, want)
		}
	}
}

func TestResolvePort(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 8081}}},
		{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}},
	}}}
	for _, c := range []struct {
		name   string
		target intstr.IntOrString
		want   int32
		ok     bool
	}{
		{"by name", intstr.FromString("http"), 8080, true},
		{"by number", intstr.FromInt32(9000), 9000, true},
		{"left out: the service's own", intstr.IntOrString{}, 80, true},
		{"no such name", intstr.FromString("grpc"), 0, false},
	} {
		if got, ok := resolvePort(pod, c.target, 80); got != c.want || ok != c.ok {
			t.Errorf("%s: got %d, %t, want %d, %t", c.name, got, ok, c.want, c.ok)
		}
	}
}
