// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// PluginReconciler says whether a Plugin can run.
type PluginReconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
}

// +kubebuilder:rbac:groups=mre.media,resources=plugins,verbs=get;list;watch
// +kubebuilder:rbac:groups=mre.media,resources=plugins/status,verbs=patch

// Reconcile checks one Plugin.
func (r *PluginReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var p mrev1.Plugin
	if err := r.Client.Get(ctx, req.NamespacedName, &p); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !p.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	cat, err := loadCatalogue(ctx, r.Client, p.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	before := p.DeepCopy()
	if p.Status.Revision, err = keepRevision(ctx, r.Client, kindPlugin, &p, p.Spec); err != nil {
		return settle(ctrl.Result{}, err)
	}
	p.Status.ObservedGeneration = p.Generation
	conditions{list: &p.Status.Conditions, generation: p.Generation, now: r.Clock.Now()}.
		verdict(cat.checkPlugin(&p), "The Plugin can be used in Profiles")
	return settle(ctrl.Result{}, patchChange(ctx, r.Client, r.Recorder, before, &p,
		before.Status.Conditions, p.Status.Conditions))
}

// SetupWithManager wires the reconciler.
func (r *PluginReconciler) SetupWithManager(mgr ctrl.Manager) error {
	specChanged := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		For(&mrev1.Plugin{}, specChanged).
		Watches(&mrev1.Plugin{}, handler.EnqueueRequestsFromMapFunc(r.dependents), specChanged).
		Watches(&mrev1.Model{}, handler.EnqueueRequestsFromMapFunc(r.usersOfModel), specChanged).
		Complete(r)
}

// dependents maps a Plugin to all that depend on it, near or far: a circle concerns each of its members.
func (r *PluginReconciler) dependents(ctx context.Context, o client.Object) []ctrl.Request {
	cat, err := loadCatalogue(ctx, r.Client, o.GetNamespace())
	if err != nil {
		log.FromContext(ctx).Error(err, "Looking for dependents", "plugin", klog.KObj(o))
		return nil
	}
	var out []ctrl.Request
	for _, name := range cat.dependents(o.GetName()) {
		out = append(out, ctrl.Request{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}})
	}
	return out
}

// usersOfModel maps a Model to the Plugins that list it.
func (r *PluginReconciler) usersOfModel(ctx context.Context, o client.Object) []ctrl.Request {
	var list mrev1.PluginList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()),
		client.MatchingFields{indexPluginModels: o.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "Listing the Plugins of a Model", "model", klog.KObj(o))
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}
