// SPDX-License-Identifier: Apache-2.0

// Package jobpod plays the controller of Jobs where a test has an API server and no controllers.
package jobpod

import (
	"context"
	"fmt"
	"maps"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Make makes the pod of a Job, as the controller of Jobs does.
func Make(ctx context.Context, c client.Client, job *batchv1.Job) (*corev1.Pod, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, GenerateName: job.Name + "-", Annotations: job.Spec.Template.Annotations,
			Labels:          maps.Clone(job.Spec.Template.Labels),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))},
		},
		Spec: *job.Spec.Template.Spec.DeepCopy(),
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels[batchv1.ControllerUidLabel] = string(job.UID)
	pod.Labels[batchv1.JobNameLabel] = job.Name
	if err := c.Create(ctx, pod); err != nil {
		return nil, fmt.Errorf("make a pod of Job %s: %w", job.Name, err)
	}
	return pod, nil
}

// ForEvent makes a Job of an Event and its pod. The manager does not see them, as they lack its labels: it is for
// whoever plays an agent and cares for nothing but the agent's rights.
func ForEvent(ctx context.Context, c client.Client, e *mrev1.Event, account string) (*corev1.Pod, error) {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: e.Namespace, GenerateName: "played-",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(e, mrev1.GroupVersion.WithKind("Event"))},
		},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			ServiceAccountName: account, RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: new(false),
			Containers: []corev1.Container{{Name: "played", Image: "registry.example.com/played:1"}},
		}}},
	}
	if err := c.Create(ctx, job); err != nil {
		return nil, fmt.Errorf("make a Job for Event %s: %w", e.Name, err)
	}
	return Make(ctx, c, job)
}
