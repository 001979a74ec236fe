// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// maxRetryWord is what the data plane and the status take.
const maxRetryWord = 128

func suspended(e *mrev1.Event) bool { return ptr.Deref(e.Spec.Suspend, false) }
func finished(e *mrev1.Event) bool  { return ptr.Deref(e.Spec.Finish, false) }

// size settles how many Jobs the Event has and tells the data plane, which sends those away that are too many.
// It comes before any Job is made or left. It returns false when there is nothing to act on.
func (r *EventReconciler) size(ctx context.Context, s *eventScope) (bool, error) {
	slots, again := sizeSlots(s.event.Status.Slots, *s.state, s.needs, s.bounds, s.now)
	if again > 0 {
		s.again(again)
	}
	slots, err := r.pool.share(ctx, r.Client, r.Options.MaxWorkers, s.event, slots, s.state.Backlog)
	if err != nil {
		return false, err
	}
	if granted, wanted := totals(slots); wanted > 0 && granted == 0 {
		s.finding = waiting(mrev1.ReasonWaitingForWorkers,
			"other Events have all the %d workers that the install allows (--max-workers); this Event has its "+
				"turn when one is free", r.Options.MaxWorkers)
	}
	s.event.Status.Slots = slots
	if s.state.State == api.EventStateStateFailed {
		return true, nil
	}
	run := api.Run{Suspend: suspended(s.event), Workers: slots.Workers,
		Renderers: slots.Renderers, Pools: poolsToTell(slots, s.bounds)}
	if told, ok := r.runs.get(s.event.UID); ok && reflect.DeepEqual(told, run) && s.state.Suspended == run.Suspend {
		return true, nil
	}
	log.FromContext(ctx).Info("Telling the data plane how the Event runs", "event", klog.KObj(s.event),
		"suspend", run.Suspend, "workers", run.Workers, "pools", run.Pools, "renderers", run.Renderers)
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := r.DataPlane.PutRun(call, string(s.event.UID), run); err != nil {
		r.outage(ctx, s, err)
		return false, nil
	}
	r.runs.put(s.event.UID, run)
	s.state.Suspended = run.Suspend
	return true, nil
}

// poolsToTell are the workers of each named pool, those without work too.
func poolsToTell(slots mrev1.SlotsStatus, b bounds) map[string]int32 {
	if len(b.Pools) == 0 {
		return nil
	}
	out := make(map[string]int32, len(b.Pools))
	for name := range b.Pools {
		out[name] = poolSlots(slots, name).Workers
	}
	return out
}

// finish ends the source when the spec says so. It returns false when there is nothing to act on.
func (r *EventReconciler) finish(ctx context.Context, s *eventScope) (bool, error) {
	if !finished(s.event) || s.ended() >= 0 || ptr.Deref(s.state.SourceEnded, false) || terminal(s.state.State) {
		return true, nil
	}
	log.FromContext(ctx).Info("Ending the source", "event", klog.KObj(s.event))
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := r.DataPlane.Finish(call, string(s.event.UID)); err != nil {
		r.outage(ctx, s, err)
		return false, nil
	}
	return r.observeState(ctx, s)
}

func terminal(state api.EventStateState) bool {
	return state == api.EventStateStateComplete || state == api.EventStateStateFailed
}

// retry tries the dead letters again, once for each word. The data plane knows the word, so that a pass that
// died before its status was written does no harm.
func (r *EventReconciler) retry(ctx context.Context, s *eventScope) (bool, error) {
	word := s.event.Annotations[mrev1.AnnotationRetry]
	if word == "" || (s.event.Status.Retry != nil && s.event.Status.Retry.Word == cut(word, maxRetryWord)) {
		return true, nil
	}
	if len(word) > maxRetryWord {
		s.retried(word, mrev1.ReasonRetryRefused, 0,
			fmt.Sprintf("annotation %s: the word has %d characters; at most %d are allowed",
				mrev1.AnnotationRetry, len(word), maxRetryWord))
		return true, nil
	}
	log.FromContext(ctx).Info("Trying dead letters again", "event", klog.KObj(s.event), "word", word)
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	result, err := r.DataPlane.Retry(call, string(s.event.UID), api.RetryRequest{ID: word})
	switch {
	case refused(err):
		s.retried(word, mrev1.ReasonRetryRefused, 0, fmt.Sprintf("nothing is tried again: %v", err))
		return true, nil
	case err != nil:
		r.outage(ctx, s, err)
		return false, nil
	}
	message := fmt.Sprintf("%d tasks are tried again", result.Retried)
	if result.Retried == 0 && len(result.Left) == 0 {
		message = "nothing is tried again: there are no dead letters"
	}
	if len(result.Left) > 0 {
		message += fmt.Sprintf("; %d are left: %s", len(result.Left), strings.Join(result.Left, "; "))
	}
	s.retried(word, mrev1.ReasonRetried, result.Retried, message)
	return r.observeState(ctx, s)
}

// retried notes a word as handled, and what came of it.
func (s *eventScope) retried(word, reason string, n int64, message string) {
	s.event.Status.Retry = &mrev1.RetryStatus{Word: cut(word, maxRetryWord), Retried: n, Message: cut(message, maxMessage)}
	kind := corev1.EventTypeNormal
	if reason == mrev1.ReasonRetryRefused {
		kind = corev1.EventTypeWarning
	}
	s.say = append(s.say, announcement{Type: kind, Reason: reason, Message: cut(message, maxMessage)})
}

// setSuspended shows whether the Event rests. An Event that never did has no such condition.
func setSuspended(s *eventScope) {
	c := s.conditions()
	switch {
	case suspended(s.event) && s.ended() < 0:
		c.set(mrev1.ConditionSuspended, metav1.ConditionTrue, mrev1.ReasonSuspended,
			"spec.suspend is true: no task is handed out and the Jobs leave")
	case meta.IsStatusConditionTrue(s.event.Status.Conditions, mrev1.ConditionSuspended):
		c.set(mrev1.ConditionSuspended, metav1.ConditionFalse, mrev1.ReasonResumed, "The Event goes on")
	}
}

// leaving is since when the Jobs of each role know that they have to leave; negative for those that do not. Ingest
// asks for no tasks: nobody tells it, and what it has stored is found again.
func (s *eventScope) leaving() map[Role]time.Duration {
	since := s.ended()
	out := map[Role]time.Duration{RoleIngest: since, RoleWorker: since, RoleRender: since}
	if since >= 0 {
		return out
	}
	if c := meta.FindStatusCondition(s.event.Status.Conditions, mrev1.ConditionSuspended); c != nil &&
		c.Status == metav1.ConditionTrue {
		rest := max(0, s.now.Sub(c.LastTransitionTime.Time))
		return map[Role]time.Duration{RoleIngest: leaveTime, RoleWorker: rest, RoleRender: rest}
	}
	if finished(s.event) {
		out[RoleIngest] = leaveTime
	}
	return out
}
