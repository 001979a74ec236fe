// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	coldPlugin  = "cold-start"
	coldProfile = "cold-start"
	// coldImage has the plugin in Go; hack/image/plugins makes and loads it.
	coldImage = "bin/plugins-go.txt"
)

// measureColdStart deletes a worker Job in the middle of an Event, so that tasks of a plugin in a container wait, and
// measures from the creation of its successor to the first task that the plugin has in it. The API server writes
// creation times in whole seconds: the figure is up to one second too large.
func measureColdStart(ctx context.Context, b *bench) ([]Result, error) {
	image, err := os.ReadFile(coldImage)
	if err != nil {
		return nil, fmt.Errorf("find the plugin's image (hack/image/plugins makes it): %w", err)
	}
	if err := b.coldObjects(ctx, strings.TrimSpace(string(image))); err != nil {
		return nil, err
	}
	runs := b.times(3)
	var took []float64
	for range runs {
		seconds, err := b.coldStart(ctx)
		if err != nil {
			return nil, err
		}
		say("  %.1f s", seconds)
		took = append(took, seconds)
	}
	return []Result{{Name: "worker-cold-start-s", Unit: "s", Ours: median(took), Runs: runs}}, nil
}

// coldObjects are a Plugin in a container and a Profile with one worker that uses it.
func (b *bench) coldObjects(ctx context.Context, image string) error {
	var profile mrev1.Profile
	if err := b.cluster.Get(ctx, client.ObjectKey{Namespace: b.events, Name: "highlights"}, &profile); err != nil {
		return fmt.Errorf("read the Profile: %w", err)
	}
	plugin := &mrev1.Plugin{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.events, Name: coldPlugin},
		Spec: mrev1.PluginSpec{Class: mrev1.ClassFeaturer, MediaType: mrev1.MediaVideo, Runtime: mrev1.PluginRuntime{
			Container: &mrev1.ContainerRuntime{Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
				Command: []string{"/plugin"}}}},
	}
	own := &mrev1.Profile{ObjectMeta: metav1.ObjectMeta{Namespace: b.events, Name: coldProfile},
		Spec: *profile.Spec.DeepCopy()}
	own.Spec.Processing.MinWorkers, own.Spec.Processing.MaxWorkers = 1, 1
	own.Spec.ChunkSeconds = 2
	own.Spec.Featurers = append(own.Spec.Featurers,
		mrev1.FeaturerUse{PluginUse: mrev1.PluginUse{Plugin: mrev1.RevisionReference{Name: coldPlugin}}})
	for _, object := range []client.Object{plugin, own} {
		if err := client.IgnoreNotFound(b.cluster.Delete(ctx, object)); err != nil {
			return fmt.Errorf("make %s anew: %w", object.GetName(), err)
		}
		object.SetResourceVersion("")
		if err := b.cluster.Create(ctx, object); err != nil {
			return fmt.Errorf("make %s: %w", object.GetName(), err)
		}
	}
	return nil
}

func (b *bench) coldStart(ctx context.Context) (float64, error) {
	m, err := fixture(ctx, b.coldChunks)
	if err != nil {
		return 0, err
	}
	url, err := b.upload(ctx, m.Path)
	if err != nil {
		return 0, err
	}
	e, err := b.beginWith(ctx, "cold-start", coldProfile, url, mrev1.Skip)
	if err != nil {
		return 0, err
	}
	dataPlane, err := b.cluster.DataPlane()
	if err != nil {
		return 0, err
	}
	// firstBy is when the plugin got its first task from the worker of a Job that is so old: the next one may have the
	// same name.
	firstBy := func(ctx context.Context, job string, since time.Time) (first time.Time, err error) {
		tasks, err := dataPlane.Tasks(ctx, string(e.UID))
		if err != nil {
			return first, err
		}
		for _, t := range tasks {
			if t.Plugin != coldPlugin || t.LeasedAt == nil || t.Holder == nil ||
				!strings.HasPrefix(*t.Holder, job+"-") || t.LeasedAt.Before(since) {
				continue
			}
			if first.IsZero() || t.LeasedAt.Before(first) {
				first = *t.LeasedAt
			}
		}
		return first, nil
	}
	var began, first time.Time
	var old types.UID
	err = wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, 5*time.Minute, true,
		func(ctx context.Context) (bool, error) {
			job, err := b.workerJob(ctx, e)
			if err != nil || job == nil {
				return false, err
			}
			if old == "" {
				if at, err := firstBy(ctx, job.Name, job.CreationTimestamp.Time); err != nil || at.IsZero() {
					return false, client.IgnoreNotFound(err)
				}
				old = job.UID
				return false, b.cluster.Delete(ctx, job, client.PropagationPolicy(metav1.DeletePropagationForeground))
			}
			if job.UID == old {
				return false, nil
			}
			began = job.CreationTimestamp.Time
			first, err = firstBy(ctx, job.Name, began)
			return !first.IsZero(), err
		})
	if err != nil {
		return 0, fmt.Errorf("wait for the worker that takes over: %w", err)
	}
	return first.Sub(began).Seconds(), b.remove(ctx, e)
}

// workerJob is the newest worker Job of an Event, or nil.
func (b *bench) workerJob(ctx context.Context, e *mrev1.Event) (*batchv1.Job, error) {
	var jobs batchv1.JobList
	if err := b.cluster.List(ctx, &jobs, client.InNamespace(e.Namespace),
		client.MatchingLabels{mrev1.LabelEventUID: string(e.UID), mrev1.LabelRole: "worker"}); err != nil {
		return nil, fmt.Errorf("list the Jobs: %w", err)
	}
	var newest *batchv1.Job
	for i := range jobs.Items {
		if newest == nil || newest.CreationTimestamp.Before(&jobs.Items[i].CreationTimestamp) {
			newest = &jobs.Items[i]
		}
	}
	return newest, nil
}
