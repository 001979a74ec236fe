// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
)

const stepLabel = "mre.media/bench-step"

// jobPerStep runs the pipeline as a workflow engine would: a Kubernetes Job for every step as soon as its
// dependencies are done. Each Job takes one task and ends. The shared decode of a chunk counts as a step of its
// own, which is kinder to this side than a decode in each plugin's pod would be.
//
// An agent may work for the Event that controls its Job, so there is one: its Profile does not exist, so that the
// manager does nothing for it but delete what is left.
func (b *bench) jobPerStep(ctx context.Context) (seconds float64, jobs int, err error) {
	manager, err := b.cluster.DataPlaneAs(b.namespace, "mre-manager")
	if err != nil {
		return 0, 0, err
	}
	m, err := fixture(ctx, b.chunks)
	if err != nil {
		return 0, 0, err
	}
	url, err := b.upload(ctx, m.Path)
	if err != nil {
		return 0, 0, err
	}
	e, err := b.beginWith(ctx, "job-per-step", "no-profile", url, mrev1.Skip)
	if err != nil {
		return 0, 0, err
	}
	plan, err := b.planOfSamples(ctx, string(e.UID), url)
	if err != nil {
		return 0, 0, err
	}
	if _, err := manager.PutPlan(ctx, string(e.UID), plan); err != nil {
		return 0, 0, err
	}
	if err := b.stepJob(ctx, e, "ingest", "ingest"); err != nil {
		return 0, 0, err
	}
	jobs, err = b.driveSteps(ctx, manager, e)
	if err != nil {
		return 0, jobs, err
	}
	if seconds, err = chunkToSegment(ctx, manager, string(e.UID)); err != nil {
		return 0, jobs, err
	}
	return seconds, jobs, b.remove(ctx, e)
}

// driveSteps keeps as many Jobs as there are steps to run, until the Event is at its end. A Job takes whichever
// step is ready when its pod has started, so Jobs are counted, not matched with tasks.
func (b *bench) driveSteps(ctx context.Context, d *dpclient.Client, e *mrev1.Event) (jobs int, err error) {
	uid := string(e.UID)
	idle := newWatchdog()
	for {
		state, err := d.Event(ctx, uid)
		if err != nil {
			return jobs, err
		}
		switch state.State {
		case api.EventStateStateComplete:
			return jobs, nil
		case api.EventStateStateFailed:
			return jobs, fmt.Errorf("the job-per-step run failed: %s", ptr.Deref(state.Message, ""))
		}
		tasks, err := d.Tasks(ctx, uid)
		if err != nil {
			return jobs, err
		}
		for wanted := runsOf(tasks); jobs < wanted; jobs++ {
			if err := b.stepJob(ctx, e, fmt.Sprintf("step-%d", jobs), "worker", "--max-tasks=1"); err != nil {
				return jobs, err
			}
		}
		if idle.expired(progressOf(tasks)) {
			return jobs, fmt.Errorf("no step went on for %s; %s", stallAfter,
				b.cluster.PodLogs(ctx, b.events, map[string]string{stepLabel: uid}, logLines))
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return jobs, err
		}
	}
}

// progressOf changes with every step.
func progressOf(tasks []api.Task) string {
	counts := map[api.TaskState]int{}
	for _, t := range tasks {
		counts[t.State]++
	}
	return fmt.Sprint(counts)
}

// runsOf is how many runs the tasks have had, have now, or are ready for.
func runsOf(tasks []api.Task) (runs int) {
	for _, t := range tasks {
		if t.Kind == api.TaskKindExport {
			continue // the data plane does it itself
		}
		runs += int(t.Attempts + t.Losses)
		switch t.State {
		case api.TaskStateReady, api.TaskStateLeased, api.TaskStateDone:
			runs++
		}
	}
	return runs
}

// stepJob makes a Job of one pod, with the same image and resources as the manager's Jobs.
func (b *bench) stepJob(ctx context.Context, e *mrev1.Event, name string, args ...string) error {
	uid := string(e.UID)
	args = append(args, "--event-uid="+uid,
		fmt.Sprintf("--dataplane-url=https://mre-dataplane.%s.svc:8080", b.namespace),
		"--token-file=/var/run/secrets/mre/token", "--ca-file=/var/run/secrets/mre/ca.crt")
	labels := map[string]string{stepLabel: uid}
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.events, Name: "bench-" + uid[:8] + "-" + name, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(e, mrev1.GroupVersion.WithKind("Event"))}},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To[int32](3),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy:                 corev1.RestartPolicyNever,
					ServiceAccountName:            "mre-agent",
					AutomountServiceAccountToken:  new(false),
					TerminationGracePeriodSeconds: ptr.To[int64](5),
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: new(true), RunAsUser: ptr.To[int64](65532), RunAsGroup: ptr.To[int64](65532),
						FSGroup:        ptr.To[int64](65532),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name: "step", Image: b.image, Args: args,
						Env: []corev1.EnvVar{
							{Name: "POD_NAME",
								ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
							{Name: "TMPDIR", Value: "/scratch"},
						},
						// So small a request that the node takes all the pods that it has room for.
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
							corev1.ResourceCPU: resource.MustParse("10m")}},
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
							Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
						VolumeMounts: []corev1.VolumeMount{
							{Name: "token", MountPath: "/var/run/secrets/mre", ReadOnly: true}, {Name: "scratch", MountPath: "/scratch"},
						},
					}},
					Volumes: []corev1.Volume{
						{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
							Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
								Audience: "mre.media/dataplane", Path: "token"}},
								{ConfigMap: &corev1.ConfigMapProjection{
									LocalObjectReference: corev1.LocalObjectReference{Name: "mre-dataplane-ca"}}}}}}},
						{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					},
				},
			},
		},
	}
	if err := b.cluster.Create(ctx, job); err != nil {
		return fmt.Errorf("make Job %s: %w", job.Name, err)
	}
	return nil
}
