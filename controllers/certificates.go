// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/certs"
)

const (
	// certificateSecret holds the data plane's certificate, and the authority that signs it.
	certificateSecret = "mre-dataplane-tls"
	// trustConfigMap, in the install's namespace and in each that has Events, holds what callers trust.
	trustConfigMap = "mre-dataplane-ca"
	// certificatesLook is how often it is seen whether something is due, and certificatesPause how soon after a failure.
	certificatesLook  = time.Hour
	certificatesPause = 5 * time.Second
)

// +kubebuilder:rbac:groups="",resources=configmaps,resourceNames=mre-dataplane-ca,verbs=create;patch
// +kubebuilder:rbac:groups="",namespace=mre-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=mre-system,resources=secrets,resourceNames=mre-dataplane-tls,verbs=get;update

// Certificates keeps the data plane's certificate and tells callers which authorities to trust. It runs in the leader.
type Certificates struct {
	// Client writes, and knows the Events; Live reads the Secret, which is in no cache.
	Client client.Client
	Live   client.Reader
	Clock  clock.Clock
	// Namespace is the install's, and Service the data plane's.
	Namespace, Service string

	mu     sync.Mutex
	bundle []byte
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (c *Certificates) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable.
func (c *Certificates) Start(ctx context.Context) error {
	for {
		pause := certificatesLook
		if err := c.look(ctx); err != nil {
			pause = certificatesPause
			if ctx.Err() == nil {
				log.FromContext(ctx).Error(err, "Keeping the data plane's certificate failed; it is tried again soon")
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.Clock.After(pause):
		}
	}
}

// Trust is the bundle of authorities, in PEM. There is none before the first look.
func (c *Certificates) Trust() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bundle) == 0 {
		return nil, errors.New("the data plane's certificate has not been made yet")
	}
	return c.bundle, nil
}

// look makes what is due, then tells everybody.
func (c *Certificates) look(ctx context.Context) error {
	bundle, err := c.keep(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.bundle = bundle
	c.mu.Unlock()
	// Each time: somebody may have deleted what a namespace had.
	return c.distribute(ctx, bundle)
}

// keep returns the bundle. The Secret's resourceVersion keeps two managers from replacing each other's authorities.
func (c *Certificates) keep(ctx context.Context) ([]byte, error) {
	var secret corev1.Secret
	err := c.Live.Get(ctx, client.ObjectKey{Namespace: c.Namespace, Name: certificateSecret}, &secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading Secret %s: %w", certificateSecret, err)
	}
	missing := apierrors.IsNotFound(err)
	data, err := certs.Renew(secret.Data, certs.NamesOf(c.Service, c.Namespace), c.Clock.Now())
	if err != nil {
		return nil, fmt.Errorf("renewing the data plane's certificate: %w", err)
	}
	if maps.EqualFunc(data, secret.Data, bytes.Equal) {
		return data[certs.Bundle], nil
	}
	log.FromContext(ctx).Info("Storing certificates of the data plane", "secret", certificateSecret)
	secret.Data = data
	if missing {
		secret.ObjectMeta = metav1.ObjectMeta{Namespace: c.Namespace, Name: certificateSecret,
			Labels: map[string]string{labelManagedBy: managedBy, labelPartOf: partOf}}
		secret.Type = corev1.SecretTypeTLS
		err = c.Client.Create(ctx, &secret)
	} else {
		err = c.Client.Update(ctx, &secret)
	}
	if err != nil {
		return nil, fmt.Errorf("storing Secret %s: %w", certificateSecret, err)
	}
	return data[certs.Bundle], nil
}

// distribute tells the install's namespace and those of all Events.
func (c *Certificates) distribute(ctx context.Context, bundle []byte) error {
	var list mrev1.EventList
	if err := c.Client.List(ctx, &list); err != nil {
		return fmt.Errorf("listing Events: %w", err)
	}
	namespaces := sets.New(c.Namespace)
	for i := range list.Items {
		namespaces.Insert(list.Items[i].Namespace)
	}
	for _, namespace := range sets.List(namespaces) {
		// Nothing can be made in a namespace that is being removed.
		if err := applyTrust(ctx, c.Client, namespace, bundle); err != nil &&
			!namespaceTerminates(err) && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// applyTrust tells one namespace.
func applyTrust(ctx context.Context, c client.Client, namespace string, bundle []byte) error {
	trust := corev1ac.ConfigMap(trustConfigMap, namespace).
		WithLabels(map[string]string{labelManagedBy: managedBy, labelPartOf: partOf}).
		WithData(map[string]string{certs.Bundle: string(bundle)})
	if err := c.Apply(ctx, trust, client.FieldOwner(managedBy), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying ConfigMap %s in namespace %s: %w", trustConfigMap, namespace, err)
	}
	return nil
}
