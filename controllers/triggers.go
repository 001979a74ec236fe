// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// feedPause gathers the changes of one object, which come by the task, into one pass.
const feedPause = 500 * time.Millisecond

// specOrMetadataChanged keeps a reconciler's own status patches from waking it up. A deletion counts as a
// new generation.
func specOrMetadataChanged() builder.Predicates {
	return builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{},
		predicate.AnnotationChangedPredicate{}))
}

// jobMoved lets through what changes the planner's mind: a Job that ended, became ready or is gone.
func jobMoved() builder.Predicates {
	return builder.WithPredicates(predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(u event.UpdateEvent) bool {
			before, ok1 := u.ObjectOld.(*batchv1.Job)
			after, ok2 := u.ObjectNew.(*batchv1.Job)
			if !ok1 || !ok2 {
				return false
			}
			was, _ := observeJob(before)
			is, ok := observeJob(after)
			return ok && (was.State != is.State || was.Deleting != is.Deleting)
		},
	})
}

// eventMilestone lets through what Replays wait for.
func eventMilestone() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(u event.UpdateEvent) bool {
			before, ok1 := u.ObjectOld.(*mrev1.Event)
			after, ok2 := u.ObjectNew.(*mrev1.Event)
			return ok1 && ok2 && milestones(before) != milestones(after)
		},
	}
}

// coalesced enqueues an object of the change feed after a pause; the queue holds it once meanwhile.
func coalesced[T client.Object]() handler.TypedEventHandler[T, ctrl.Request] {
	return handler.TypedFuncs[T, ctrl.Request]{
		GenericFunc: func(_ context.Context, e event.TypedGenericEvent[T],
			q workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			q.AddAfter(ctrl.Request{NamespacedName: client.ObjectKeyFromObject(e.Object)}, feedPause)
		},
	}
}
