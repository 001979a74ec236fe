// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// poolEgress is what the plugins of an Event's pools may reach, by pool. A policy knows no Services, so the pods behind
// those of Models are looked up; one that is not there yet is found when the next Job is made.
func poolEgress(ctx context.Context, live client.Reader, namespace string, needs podNeeds) ([]PoolEgress, error) {
	var out []PoolEgress
	for _, p := range needs.Containers {
		i := slices.IndexFunc(out, func(o PoolEgress) bool { return o.Pool == p.Container.Pool })
		if i < 0 {
			i, out = len(out), append(out, PoolEgress{Pool: p.Container.Pool})
		}
		out[i].Rules = append(out[i].Rules, p.Container.Egress...)
		if p.Service == nil {
			continue
		}
		var s corev1.Service
		err := live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: p.Service.Name}, &s)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading Service %s, which is in front of the model of Plugin %s: %w",
				p.Service.Name, p.Plugin, err)
		}
		if backend, ok := backendOf(&s, p.Service.Port); ok {
			out[i].Models = append(out[i].Models, backend)
		}
	}
	return out, nil
}
