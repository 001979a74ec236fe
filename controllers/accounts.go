// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// accountsFresh is how long a ServiceAccount is believed to be there. A pod without one stays pending,
// and the next Job makes it again.
const accountsFresh = 5 * time.Minute

// agentAccounts makes the ServiceAccount of the Jobs in each namespace that has Events. It has no rights
// in the cluster: it only says to the data plane who calls.
type agentAccounts struct {
	mu sync.Mutex
	// seen holds the time of the last apply by Event, as a namespace may be made anew under its name.
	seen map[types.UID]time.Time
}

// ensure applies the ServiceAccount. The manager may not list or read ServiceAccounts.
func (a *agentAccounts) ensure(ctx context.Context, c client.Client, e *mrev1.Event, name string, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.seen[e.UID]; ok && now.Sub(last) < accountsFresh {
		return nil
	}
	account := corev1ac.ServiceAccount(name, e.Namespace).
		WithLabels(map[string]string{labelManagedBy: managedBy, labelPartOf: partOf}).
		WithAutomountServiceAccountToken(false)
	if err := c.Apply(ctx, account, client.FieldOwner(managedBy), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying ServiceAccount %s: %w", name, err)
	}
	if a.seen == nil {
		a.seen = map[types.UID]time.Time{}
	}
	a.seen[e.UID] = now
	return nil
}

func (a *agentAccounts) forget(uid types.UID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.seen, uid)
}
