// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// ProfileReconciler says whether a Profile can run and in which order its Plugins would.
type ProfileReconciler struct {
	Client   client.Client
	Recorder events.EventRecorder
	Clock    clock.PassiveClock
}

// +kubebuilder:rbac:groups=mre.media,resources=profiles,verbs=get;list;watch
// +kubebuilder:rbac:groups=mre.media,resources=profiles/status,verbs=patch

// Reconcile checks one Profile.
func (r *ProfileReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var p mrev1.Profile
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
	if p.Status.Revision, err = keepRevision(ctx, r.Client, kindProfile, &p, p.Spec); err != nil {
		return settle(ctrl.Result{}, err)
	}
	setProfileStatus(&p, cat, conditions{list: &p.Status.Conditions, generation: p.Generation, now: r.Clock.Now()})
	return settle(ctrl.Result{}, patchChange(ctx, r.Client, r.Recorder, before, &p,
		before.Status.Conditions, p.Status.Conditions))
}

// setProfileStatus is the whole status of a Profile, from what is there.
func setProfileStatus(p *mrev1.Profile, cat *Catalogue, c conditions) {
	p.Status.ObservedGeneration = p.Generation
	p.Status.Graph = nil
	finding := cat.checkProfile(p)
	if finding != nil && finding.aboutReferences() {
		c.set(mrev1.ConditionReferencesResolved, metav1.ConditionFalse, finding.Reason, finding.Message)
	} else {
		c.set(mrev1.ConditionReferencesResolved, metav1.ConditionTrue, mrev1.ReasonResolved,
			"Every Plugin and Model was found and fits")
	}
	accepted := "The Profile can be used by Events"
	if unused := cat.unusedPools(p); len(unused) > 0 {
		accepted += "; no Plugin of it names these of spec.processing.pools: " + strings.Join(unused, ", ")
	}
	c.verdict(finding, accepted)
	if finding == nil {
		cat, _ = cat.pinned(p)
		for _, step := range cat.steps(p) {
			p.Status.Graph = append(p.Status.Graph, mrev1.GraphStep{Plugins: step})
		}
	}
}

// SetupWithManager wires the reconciler.
func (r *ProfileReconciler) SetupWithManager(mgr ctrl.Manager) error {
	specChanged := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	// A Plugin's name in MRE is an annotation.
	specOrNameChanged := builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{},
		predicate.AnnotationChangedPredicate{}))
	return ctrl.NewControllerManagedBy(mgr).
		For(&mrev1.Profile{}, specChanged).
		Watches(&mrev1.Plugin{}, handler.EnqueueRequestsFromMapFunc(r.usersOfPlugin), specOrNameChanged).
		Watches(&mrev1.Model{}, handler.EnqueueRequestsFromMapFunc(r.usersOfModel), specChanged).
		Watches(&appsv1.ControllerRevision{}, handler.EnqueueRequestsFromMapFunc(r.usersOfRevision)).
		Complete(r)
}

// usersOfPlugin maps a Plugin to the Profiles that run it, themselves or through a dependency.
func (r *ProfileReconciler) usersOfPlugin(ctx context.Context, o client.Object) []ctrl.Request {
	cat, err := loadCatalogue(ctx, r.Client, o.GetNamespace())
	if err != nil {
		log.FromContext(ctx).Error(err, "Looking for Profiles", "plugin", klog.KObj(o))
		return nil
	}
	names := append(cat.dependents(o.GetName()), o.GetName())
	return r.users(ctx, o.GetNamespace(), indexProfilePlugins, names)
}

// usersOfRevision maps a revision to the Profiles that may pin it.
func (r *ProfileReconciler) usersOfRevision(ctx context.Context, o client.Object) []ctrl.Request {
	if o.GetLabels()[mrev1.LabelRevisionKind] != kindPlugin {
		return nil
	}
	return r.users(ctx, o.GetNamespace(), indexProfilePlugins, []string{o.GetLabels()[mrev1.LabelRevisionOf]})
}

// usersOfModel maps a Model to the Profiles that pick it, or whose Plugins list it.
func (r *ProfileReconciler) usersOfModel(ctx context.Context, o client.Object) []ctrl.Request {
	out := r.users(ctx, o.GetNamespace(), indexProfileModels, []string{o.GetName()})
	var plugins mrev1.PluginList
	if err := r.Client.List(ctx, &plugins, client.InNamespace(o.GetNamespace()),
		client.MatchingFields{indexPluginModels: o.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "Listing the Plugins of a Model", "model", klog.KObj(o))
		return out
	}
	for i := range plugins.Items {
		out = append(out, r.usersOfPlugin(ctx, &plugins.Items[i])...)
	}
	return out
}

// users looks Profiles up by the values of an index.
func (r *ProfileReconciler) users(ctx context.Context, namespace, index string, values []string) []ctrl.Request {
	var out []ctrl.Request
	for _, value := range values {
		var list mrev1.ProfileList
		if err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{index: value}); err != nil {
			log.FromContext(ctx).Error(err, "Listing Profiles", "index", index, "value", value)
			continue
		}
		for i := range list.Items {
			out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}
