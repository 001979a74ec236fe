// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// surroundingsFresh is how long what Jobs need is believed to be there. A pod without a ServiceAccount stays pending,
// and the next Job makes it again.
const surroundingsFresh = 5 * time.Minute

// surroundings make what the Jobs of an Event need in its namespace: the ServiceAccount, which has no rights in the
// cluster and only says to the data plane who calls, the authorities that the data plane is signed by, and the
// NetworkPolicies. The manager may not list or read them.
type surroundings struct {
	mu sync.Mutex
	// seen holds the time of the last apply by Event, as a namespace may be made anew under its name.
	seen map[types.UID]time.Time
}

// ensure applies them, with what the pools may reach. It comes before the first Job, so that no pod of an Event ever
// runs without its policies.
func (a *surroundings) ensure(ctx context.Context, c client.Client, e *mrev1.Event, o Options,
	reach func() ([]PoolEgress, error), now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.seen[e.UID]; ok && now.Sub(last) < surroundingsFresh {
		return nil
	}
	account := corev1ac.ServiceAccount(o.AgentServiceAccount, e.Namespace).
		WithLabels(map[string]string{labelManagedBy: managedBy, labelPartOf: partOf}).
		WithAutomountServiceAccountToken(false)
	if err := c.Apply(ctx, account, client.FieldOwner(managedBy), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying ServiceAccount %s: %w", o.AgentServiceAccount, err)
	}
	if o.Trust != nil {
		bundle, err := o.Trust()
		if err != nil {
			return err
		}
		if err := applyTrust(ctx, c, e.Namespace, bundle); err != nil {
			return err
		}
	}
	if o.NetworkPolicies {
		pools, err := reach()
		if err != nil {
			return err
		}
		if err := applyNetworkPolicies(ctx, c, e, o, pools); err != nil {
			return err
		}
	}
	if a.seen == nil {
		a.seen = map[types.UID]time.Time{}
	}
	a.seen[e.UID] = now
	return nil
}

func applyNetworkPolicies(ctx context.Context, c client.Client, e *mrev1.Event, o Options, pools []PoolEgress) error {
	policies, err := networkPolicies(e, Network{DataPlaneURL: o.DataPlaneURL, ObjectStoreURL: o.ObjectStoreURL}, pools)
	if err != nil {
		return err
	}
	for i := range policies {
		object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&policies[i])
		if err != nil {
			return fmt.Errorf("applying NetworkPolicy %s: %w", policies[i].Name, err)
		}
		apply := client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: object})
		if err := c.Apply(ctx, apply, client.FieldOwner(managedBy), client.ForceOwnership); err != nil {
			return fmt.Errorf("applying NetworkPolicy %s: %w", policies[i].Name, err)
		}
	}
	return nil
}

func (a *surroundings) forget(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.seen, uid)
}
