// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Labels that every object made by the manager carries.
const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelPartOf    = "app.kubernetes.io/part-of"
	managedBy      = "mre-manager"
	partOf         = "mre"
)

// maxJobName is the length of a label's value, as which Kubernetes puts the name on the pod.
const maxJobName = 63

// jobName is deterministic, so that two managers cannot make two Jobs for one attempt of a slot. It has at
// most 63 characters for attempts of 5 digits: a long name of a pool shortens that of the Event.
func jobName(e *mrev1.Event, slot Slot, attempt int32) string {
	what, of := string(slot.Role), string(e.UID)
	if slot.Pool != "" {
		// The pool is in the hash, too, so that no pool's name can be taken for a role.
		what, of = slot.Pool, of+"/"+slot.Pool
	}
	sum := sha256.Sum256([]byte(of))
	room := min(40, maxJobName-len("-123456-")-len(what)-len("-63-99999"))
	name := strings.TrimRight(e.Name[:min(len(e.Name), room)], "-")
	return fmt.Sprintf("%s-%s-%s-%d-%d", name, hex.EncodeToString(sum[:3]), what, slot.Ordinal, attempt)
}

// jobLabels are on the Job and its pod. The manager's cache holds only objects that have LabelEventUID.
func jobLabels(e *mrev1.Event, j NewJob) map[string]string {
	out := map[string]string{
		labelManagedBy:      managedBy,
		labelPartOf:         partOf,
		mrev1.LabelEventUID: string(e.UID),
		mrev1.LabelEvent:    e.Name,
		mrev1.LabelRole:     string(j.Role),
		mrev1.LabelOrdinal:  strconv.Itoa(int(j.Ordinal)),
		mrev1.LabelAttempt:  strconv.Itoa(int(j.Attempt)),
	}
	if j.Pool != "" {
		out[mrev1.LabelPool] = j.Pool
	}
	return out
}

// jobAnnotations hand a slot's history on.
func jobAnnotations(j NewJob) map[string]string {
	out := map[string]string{mrev1.AnnotationQuickFailures: strconv.Itoa(int(j.QuickFailures))}
	if j.LastWords != "" {
		out[mrev1.AnnotationLastWords] = j.LastWords
	}
	return out
}

// buildJob is the Job of a slot. Kubernetes never replaces its pod: the planner replaces the Job, which
// starts at once and keeps every slot at one writer.
func buildJob(e *mrev1.Event, j NewJob, n podNeeds, o Options) *batchv1.Job {
	labels := jobLabels(e, j)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: jobName(e, j.Slot, j.Attempt), Namespace: e.Namespace, Labels: labels,
			Annotations: jobAnnotations(j),
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(e, mrev1.GroupVersion.WithKind("Event")),
			},
		},
		Spec: batchv1.JobSpec{
			Completions:          ptr.To[int32](1),
			Parallelism:          ptr.To[int32](1),
			BackoffLimit:         ptr.To[int32](0),
			PodReplacementPolicy: ptr.To(batchv1.Failed),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: podAnnotations(n.of(j.Slot))},
				Spec:       podSpec(e, j, n, o),
			},
		},
	}
}

// podAnnotations let kubectl show the agent's log, and not that of the container which watches it.
func podAnnotations(plugins []pluginContainer) map[string]string {
	if len(plugins) == 0 {
		return nil
	}
	return map[string]string{"kubectl.kubernetes.io/default-container": containerAgent}
}

// observeJob reads from a Job what the planner needs.
func observeJob(j *batchv1.Job) (ObservedJob, bool) {
	ordinal, err1 := strconv.ParseInt(j.Labels[mrev1.LabelOrdinal], 10, 32)
	attempt, err2 := strconv.ParseInt(j.Labels[mrev1.LabelAttempt], 10, 32)
	if errors.Join(err1, err2) != nil {
		return ObservedJob{}, false
	}
	quick, err := strconv.ParseInt(j.Annotations[mrev1.AnnotationQuickFailures], 10, 32)
	if err != nil {
		quick = 0
	}
	out := ObservedJob{
		Slot:          Slot{Role(j.Labels[mrev1.LabelRole]), j.Labels[mrev1.LabelPool], int32(ordinal)},
		Name:          j.Name,
		Attempt:       int32(attempt),
		QuickFailures: int32(quick),
		Created:       j.CreationTimestamp.Time,
		Deleting:      !j.DeletionTimestamp.IsZero(),
		Ready:         ptr.Deref(j.Status.Ready, 0) > 0,
		LastWords:     j.Annotations[mrev1.AnnotationLastWords],
	}
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobSuccessCriteriaMet:
			out.State, out.Finished = JobSucceeded, c.LastTransitionTime.Time
		case batchv1.JobFailed, batchv1.JobFailureTarget:
			// FailureTarget comes first, while the pod may still be ending on a lost node. Leases fence
			// the old pod's writes, so that nothing has to wait for it.
			out.State, out.Finished = JobFailed, c.LastTransitionTime.Time
		}
	}
	return out, true
}

// listJobs reads the Jobs of an Event.
func listJobs(ctx context.Context, c client.Reader, e *mrev1.Event) ([]batchv1.Job, error) {
	var list batchv1.JobList
	err := c.List(ctx, &list, client.InNamespace(e.Namespace), client.MatchingLabels{mrev1.LabelEventUID: string(e.UID)})
	if err != nil {
		return nil, fmt.Errorf("listing the Jobs of Event %s: %w", e.Name, err)
	}
	return list.Items, nil
}

// observeJobs reads the Jobs that the manager made.
func observeJobs(jobs []batchv1.Job) []ObservedJob {
	var out []ObservedJob
	for i := range jobs {
		if j, ok := observeJob(&jobs[i]); ok {
			out = append(out, j)
		}
	}
	return out
}

// listPods reads the pods of an Event.
func listPods(ctx context.Context, c client.Reader, e *mrev1.Event) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := c.List(ctx, &list, client.InNamespace(e.Namespace), client.MatchingLabels{mrev1.LabelEventUID: string(e.UID)})
	if err != nil {
		return nil, fmt.Errorf("listing the pods of Event %s: %w", e.Name, err)
	}
	return list.Items, nil
}

// createJob makes a Job and tells whether it was this call that did. A Job's name says all about it, so one
// that is there already is the same one, made by another manager or before the cache knew of it.
func createJob(ctx context.Context, c client.Client, job *batchv1.Job) (bool, error) {
	err := c.Create(ctx, job)
	if apierrors.IsAlreadyExists(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("creating Job %s: %w", job.Name, err)
	}
	return true, nil
}

// deleteJob removes a Job and, in the background, its pod.
func deleteJob(ctx context.Context, c client.Client, namespace, name string) error {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	err := c.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting Job %s: %w", name, err)
	}
	return nil
}
