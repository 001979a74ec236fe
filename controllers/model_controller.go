// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// ModelReconciler accepts Models. An endpoint is handed to plugins as it stands, so that there is nothing
// to check beyond what the API server has checked.
type ModelReconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
}

// +kubebuilder:rbac:groups=mre.media,resources=models,verbs=get;list;watch
// +kubebuilder:rbac:groups=mre.media,resources=models/status,verbs=patch

// Reconcile accepts one Model.
func (r *ModelReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var m mrev1.Model
	if err := r.Client.Get(ctx, req.NamespacedName, &m); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !m.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	before := m.DeepCopy()
	var err error
	if m.Status.Revision, err = keepRevision(ctx, r.Client, kindModel, &m, m.Spec); err != nil {
		return settle(ctrl.Result{}, err)
	}
	m.Status.ObservedGeneration = m.Generation
	conditions{list: &m.Status.Conditions, generation: m.Generation, now: r.Clock.Now()}.
		verdict(nil, "The Model can be used by Plugins")
	return settle(ctrl.Result{}, patchChange(ctx, r.Client, r.Recorder, before, &m,
		before.Status.Conditions, m.Status.Conditions))
}

// SetupWithManager wires the reconciler.
func (r *ModelReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&mrev1.Model{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}
