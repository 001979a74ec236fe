// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// deletionPause is how soon a deletion looks again.
	deletionPause = time.Second
)

// finalize takes an Event apart in the order that leaves nothing behind: a tombstone, so that late calls are
// refused; then the Jobs and their pods, so that nobody writes; then rows and objects; then the finalizer.
func (r *EventReconciler) finalize(ctx context.Context, e *mrev1.Event) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(e, mrev1.Finalizer) {
		return ctrl.Result{}, nil
	}
	s := &eventScope{before: e.DeepCopy(), event: e, now: r.Clock.Now(), after: deletionPause}
	left, err := r.takeApart(ctx, s)
	if err == nil && left == nil {
		return ctrl.Result{}, r.letGo(ctx, e)
	}
	if e.Annotations[mrev1.AnnotationForceDelete] == "true" {
		if err := r.deleteJobs(ctx, e); err != nil {
			return ctrl.Result{}, err
		}
		announce(r.Recorder, e, announcement{Type: corev1.EventTypeWarning, Reason: mrev1.ReasonForceDeleted,
			Message: fmt.Sprintf("The deletion was forced. What may be left: rows of UID %s in the data plane, objects below "+
				"%s/%s/ in the bucket, pods of its Jobs that still end",
				e.UID, e.Namespace, e.UID)})
		return ctrl.Result{}, r.letGo(ctx, e)
	}
	if left != nil {
		s.conditions().notReady(*left)
	}
	if werr := r.writeStatus(ctx, s); werr != nil {
		return ctrl.Result{}, werr
	}
	return ctrl.Result{RequeueAfter: s.after}, err
}

// forceHint says how a deletion ends that cannot go on, and what that leaves behind.
func forceHint(kind string) string {
	return fmt.Sprintf(". If it is gone for good, annotate the %s with %s=true: the deletion ends, and rows "+
		"and objects stay where they are",
		kind, mrev1.AnnotationForceDelete)
}

func (r *EventReconciler) letGo(ctx context.Context, e *mrev1.Event) error {
	log.FromContext(ctx).Info("Letting the Event go", "event", klog.KObj(e))
	if err := removeFinalizer(ctx, r.Client, e); err != nil {
		return err
	}
	r.pace.forget(e.UID)
	r.surroundings.forget(e.UID)
	r.runs.forget(e.UID)
	r.pool.forget(e.UID)
	return nil
}

// takeApart does the next step of the deletion and says what is left; nil means nothing.
func (r *EventReconciler) takeApart(ctx context.Context, s *eventScope) (*Finding, error) {
	left, err := r.deleteInDataPlane(ctx, s, false)
	if err != nil || (left != nil && left.Reason == mrev1.ReasonDataPlaneUnavailable) {
		return left, err
	}
	if err := r.deleteJobs(ctx, s.event); err != nil {
		return nil, err
	}
	if left, err := r.jobsLeft(ctx, s.event); err != nil || left != nil {
		return left, err
	}
	return r.deleteInDataPlane(ctx, s, true)
}

// deleteInDataPlane leaves the tombstone or, with purge, removes rows and objects.
func (r *EventReconciler) deleteInDataPlane(ctx context.Context, s *eventScope, purge bool) (*Finding, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state, err := r.DataPlane.DeleteEvent(call, string(s.event.UID), deletionPolicy(s.event), purge)
	switch {
	case gone(err):
		return nil, nil
	case err != nil:
		log.FromContext(ctx).Info("Calling the data plane failed", "event", klog.KObj(s.event), "reason", err.Error())
		s.after = outagePause
		f := unavailable(err)
		f.Message += forceHint("Event")
		return f, nil
	}
	if state.StorageProblem != nil {
		s.after = outagePause
	}
	return checkDeletion(state, "Event"), nil
}

func (r *EventReconciler) deleteJobs(ctx context.Context, e *mrev1.Event) error {
	jobs, err := listJobs(ctx, r.Live, e)
	if err != nil {
		return err
	}
	for i := range jobs {
		if !jobs[i].DeletionTimestamp.IsZero() {
			continue
		}
		log.FromContext(ctx).Info("Deleting a Job", "event", klog.KObj(e), "job", klog.KObj(&jobs[i]))
		if err := deleteJob(ctx, r.Client, e.Namespace, jobs[i].Name); err != nil {
			return err
		}
	}
	return nil
}

// jobsLeft reads past the cache, as a Job made a moment ago may not be in it yet.
func (r *EventReconciler) jobsLeft(ctx context.Context, e *mrev1.Event) (*Finding, error) {
	jobs, err := listJobs(ctx, r.Live, e)
	if err != nil {
		return nil, err
	}
	pods, err := listPods(ctx, r.Live, e)
	if err != nil {
		return nil, err
	}
	if len(jobs)+len(pods) == 0 {
		return nil, nil
	}
	return waiting(mrev1.ReasonDeleting, "waiting for Jobs and pods to end"), nil
}

func deletionPolicy(e *mrev1.Event) api.DeletionPolicy {
	if e.Spec.DeletionPolicy == "" {
		return api.DeletionPolicyRetainOutputs
	}
	return api.DeletionPolicy(e.Spec.DeletionPolicy)
}
