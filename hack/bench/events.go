// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	chunkSeconds = 6
	// workers is the number of worker slots: one for each core of the machines that the figures are for.
	workers = 2
	bucket  = "mre"
)

var rate30 = timeline.Rational{Num: 30, Den: 1}

// prepare installs the operator, empties the namespace and applies the samples' plugins and a Profile.
func (b *bench) prepare(ctx context.Context) error {
	if b.image != "" {
		cmd := exec.CommandContext(ctx, "hack/make/install")
		cmd.Env = append(os.Environ(), "IMAGE="+b.image, "NAMESPACE="+b.namespace)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("install the chart: %w\n%s", err, out)
		}
	}
	if err := b.cluster.EnsureNamespace(ctx, b.events); err != nil {
		return err
	}
	if err := b.clean(ctx); err != nil {
		return err
	}
	objects, err := clusterclient.ReadManifests(
		"config/samples/plugins.yaml", "config/samples/profile.yaml")
	if err != nil {
		return err
	}
	if err := b.cluster.ApplyTo(ctx, b.events, objects...); err != nil {
		return err
	}
	var profile mrev1.Profile
	if err := b.cluster.Get(ctx, client.ObjectKey{Namespace: b.events, Name: "highlights"}, &profile); err != nil {
		return fmt.Errorf("read the Profile: %w", err)
	}
	base := profile.DeepCopy()
	profile.Spec.ChunkSeconds = chunkSeconds
	profile.Spec.Processing.MinWorkers = workers
	profile.Spec.Processing.MinRenderers = 1
	if err := b.cluster.Patch(ctx, &profile, client.MergeFrom(base)); err != nil {
		return fmt.Errorf("size the Profile: %w", err)
	}
	return nil
}

// clean deletes the Events and what they left in the bucket.
func (b *bench) clean(ctx context.Context) error {
	var events mrev1.EventList
	if err := b.cluster.List(ctx, &events, client.InNamespace(b.events)); err != nil {
		return fmt.Errorf("list the Events: %w", err)
	}
	for i := range events.Items {
		if err := b.remove(ctx, &events.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes an Event with all its objects and waits until it is gone.
func (b *bench) remove(ctx context.Context, e *mrev1.Event) error {
	base := e.DeepCopy()
	e.Spec.DeletionPolicy = mrev1.DeletionDelete
	if err := b.cluster.Patch(ctx, e, client.MergeFrom(base)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Event %s: %w", e.Name, err)
	}
	if err := b.cluster.Delete(ctx, e); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete Event %s: %w", e.Name, err)
	}
	err := wait.PollUntilContextTimeout(ctx, time.Second, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
		err := b.cluster.Get(ctx, client.ObjectKeyFromObject(e), &mrev1.Event{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("wait until Event %s is gone: %w", e.Name, err)
	}
	return nil
}

// upload puts a generated match into the bucket, once, and returns its location.
func (b *bench) upload(ctx context.Context, path string) (string, error) {
	store, err := b.cluster.Bucket(ctx, bucket)
	if err != nil {
		return "", err
	}
	// The file's folder is named after the options that it was generated with.
	return store.Upload(ctx, path, "inputs/bench/"+filepath.Base(filepath.Dir(path))+".mp4")
}

// begin makes an Event of a source; its clips are rendered or left out.
func (b *bench) begin(ctx context.Context, name, url string, clips mrev1.RenderPolicy) (*mrev1.Event, error) {
	return b.beginWith(ctx, name, "highlights", url, clips)
}

// beginWith makes an Event of a Profile.
func (b *bench) beginWith(ctx context.Context, name, profile, url string,
	clips mrev1.RenderPolicy) (*mrev1.Event, error) {
	e := &mrev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.events, Name: name},
		Spec: mrev1.EventSpec{
			Program:        "Benchmark",
			ProfileRef:     mrev1.RevisionReference{Name: profile},
			Source:         mrev1.EventSource{File: &mrev1.FileSource{URL: url}},
			Clips:          mrev1.ClipsSpec{Original: clips, Optimized: clips, Thumbnails: clips},
			DeletionPolicy: mrev1.DeletionDelete,
		},
	}
	if err := b.cluster.Create(ctx, e); err != nil {
		return nil, fmt.Errorf("make Event %s: %w", name, err)
	}
	return e, nil
}

// finish waits until an Event is Complete.
func (b *bench) finish(ctx context.Context, e *mrev1.Event) error {
	idle := newWatchdog()
	err := wait.PollUntilContextTimeout(ctx, time.Second, 20*time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := b.cluster.Get(ctx, client.ObjectKeyFromObject(e), e); err != nil {
			return false, err
		}
		// A heartbeat does not change the version, progress does.
		if idle.expired(e.ResourceVersion) {
			_, reason, message := clusterclient.ConditionTrue(e.Status.Conditions, mrev1.ConditionReady)
			return false, fmt.Errorf("it made no progress for %s: %s: %s; %s", stallAfter, reason, message,
				b.cluster.PodLogs(ctx, b.events, map[string]string{mrev1.LabelEvent: e.Name}, logLines))
		}
		if failed, reason, message := clusterclient.ConditionTrue(e.Status.Conditions, mrev1.ConditionFailed); failed {
			return false, fmt.Errorf("%s: %s", reason, message)
		}
		complete, _, _ := clusterclient.ConditionTrue(e.Status.Conditions, mrev1.ConditionComplete)
		return complete, nil
	})
	if err != nil {
		return fmt.Errorf("wait for Event %s: %w", e.Name, err)
	}
	return nil
}

// whole makes an Event of a generated match, waits for its end and returns it.
func (b *bench) whole(ctx context.Context, name string, chunks int, clips mrev1.RenderPolicy) (*mrev1.Event, error) {
	m, err := fixture(ctx, chunks)
	if err != nil {
		return nil, err
	}
	url, err := b.upload(ctx, m.Path)
	if err != nil {
		return nil, err
	}
	e, err := b.begin(ctx, name, url, clips)
	if err != nil {
		return nil, err
	}
	return e, b.finish(ctx, e)
}
