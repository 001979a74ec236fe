// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// actionReconcile is the action that Kubernetes Events of the manager carry.
const actionReconcile = "Reconcile"

// patchStatus writes the difference between two versions of an object's status in one patch, and tells
// of the transitions only once that is stored. The patch is refused when somebody else wrote in between.
func patchStatus(ctx context.Context, c client.Client, recorder events.EventRecorder,
	before, after client.Object, say []announcement) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, after, patch); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("writing the status of %s: %w", client.ObjectKeyFromObject(after), err)
	}
	for _, a := range say {
		announce(recorder, after, a)
	}
	return nil
}

// patchChange writes a status that differs from the one before, and tells of the transitions of its conditions.
func patchChange(ctx context.Context, c client.Client, recorder events.EventRecorder,
	before, after client.Object, was, is []metav1.Condition) error {
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	return patchStatus(ctx, c, recorder, before, after, transitions(was, is))
}

func announce(recorder events.EventRecorder, about client.Object, a announcement) {
	if a.Type == "" {
		a.Type = corev1.EventTypeNormal
	}
	recorder.Eventf(about, nil, a.Type, a.Reason, actionReconcile, "%s", a.Message)
}
