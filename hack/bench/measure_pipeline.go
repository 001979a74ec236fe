// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// measurePipeline compares warm worker Jobs with one Kubernetes Job per chunk and plugin: the same match, store,
// plugins and image on the same node, from the registration of the first chunk to the last complete segment.
// Clips are left out on both sides.
func measurePipeline(ctx context.Context, b *bench) ([]Result, error) {
	runs := b.times(2)
	var ours, peer []float64
	for range runs {
		e, err := b.whole(ctx, "warm", b.chunks, mrev1.Skip)
		if err != nil {
			return nil, err
		}
		dataPlane, err := b.cluster.DataPlane()
		if err != nil {
			return nil, err
		}
		warm, err := chunkToSegment(ctx, dataPlane, string(e.UID))
		if err != nil {
			return nil, err
		}
		if err := b.remove(ctx, e); err != nil {
			return nil, err
		}
		steps, jobs, err := b.jobPerStep(ctx)
		if err != nil {
			return nil, err
		}
		say("  warm workers %.1f s, a Job per step %.1f s (%d Jobs)", warm, steps, jobs)
		ours, peer = append(ours, warm), append(peer, steps)
	}
	return []Result{against("pipeline-vs-job-per-step", "s", median(ours), median(peer), new(0.3), runs)}, nil
}

// chunkToSegment is the time from the first chunk's registration to the completion of the last segment, in seconds.
func chunkToSegment(ctx context.Context, d *client.Client, uid string) (float64, error) {
	chunks, err := d.Chunks(ctx, uid)
	if err != nil {
		return 0, err
	}
	segments, err := d.Segments(ctx, uid)
	if err != nil {
		return 0, err
	}
	if len(chunks) == 0 || chunks[0].ClosedAt == nil || len(segments) == 0 {
		return 0, errors.New("the Event has no chunks or no segments")
	}
	first, last := *chunks[0].ClosedAt, time.Time{}
	for _, c := range chunks {
		if c.ClosedAt != nil && c.ClosedAt.Before(first) {
			first = *c.ClosedAt
		}
	}
	for _, s := range segments {
		if s.CompletedAt == nil {
			return 0, fmt.Errorf("segment %s is not complete", s.ID)
		}
		if s.CompletedAt.After(last) {
			last = *s.CompletedAt
		}
	}
	return last.Sub(first).Seconds(), nil
}
