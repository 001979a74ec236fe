// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// ModelReconciler accepts Models, and asks the servers of those that can be asked whether they are ready. An
// endpoint is handed to plugins as it stands, so that there is nothing to check beyond what the API server has.
//
// A Model that is not ready keeps no Profile and no Event from starting: servers are applied in any order, scale to
// zero, and are away for a while, and what that means for a task is the plugin's to say.
type ModelReconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
	HTTP     *http.Client
}

// +kubebuilder:rbac:groups=mre.media,resources=models,verbs=get;list;watch
// +kubebuilder:rbac:groups=mre.media,resources=models/status,verbs=patch

// Reconcile looks at one Model.
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
	finding := probeModel(ctx, r.HTTP, &m)
	conditions{list: &m.Status.Conditions, generation: m.Generation, now: r.Clock.Now()}.
		verdict(finding, "The Model can be used by Plugins")
	return settle(ctrl.Result{RequeueAfter: probeAfter(&m, finding)}, patchChange(ctx, r.Client, r.Recorder, before, &m,
		before.Status.Conditions, m.Status.Conditions))
}

// probeAfter is when to ask a Model's server again; never where there is none. Models that are applied together
// are not asked together for ever.
func probeAfter(m *mrev1.Model, f *Finding) time.Duration {
	switch {
	case m.Spec.OpenInference == nil:
		return 0
	case f != nil:
		return probeAgain
	}
	return wait.Jitter(probeResync, 0.1)
}

// SetupWithManager wires the reconciler.
func (r *ModelReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&mrev1.Model{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		// A server that does not answer must not hold up the Models of others.
		WithOptions(controller.Options{MaxConcurrentReconciles: 8}).
		Complete(r)
}
