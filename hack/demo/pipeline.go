// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

// lookEvery is how often the state is read while the bars move.
const lookEvery = time.Second

// runPipeline applies the manifests and follows the Events to their end.
func (d *demo) runPipeline(ctx context.Context) error {
	shared, err := clusterclient.ReadManifests(catalogue()...)
	if err != nil {
		return err
	}
	if err := d.cluster.ApplyTo(ctx, d.events, shared...); err != nil {
		return err
	}
	for _, in := range d.inputs {
		if err := d.start(ctx, in); err != nil {
			return err
		}
	}
	view := terminal.NewView(os.Stdout)
	defer view.Stop()
	for {
		for _, r := range d.runs {
			if err := d.look(ctx, r); err != nil {
				return err
			}
		}
		if view.Show(picture(d.runs)); allFinished(d.runs) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), d.whatIsWrong(context.WithoutCancel(ctx)))
		case <-time.After(lookEvery):
		}
	}
}

// start applies an Event and its Replay.
func (d *demo) start(ctx context.Context, in input) error {
	objects, err := clusterclient.ReadManifests(in.manifests...)
	if err != nil {
		return err
	}
	r := &eventRun{name: in.event, replay: in.replay, began: time.Now()}
	var profile string
	for _, object := range objects {
		if object.GetKind() != "Event" {
			continue
		}
		profile, _, _ = unstructured.NestedString(object.Object, "spec", "profileRef", "name")
		// The next run replaces this one, its clips and reels too.
		if err := errors.Join(
			unstructured.SetNestedField(object.Object, in.location, "spec", "source", "file", "url"),
			unstructured.SetNestedField(object.Object, string(mrev1alpha1.DeletionDelete), "spec", "deletionPolicy"),
		); err != nil {
			return fmt.Errorf("change the manifest of Event %s: %w", in.event, err)
		}
	}
	if err := d.cluster.ApplyTo(ctx, d.events, objects...); err != nil {
		return err
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "Event":
			r.uid = object.GetUID()
		case "Replay":
			r.replayUID = object.GetUID()
		}
	}
	if in.file != "" {
		if r.expectedChunks, err = d.expectedChunks(ctx, in.file, profile); err != nil {
			return err
		}
	}
	d.runs = append(d.runs, r)
	return nil
}

// expectedChunks is what the bars count to: the length of the file in chunks, or 0 when nobody knows.
func (d *demo) expectedChunks(ctx context.Context, file, profile string) (int64, error) {
	var used mrev1alpha1.Profile
	if err := d.cluster.Get(ctx, client.ObjectKey{Namespace: d.events, Name: profile}, &used); err != nil {
		return 0, fmt.Errorf("read Profile %s: %w", profile, err)
	}
	out, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffprobe", Args: []string{
		"-show_entries", "format=duration", "-of", "csv=p=0", file}})
	if err != nil {
		return 0, nil //nolint:nilerr // a file that cannot be read is the pipeline's to explain
	}
	length, err := time.ParseDuration(strings.TrimSpace(string(out)) + "s")
	if err != nil || used.Spec.ChunkSeconds == 0 {
		return 0, nil //nolint:nilerr // a file without a length is as well
	}
	chunk := time.Duration(used.Spec.ChunkSeconds) * time.Second
	return int64((length + chunk - 1) / chunk), nil
}

// look reads how far an Event and its Replay are.
func (d *demo) look(ctx context.Context, r *eventRun) error {
	if r.finished {
		return nil
	}
	var event mrev1alpha1.Event
	var replay mrev1alpha1.Replay
	if err := errors.Join(
		d.cluster.Get(ctx, client.ObjectKey{Namespace: d.events, Name: r.name}, &event),
		d.cluster.Get(ctx, client.ObjectKey{Namespace: d.events, Name: r.replay}, &replay),
	); err != nil {
		return fmt.Errorf("look at Event %s: %w", r.name, err)
	}
	r.uid, r.replayUID = event.UID, replay.UID
	state, err := d.dataPlane.Event(ctx, string(event.UID))
	if dpclient.Is(err, api.ProblemCodeNotFound) {
		return nil // the manager has not compiled its plan yet
	}
	if err != nil {
		return err
	}
	r.state = state
	if failed := meta.FindStatusCondition(event.Status.Conditions, mrev1alpha1.ConditionFailed); failed != nil &&
		failed.Status == metav1.ConditionTrue {
		r.finish(failed.Reason + ": " + failed.Message)
		return nil
	}
	if !meta.IsStatusConditionTrue(event.Status.Conditions, mrev1alpha1.ConditionComplete) {
		return nil
	}
	if problem, done := replayOutcome(replay.Status.Conditions); done {
		r.finish(problem)
	}
	return nil
}

// replayOutcome tells whether a Replay of a complete Event has come to its end, and what went wrong.
func replayOutcome(conditions []metav1.Condition) (problem string, done bool) {
	rendered := meta.FindStatusCondition(conditions, mrev1alpha1.ConditionRendered)
	if rendered == nil {
		return "", false
	}
	switch {
	case rendered.Status == metav1.ConditionTrue, rendered.Reason == mrev1alpha1.ReasonNoMatch:
		return "", true
	case rendered.Reason == mrev1alpha1.ReasonRenderFailed, rendered.Reason == mrev1alpha1.ReasonEventFailed:
		return rendered.Reason + ": " + rendered.Message, true
	}
	return "", false
}

// finish ends the following of an Event; the outcome is empty when all is well.
func (r *eventRun) finish(outcome string) {
	r.finished, r.outcome, r.took = true, outcome, time.Since(r.began)
}

func allFinished(runs []*eventRun) bool {
	for _, r := range runs {
		if !r.finished {
			return false
		}
	}
	return true
}
