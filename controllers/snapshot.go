// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// snapshot is all that an Event took from its Profile when it started. It is stored before the plan goes to the
// data plane, so that whoever takes over hands over the same plan, whatever was edited meanwhile.
type snapshot struct {
	Plan            api.Plan `json:"plan"`
	Processing      bounds   `json:"processing"`
	Pods            podNeeds `json:"pods,omitzero"`
	ProfileRevision string   `json:"profileRevision"`
}

// snapshotName is deterministic, so that an Event has one.
func snapshotName(e *mrev1.Event) string {
	sum := sha256.Sum256([]byte(e.UID))
	return strings.TrimRight(e.Name[:min(len(e.Name), 40)], "-") + "-" + hex.EncodeToString(sum[:5]) + "-plan"
}

// readSnapshot returns nil when there is none.
func readSnapshot(ctx context.Context, c client.Reader, e *mrev1.Event) (*snapshot, error) {
	var r appsv1.ControllerRevision
	err := c.Get(ctx, client.ObjectKey{Namespace: e.Namespace, Name: snapshotName(e)}, &r)
	if apierrors.IsNotFound(err) || (err == nil && !metav1.IsControlledBy(&r, e)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the snapshot of Event %s: %w", e.Name, err)
	}
	var s snapshot
	if err := json.Unmarshal(r.Data.Raw, &s); err != nil {
		return nil, fmt.Errorf("reading the snapshot of Event %s: %w", e.Name, err)
	}
	return &s, nil
}

// storeSnapshot keeps what an Event starts with and returns what is kept: the first snapshot counts, whoever
// made it.
func (r *EventReconciler) storeSnapshot(ctx context.Context, e *mrev1.Event, s *snapshot) (*snapshot, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("keeping a snapshot for Event %s: %w", e.Name, err)
	}
	err = r.Client.Create(ctx, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, Name: snapshotName(e), Labels: revisionLabels(kindEvent, e.Name),
			Annotations:     map[string]string{mrev1.AnnotationRevisions: strings.Join(s.revisions(), ",")},
			OwnerReferences: []metav1.OwnerReference{ownedBy(kindEvent, e)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: 1,
	})
	if err == nil {
		return s, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, fmt.Errorf("keeping a snapshot for Event %s: %w", e.Name, err)
	}
	first, err := readSnapshot(ctx, r.Live, e)
	if err == nil && first == nil {
		return nil, fmt.Errorf("keeping a snapshot for Event %s: ControllerRevision %s is there and not the "+
			"Event's; delete it", e.Name, snapshotName(e))
	}
	return first, err
}

// dropSnapshot makes room for another try after the data plane has refused the plan.
func (r *EventReconciler) dropSnapshot(ctx context.Context, e *mrev1.Event) error {
	old := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: snapshotName(e)}}
	if err := client.IgnoreNotFound(r.Client.Delete(ctx, old)); err != nil {
		return fmt.Errorf("deleting the snapshot of Event %s: %w", e.Name, err)
	}
	return nil
}

// revisions are what the plan was compiled from.
func (s *snapshot) revisions() []string {
	out := []string{s.ProfileRevision}
	for _, p := range s.Plan.Plugins {
		out = append(out, ptr.Deref(p.Revision, ""))
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(name string) bool { return name == "" })
}
