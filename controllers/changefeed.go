// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// feedWait is how long one call waits for a change.
	feedWait = 25 * time.Second
	// feedRetry is the pause after a call that failed.
	feedRetry = 2 * time.Second
	// feedBuffer holds changes while the reconcilers' queues take them in.
	feedBuffer = 1024
)

// ChangeFeed follows the data plane's changes and wakes the reconcilers up. It is a hint: each reconciler
// looks at what is not at rest by itself, too.
type ChangeFeed struct {
	Client    client.Reader
	DataPlane DataPlane

	events  chan event.TypedGenericEvent[*mrev1.Event]
	replays chan event.TypedGenericEvent[*mrev1.Replay]
}

// NewChangeFeed makes a feed that has to be added to the manager.
func NewChangeFeed(c client.Reader, d DataPlane) *ChangeFeed {
	return &ChangeFeed{
		Client: c, DataPlane: d,
		events:  make(chan event.TypedGenericEvent[*mrev1.Event], feedBuffer),
		replays: make(chan event.TypedGenericEvent[*mrev1.Replay], feedBuffer),
	}
}

// Events is what the Event reconciler listens to.
func (f *ChangeFeed) Events() <-chan event.TypedGenericEvent[*mrev1.Event] { return f.events }

// Replays is what the Replay reconciler listens to.
func (f *ChangeFeed) Replays() <-chan event.TypedGenericEvent[*mrev1.Replay] { return f.replays }

// NeedLeaderElection keeps it to the leader: a standby has nobody to wake up.
func (f *ChangeFeed) NeedLeaderElection() bool { return true }

// Start follows the feed until the context ends. After an outage everything is looked at once, as the feed
// may have begun anew.
func (f *ChangeFeed) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("changefeed")
	var after int64
	broken := false
	for ctx.Err() == nil {
		list, err := f.DataPlane.Changes(ctx, after, feedWait)
		if err != nil {
			if !broken && ctx.Err() == nil {
				logger.Info("Following the data plane's changes failed; trying again", "reason", err.Error())
			}
			broken = true
			sleep(ctx, feedRetry)
			continue
		}
		if broken || list.Next < after {
			logger.Info("The data plane's changes can be followed again")
			if err := f.resync(ctx); err != nil {
				logger.Error(err, "Looking at everything again")
			}
			broken = false
		}
		after = list.Next
		for _, change := range list.Changes {
			f.push(ctx, change.Kind, change.Namespace, change.Name, types.UID(change.UID))
		}
	}
	return nil
}

func (f *ChangeFeed) push(ctx context.Context, kind api.ChangeKind, namespace, name string, uid types.UID) {
	about := metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid}
	switch kind {
	case api.ChangeKindEvent:
		select {
		case f.events <- event.TypedGenericEvent[*mrev1.Event]{Object: &mrev1.Event{ObjectMeta: about}}:
		case <-ctx.Done():
		}
	case api.ChangeKindReplay:
		select {
		case f.replays <- event.TypedGenericEvent[*mrev1.Replay]{Object: &mrev1.Replay{ObjectMeta: about}}:
		case <-ctx.Done():
		}
	}
}

// resync pushes every Event and Replay.
func (f *ChangeFeed) resync(ctx context.Context) error {
	var all mrev1.EventList
	if err := f.Client.List(ctx, &all); err != nil {
		return fmt.Errorf("listing Events: %w", err)
	}
	for i := range all.Items {
		f.push(ctx, api.ChangeKindEvent, all.Items[i].Namespace, all.Items[i].Name, all.Items[i].UID)
	}
	var replays mrev1.ReplayList
	if err := f.Client.List(ctx, &replays); err != nil {
		return fmt.Errorf("listing Replays: %w", err)
	}
	for i := range replays.Items {
		f.push(ctx, api.ChangeKindReplay, replays.Items[i].Namespace, replays.Items[i].Name, replays.Items[i].UID)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
