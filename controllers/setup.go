// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Names of the cache's indexes.
const (
	indexPluginModels   = "spec.models"
	indexProfilePlugins = "spec.plugins"
	indexProfileModels  = "spec.models"
	indexEventProfile   = "spec.profileRef"
	indexReplayEvent    = "spec.eventRef"
)

// conflictPause is how soon a pass is repeated when somebody else wrote in between.
const conflictPause = 200 * time.Millisecond

// CacheOptions keep foreign Jobs and revisions out of the manager's memory.
func CacheOptions() (cache.Options, error) {
	ours, err := labels.NewRequirement(mrev1.LabelEventUID, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, fmt.Errorf("selecting our Jobs: %w", err)
	}
	revisions, err := labels.NewRequirement(mrev1.LabelRevisionKind, selection.Exists, nil)
	if err != nil {
		return cache.Options{}, fmt.Errorf("selecting our revisions: %w", err)
	}
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&batchv1.Job{}:               {Label: labels.NewSelector().Add(*ours)},
		&corev1.Pod{}:                {Label: labels.NewSelector().Add(*ours)},
		&appsv1.ControllerRevision{}: {Label: labels.NewSelector().Add(*revisions)},
	}}, nil
}

// SetupWithManager adds every reconciler and the change feed to the manager.
func SetupWithManager(ctx context.Context, mgr ctrl.Manager, d DataPlane, o Options) error {
	if err := setupIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	feed := NewChangeFeed(mgr.GetClient(), d)
	if err := mgr.Add(feed); err != nil {
		return fmt.Errorf("adding the change feed: %w", err)
	}
	c, now := mgr.GetClient(), clock.RealClock{}
	for _, r := range []interface{ SetupWithManager(ctrl.Manager) error }{
		&PluginReconciler{Client: c, Recorder: mgr.GetEventRecorder("plugin"), Clock: now},
		&ModelReconciler{Client: c, Recorder: mgr.GetEventRecorder("model"), Clock: now, HTTP: NewModelClient()},
		&ProfileReconciler{Client: c, Recorder: mgr.GetEventRecorder("profile"), Clock: now},
		&EventReconciler{Client: c, Live: mgr.GetAPIReader(), DataPlane: d,
			Recorder: mgr.GetEventRecorder("event"), Clock: now, Options: o, Feed: feed.Events()},
		&ReplayReconciler{Client: c, DataPlane: d, Recorder: mgr.GetEventRecorder("replay"),
			Clock: now, Options: o, Feed: feed.Replays()},
	} {
		if err := r.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("setting up %T: %w", r, err)
		}
	}
	return nil
}

// setupIndexes lets the reconcilers look objects up by what they refer to.
func setupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, index := range []struct {
		of   client.Object
		name string
		by   client.IndexerFunc
	}{
		{&mrev1.Plugin{}, indexPluginModels, func(o client.Object) []string {
			return referenceNames(o.(*mrev1.Plugin).Spec.Models)
		}},
		{&mrev1.Profile{}, indexProfilePlugins, func(o client.Object) []string { return pluginNames(o.(*mrev1.Profile)) }},
		{&mrev1.Profile{}, indexProfileModels, func(o client.Object) []string { return modelNames(o.(*mrev1.Profile)) }},
		{&mrev1.Event{}, indexEventProfile, func(o client.Object) []string {
			return []string{o.(*mrev1.Event).Spec.ProfileRef.Name}
		}},
		{&mrev1.Replay{}, indexReplayEvent, func(o client.Object) []string {
			return []string{o.(*mrev1.Replay).Spec.EventRef.Name}
		}},
	} {
		if err := indexer.IndexField(ctx, index.of, index.name, index.by); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", index.of, index.name, err)
		}
	}
	return nil
}

func referenceNames(refs []mrev1.LocalReference) []string {
	out := make([]string, 0, len(refs))
	for _, r := range refs {
		out = append(out, r.Name)
	}
	return out
}

func modelNames(p *mrev1.Profile) []string {
	var out []string
	for _, r := range roles(p) {
		if r.use.Model != nil {
			out = append(out, r.use.Model.Name)
		}
	}
	return out
}

// settle repeats a pass quietly when somebody else wrote in between, as that is no fault.
func settle(result ctrl.Result, err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictPause}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	return result, nil
}
