// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// ReplayReconciler hands a Replay's rules to the data plane and shows what came of them. Its render Jobs are
// the Event's: the Event reconciler sizes them by the backlog that the rules make.
type ReplayReconciler struct {
	Client    client.Client
	DataPlane DataPlane
	Recorder  events.EventRecorder
	Clock     clock.PassiveClock
	Options   Options
	// Feed brings Replays that changed in the data plane.
	Feed <-chan event.TypedGenericEvent[*mrev1.Replay]
}

// +kubebuilder:rbac:groups=mre.media,resources=replays,verbs=get;list;patch;watch
// +kubebuilder:rbac:groups=mre.media,resources=replays/status,verbs=patch

// Reconcile is one pass: observe, decide, apply, write the status once.
func (r *ReplayReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var replay mrev1.Replay
	if err := r.Client.Get(ctx, req.NamespacedName, &replay); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !replay.DeletionTimestamp.IsZero() {
		return settle(r.finalize(ctx, &replay))
	}
	if err := addFinalizer(ctx, r.Client, &replay); err != nil {
		return settle(ctrl.Result{}, err)
	}
	before := replay.DeepCopy()
	after, err := r.reconcile(ctx, &replay)
	if werr := r.writeStatus(ctx, before, &replay); werr != nil {
		return settle(ctrl.Result{}, werr)
	}
	return settle(ctrl.Result{RequeueAfter: after}, err)
}

// reconcile returns when to look again; zero for never.
func (r *ReplayReconciler) reconcile(ctx context.Context, replay *mrev1.Replay) (time.Duration, error) {
	c := r.conditions(replay)
	var e mrev1.Event
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: replay.Namespace, Name: replay.Spec.EventRef.Name}, &e)
	if client.IgnoreNotFound(err) != nil {
		return 0, fmt.Errorf("reading Event %s: %w", replay.Spec.EventRef.Name, err)
	}
	if apierrors.IsNotFound(err) || !e.DeletionTimestamp.IsZero() {
		f := waiting(mrev1.ReasonEventNotFound, "spec.eventRef: Event %s not found", replay.Spec.EventRef.Name)
		unselected(c, *f)
		return 0, nil
	}
	if e.Status.PlanHash == "" {
		f := waiting(mrev1.ReasonWaitingForEvent, "Event %s has not started", e.Name)
		unselected(c, *f)
		return 0, nil
	}
	state, finding := r.putRules(ctx, replay, &e)
	if finding != nil {
		c.notReady(*finding)
		return outagePause, nil
	}
	setReplayStatus(replay, c, state)
	switch state.State {
	case api.ReplayStateStateWaiting, api.ReplayStateStateRendering:
		return r.Options.Resync, nil
	}
	return 0, nil
}

// putRules stores the rules when the data plane has older ones or none, and returns its state.
func (r *ReplayReconciler) putRules(ctx context.Context, replay *mrev1.Replay,
	e *mrev1.Event) (api.ReplayState, *Finding) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state, err := r.DataPlane.Replay(call, string(replay.UID))
	if err == nil && state.Generation >= replay.Generation && state.EventUID == string(e.UID) {
		return state, nil
	}
	if err == nil || notFound(err) {
		log.FromContext(ctx).Info("Storing the rules", "replay", klog.KObj(replay), "generation", replay.Generation)
		state, err = r.DataPlane.PutReplay(call, string(replay.UID), replayRules(replay, e))
	}
	switch {
	case err == nil:
		return state, nil
	case refused(err):
		return state, stalled(mrev1.ReasonPlanConflict, "the data plane refuses the Replay's rules: %v", err)
	}
	log.FromContext(ctx).Info("Calling the data plane failed", "replay", klog.KObj(replay), "reason", err.Error())
	return state, unavailable(err)
}

// finalize removes the rules, plans and reels; the Event's deletion policy says which objects stay.
func (r *ReplayReconciler) finalize(ctx context.Context, replay *mrev1.Replay) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(replay, mrev1.Finalizer) {
		return ctrl.Result{}, nil
	}
	policy := api.DeletionPolicyRetainOutputs
	var e mrev1.Event
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: replay.Namespace, Name: replay.Spec.EventRef.Name}, &e)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("reading Event %s: %w", replay.Spec.EventRef.Name, err)
	}
	if err == nil {
		policy = deletionPolicy(&e)
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state, err := r.DataPlane.DeleteReplay(call, string(replay.UID), policy)
	forced := replay.Annotations[mrev1.AnnotationForceDelete] == "true"
	switch {
	case gone(err), err == nil && state.Done:
		return ctrl.Result{}, removeFinalizer(ctx, r.Client, replay)
	case forced:
		announce(r.Recorder, replay, announcement{Type: corev1.EventTypeWarning, Reason: mrev1.ReasonForceDeleted,
			Message: fmt.Sprintf("The deletion was forced. What may be left: rows of UID %s in the data plane, and its "+
				"reels in the bucket", replay.UID)})
		return ctrl.Result{}, removeFinalizer(ctx, r.Client, replay)
	}
	before, pause := replay.DeepCopy(), deletionPause
	if err != nil {
		log.FromContext(ctx).Info("Calling the data plane failed", "replay", klog.KObj(replay), "reason", err.Error())
		f := unavailable(err)
		f.Message += forceHint("Replay")
		r.conditions(replay).notReady(*f)
		pause = outagePause
	} else {
		r.conditions(replay).notReady(*checkDeletion(state, "Replay"))
		if state.StorageProblem != nil {
			pause = outagePause
		}
	}
	return ctrl.Result{RequeueAfter: pause}, r.writeStatus(ctx, before, replay)
}

func (r *ReplayReconciler) conditions(replay *mrev1.Replay) conditions {
	return conditions{list: &replay.Status.Conditions, generation: replay.Generation, now: r.Clock.Now()}
}

func (r *ReplayReconciler) writeStatus(ctx context.Context, before, after *mrev1.Replay) error {
	after.Status.ObservedGeneration = after.Generation
	return patchChange(ctx, r.Client, r.Recorder, before, after, before.Status.Conditions, after.Status.Conditions)
}

// SetupWithManager wires the reconciler.
func (r *ReplayReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&mrev1.Replay{}, specOrMetadataChanged()).
		Watches(&mrev1.Event{}, handler.EnqueueRequestsFromMapFunc(r.ofEvent), builder.WithPredicates(eventMilestone())).
		WatchesRawSource(source.Channel(r.Feed, coalesced[*mrev1.Replay]())).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, ReconciliationTimeout: time.Minute}).
		Complete(r)
}

// ofEvent maps an Event to its Replays.
func (r *ReplayReconciler) ofEvent(ctx context.Context, o client.Object) []ctrl.Request {
	var list mrev1.ReplayList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()),
		client.MatchingFields{indexReplayEvent: o.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "Listing the Replays of an Event", "event", klog.KObj(o))
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}

// milestones are what Replays wait for in their Event.
func milestones(e *mrev1.Event) [4]bool {
	return [4]bool{
		e.Status.PlanHash != "", !e.DeletionTimestamp.IsZero(),
		meta.IsStatusConditionTrue(e.Status.Conditions, mrev1.ConditionComplete),
		meta.IsStatusConditionTrue(e.Status.Conditions, mrev1.ConditionFailed),
	}
}
