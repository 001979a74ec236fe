// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
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
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Kinds as they stand in owner references and in the label of a revision.
const (
	kindPlugin  = "Plugin"
	kindModel   = "Model"
	kindProfile = "Profile"
	kindEvent   = "Event"
)

// revisionHistory is how many revisions of an object stay that nobody refers to.
const revisionHistory = 10

// revisionHashLength keeps names short; a clash within one object's history is as good as impossible.
const revisionHashLength = 10

// revisedSpec is what a ControllerRevision holds.
type revisedSpec[T any] struct {
	Spec T `json:"spec"`
}

// revisionOf is the ControllerRevision of an object's spec. Its name follows from the content: the same
// spec has the same revision in every namespace and cluster, and one that comes back gets its old name.
func revisionOf(kind string, owner client.Object, spec any) (*appsv1.ControllerRevision, error) {
	data, err := canonical(revisedSpec[any]{spec})
	if err != nil {
		return nil, fmt.Errorf("making a revision of %s %s: %w", kind, owner.GetName(), err)
	}
	sum := sha256.Sum256(append([]byte(kind+"\n"), data...))
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: owner.GetNamespace(), Name: owner.GetName() + "-" + hex.EncodeToString(sum[:])[:revisionHashLength],
			Labels:          revisionLabels(kind, owner.GetName()),
			OwnerReferences: []metav1.OwnerReference{ownedBy(kind, owner)},
		},
		Data: runtime.RawExtension{Raw: data},
	}, nil
}

// canonical writes JSON with sorted keys, also inside of free-form parts.
func canonical(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

func revisionLabels(kind, name string) map[string]string {
	return map[string]string{
		labelManagedBy: managedBy, labelPartOf: partOf,
		mrev1.LabelRevisionKind: kind, mrev1.LabelRevisionOf: name,
	}
}

// ownedBy lets a revision go with its owner. It does not block the owner's deletion, which would need a right
// of its own on some clusters.
func ownedBy(kind string, owner client.Object) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: mrev1.GroupVersion.String(), Kind: kind,
		Name: owner.GetName(), UID: owner.GetUID(), Controller: new(true),
	}
}

// specOf reads the spec that a revision of a kind and name holds.
func specOf[T any](r *appsv1.ControllerRevision, kind, name string) (T, error) {
	var out revisedSpec[T]
	if r.Labels[mrev1.LabelRevisionKind] != kind || r.Labels[mrev1.LabelRevisionOf] != name {
		return out.Spec, fmt.Errorf("it is a revision of %s %s",
			r.Labels[mrev1.LabelRevisionKind], r.Labels[mrev1.LabelRevisionOf])
	}
	if err := json.Unmarshal(r.Data.Raw, &out); err != nil {
		return out.Spec, fmt.Errorf("it cannot be read: %w", err)
	}
	return out.Spec, nil
}

// listRevisions reads the revisions of a kind, or of one object of it.
func listRevisions(ctx context.Context, c client.Reader, namespace string,
	by map[string]string) ([]appsv1.ControllerRevision, error) {
	var list appsv1.ControllerRevisionList
	if err := c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels(by)); err != nil {
		return nil, fmt.Errorf("listing revisions: %w", err)
	}
	return list.Items, nil
}

// keepRevision stores the revision of an object's present spec as its newest, and lets old ones go that
// nobody refers to. It returns the revision's name.
func keepRevision(ctx context.Context, c client.Client, kind string, owner client.Object, spec any) (string, error) {
	want, err := revisionOf(kind, owner, spec)
	if err != nil {
		return "", err
	}
	history, err := listRevisions(ctx, c, owner.GetNamespace(),
		map[string]string{mrev1.LabelRevisionKind: kind, mrev1.LabelRevisionOf: owner.GetName()})
	if err != nil {
		return "", err
	}
	if err := storeRevision(ctx, c, want, history); err != nil {
		return "", err
	}
	if len(history) <= revisionHistory {
		return want.Name, nil
	}
	kept, err := revisionsInUse(ctx, c, owner.GetNamespace())
	if err != nil {
		return "", err
	}
	for _, name := range surplusRevisions(history, want.Name, kept) {
		old := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: owner.GetNamespace(), Name: name}}
		if err := client.IgnoreNotFound(c.Delete(ctx, old)); err != nil {
			return "", fmt.Errorf("deleting revision %s: %w", name, err)
		}
	}
	return want.Name, nil
}

// storeRevision makes a revision the newest of its history. One that is there already, because the spec came
// back or the object was made anew under its name, gets a new number and its owner.
func storeRevision(ctx context.Context, c client.Client, want *appsv1.ControllerRevision,
	history []appsv1.ControllerRevision) error {
	newest := int64(0)
	var have *appsv1.ControllerRevision
	for i := range history {
		newest = max(newest, history[i].Revision)
		if history[i].Name == want.Name {
			have = &history[i]
		}
	}
	if have == nil {
		want.Revision = newest + 1
		log.FromContext(ctx).Info("Storing a revision", "revision", klog.KObj(want))
		err := c.Create(ctx, want)
		if err != nil && !apierrors.IsAlreadyExists(err) && !namespaceTerminates(err) {
			return fmt.Errorf("storing revision %s: %w", want.Name, err)
		}
		return nil
	}
	owned := slices.EqualFunc(have.OwnerReferences, want.OwnerReferences, func(a, b metav1.OwnerReference) bool {
		return a.UID == b.UID
	})
	if have.Revision == newest && owned {
		return nil
	}
	after := have.DeepCopy()
	after.OwnerReferences = want.OwnerReferences
	if have.Revision < newest {
		after.Revision = newest + 1
	}
	err := c.Patch(ctx, after, client.MergeFromWithOptions(have, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("making revision %s the newest: %w", want.Name, err)
	}
	return nil
}

// surplusRevisions names the revisions of one object that can go: all but the present one, those that are
// referred to and the newest of the rest.
func surplusRevisions(history []appsv1.ControllerRevision, current string, kept map[string]bool) []string {
	var idle []appsv1.ControllerRevision
	for _, r := range history {
		if r.Name != current && !kept[r.Name] {
			idle = append(idle, r)
		}
	}
	slices.SortFunc(idle, func(a, b appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(b.Revision, a.Revision), cmp.Compare(a.Name, b.Name))
	})
	var out []string
	for _, r := range idle[min(len(idle), revisionHistory):] {
		out = append(out, r.Name)
	}
	return out
}

// revisionsInUse are those that a Profile or an Event pins, and those that Events run with.
func revisionsInUse(ctx context.Context, c client.Reader, namespace string) (map[string]bool, error) {
	out := map[string]bool{}
	var profiles mrev1.ProfileList
	if err := c.List(ctx, &profiles, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing Profiles: %w", err)
	}
	for i := range profiles.Items {
		for _, r := range roles(&profiles.Items[i]) {
			out[r.use.Plugin.Revision] = true
		}
	}
	var events mrev1.EventList
	if err := c.List(ctx, &events, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing Events: %w", err)
	}
	running := map[string]bool{}
	for i := range events.Items {
		e := &events.Items[i]
		if hasEnded(e) {
			continue
		}
		out[e.Spec.ProfileRef.Revision] = true
		running[snapshotName(e)] = true
	}
	snapshots, err := listRevisions(ctx, c, namespace, map[string]string{mrev1.LabelRevisionKind: kindEvent})
	if err != nil {
		return nil, err
	}
	for i := range snapshots {
		if running[snapshots[i].Name] {
			for name := range strings.SplitSeq(snapshots[i].Annotations[mrev1.AnnotationRevisions], ",") {
				out[name] = true
			}
		}
	}
	return out, nil
}
