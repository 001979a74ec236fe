// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
)

const (
	// feeders is how many calls we have open at once.
	feeders = 8
	// unitsFirst is how many units an Event has before the measurement begins.
	unitsFirst    = 3
	unitSeconds   = chunkSeconds
	unitFrames    = unitSeconds * 25
	ticksPerFrame = 90_000 / 25
	scaleOrigin   = 126_000
)

// simulated is an Event and its ingest, which we play.
type simulated struct {
	event  *mrev1.Event
	ingest *dpclient.Client
	units  int64
}

// makeEvents fills the namespaces.
func (s *scale) makeEvents(ctx context.Context) error {
	for i := range scaleNamespaces {
		namespace := fmt.Sprintf("scale-%02d", i)
		if err := s.cluster.EnsureNamespace(ctx, namespace); err != nil {
			return err
		}
		// Applying fills the objects with what the API server answers.
		objects, err := clusterclient.ReadManifests("config/samples/plugins.yaml", "config/samples/profile.yaml")
		if err != nil {
			return err
		}
		if err := s.cluster.ApplyTo(ctx, namespace, objects...); err != nil {
			return err
		}
		for j := range s.scaleEvents / scaleNamespaces {
			s.events = append(s.events, &simulated{event: &mrev1.Event{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("match-%03d", j)},
				Spec: mrev1.EventSpec{
					Program:    "Benchmark",
					ProfileRef: mrev1.RevisionReference{Name: "highlights"},
					Source:     mrev1.EventSource{File: &mrev1.FileSource{URL: "s3://mre/inputs/match.mp4"}},
				},
			}})
		}
	}
	return s.each(ctx, func(ctx context.Context, e *simulated) error {
		if err := s.cluster.Create(ctx, e.event); err != nil {
			return fmt.Errorf("make Event %s: %w", e.event.Name, err)
		}
		return nil
	})
}

// awaitPlans waits until the data plane knows every Event.
func (s *scale) awaitPlans(ctx context.Context) error {
	return s.await(ctx, "every Event has a plan", func(ctx context.Context) (int, error) {
		return s.countEvents(ctx, func(e *mrev1.Event) bool { return e.Status.PlanHash != "" })
	})
}

// openSources declares the timelines and registers the first units.
func (s *scale) openSources(ctx context.Context) error {
	return s.each(ctx, func(ctx context.Context, e *simulated) error {
		if err := s.connect(ctx, e); err != nil {
			return err
		}
		err := e.ingest.PutTimeline(ctx, string(e.event.UID), api.Timeline{
			OriginTicks: scaleOrigin, Rate: api.Rational{Num: 25, Den: 1}, Width: 1920, Height: 1080,
			Ingest: api.TimelineIngestCopy, IngestReason: "simulated",
			AudioTracks: []api.AudioTrack{{Track: 1, StreamIndex: 1, Codec: "aac", SampleRate: 48000, Channels: 2}},
		})
		if err != nil {
			return err
		}
		for range unitsFirst {
			if err := s.register(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// connect waits for the pod of an Event's ingest Job and takes its place.
func (s *scale) connect(ctx context.Context, e *simulated) error {
	for {
		var pods corev1.PodList
		if err := s.cluster.List(ctx, &pods, client.InNamespace(e.event.Namespace),
			client.MatchingLabels{mrev1.LabelEventUID: string(e.event.UID), mrev1.LabelRole: "ingest"}); err != nil {
			return err
		}
		if len(pods.Items) > 0 {
			var err error
			e.ingest, err = s.cluster.DataPlaneAsPod(&pods.Items[0])
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the ingest pod of Event %s/%s: %w", e.event.Namespace, e.event.Name, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}

// register adds an Event's next unit.
func (s *scale) register(ctx context.Context, e *simulated) error {
	n := e.units
	ticks := scaleOrigin + n*unitFrames*ticksPerFrame
	err := e.ingest.RegisterUnit(ctx, string(e.event.UID), api.Unit{
		FirstTicks: ticks, Key: keys.Unit(e.event.Namespace, string(e.event.UID), 0, ticks),
		StartMicros: n * unitSeconds * 1e6, EndMicros: (n + 1) * unitSeconds * 1e6,
		FirstFrame: n * unitFrames, Frames: unitFrames, IdrFrames: []int64{n * unitFrames},
		PayloadSHA256: strings.Repeat("0", 64), Bytes: 1000,
	})
	if err != nil {
		return fmt.Errorf("register a unit of Event %s/%s: %w", e.event.Namespace, e.event.Name, err)
	}
	e.units++
	s.units.Add(1)
	return nil
}

// feed registers a unit of each Event in every period until the context ends, evenly; where that is more than the
// machine can do, as many as it can.
func (s *scale) feed(ctx context.Context, period time.Duration) error {
	ticker := time.NewTicker(period / time.Duration(len(s.events)))
	defer ticker.Stop()
	for {
		err := s.each(ctx, func(ctx context.Context, e *simulated) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ticker.C:
			}
			return s.register(ctx, e)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// awaitJobs waits until the status of every Event speaks of its units and a Job of each role runs, and returns how
// many Jobs run.
func (s *scale) awaitJobs(ctx context.Context) (int, error) {
	if err := s.await(ctx, "every Event is active", func(ctx context.Context) (int, error) {
		return s.countEvents(ctx, func(e *mrev1.Event) bool {
			ready, _, _ := clusterclient.ConditionTrue(e.Status.Conditions, mrev1.ConditionReady)
			return ready && e.Status.Progress != nil && e.Status.Progress.Chunks.Ingested > 0
		})
	}); err != nil {
		return 0, err
	}
	running := 0
	err := s.await(ctx, "the Jobs of every Event run", func(ctx context.Context) (int, error) {
		var jobs batchv1.JobList
		if err := s.cluster.List(ctx, &jobs, client.HasLabels{mrev1.LabelEventUID}); err != nil {
			return 0, err
		}
		running = 0
		roles := map[string]map[string]bool{}
		for i := range jobs.Items {
			job := &jobs.Items[i]
			if ptr.Deref(job.Status.Ready, 0) == 0 {
				continue
			}
			running++
			uid := job.Labels[mrev1.LabelEventUID]
			if roles[uid] == nil {
				roles[uid] = map[string]bool{}
			}
			roles[uid][job.Labels[mrev1.LabelRole]] = true
		}
		complete := 0
		for _, of := range roles {
			if of["ingest"] && of["worker"] && of["render"] {
				complete++
			}
		}
		return complete, nil
	})
	return running, err
}

// touch changes an Event's spec and returns the generation that the change made.
func (s *scale) touch(ctx context.Context, e *simulated) (int64, error) {
	base := e.event.DeepCopy()
	e.event.Spec.DeletionPolicy = mrev1.DeletionDelete
	if err := s.cluster.Patch(ctx, e.event, client.MergeFrom(base)); err != nil {
		return 0, fmt.Errorf("change Event %s: %w", e.event.Name, err)
	}
	return e.event.Generation, nil
}

func (s *scale) countEvents(ctx context.Context, fits func(*mrev1.Event) bool) (n int, err error) {
	var events mrev1.EventList
	if err := s.cluster.List(ctx, &events); err != nil {
		return 0, err
	}
	for i := range events.Items {
		if fits(&events.Items[i]) {
			n++
		}
	}
	return n, nil
}

// await waits until as many Events as there are count, and says from time to time how many do.
func (s *scale) await(ctx context.Context, what string, count func(context.Context) (int, error)) error {
	said := time.Now()
	return s.sim.Await(ctx, what, 2*time.Second, 20*time.Minute, func(ctx context.Context) (bool, error) {
		n, err := count(ctx)
		if err == nil && n < len(s.events) && time.Since(said) > 20*time.Second {
			said = time.Now()
			say("  until %s: %d of %d", what, n, len(s.events))
		}
		return n == len(s.events), err
	})
}

// each does something for every Event, a few at a time.
func (s *scale) each(ctx context.Context, do func(context.Context, *simulated) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(feeders)
	for _, e := range s.events {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error { return do(ctx, e) })
	}
	return g.Wait()
}
