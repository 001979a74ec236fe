// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// clean removes the Events and Replays of an earlier run and waits until their finalizers have let go.
func (d *demo) clean(ctx context.Context) error {
	if err := d.cluster.EnsureNamespace(ctx, d.events); err != nil {
		return err
	}
	left, err := d.remaining(ctx)
	if err != nil || len(left) == 0 {
		return err
	}
	say("removing what an earlier run left: %d Events and Replays", len(left))
	for _, object := range left {
		if err := d.cluster.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s: %w", object.GetName(), err)
		}
	}
	err = wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, 3*time.Minute, true,
		func(ctx context.Context) (bool, error) {
			left, err = d.remaining(ctx)
			return len(left) == 0, err
		})
	if err != nil {
		for _, object := range left {
			say("still there: %T %s", object, object.GetName())
		}
		return fmt.Errorf("wait until the earlier run's objects are gone (see their conditions): %w", err)
	}
	return nil
}

// remaining are the Replays and Events of the namespace.
func (d *demo) remaining(ctx context.Context) ([]client.Object, error) {
	var replays mrev1alpha1.ReplayList
	var events mrev1alpha1.EventList
	for _, list := range []client.ObjectList{&replays, &events} {
		if err := d.cluster.List(ctx, list, client.InNamespace(d.events)); err != nil {
			return nil, fmt.Errorf("look for an earlier run in namespace %s: %w", d.events, err)
		}
	}
	var all []client.Object
	for i := range replays.Items {
		all = append(all, &replays.Items[i])
	}
	for i := range events.Items {
		all = append(all, &events.Items[i])
	}
	return all, nil
}
