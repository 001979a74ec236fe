// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// measureLatency delivers the match as fast as it plays, and measures from the registration of the chunk that
// completes a segment to the moment when the segment's clip can be fetched. Delivered at once, the chunks would
// queue and the figure would be that of the queue.
func measureLatency(ctx context.Context, b *bench) ([]Result, error) {
	m, err := fixture(ctx, b.chunks)
	if err != nil {
		return nil, err
	}
	url, stop, err := servePaced(ctx, b.nodeIP, m.Path, float64(b.chunks*chunkSeconds))
	if err != nil {
		return nil, err
	}
	defer stop()
	e, err := b.begin(ctx, "latency", url, mrev1.Render)
	if err != nil {
		return nil, err
	}
	if err := b.finish(ctx, e); err != nil {
		return nil, err
	}
	dataPlane, err := b.cluster.DataPlane()
	if err != nil {
		return nil, err
	}
	latencies, err := clipLatencies(ctx, dataPlane, string(e.UID))
	if err != nil {
		return nil, err
	}
	say("  %d clips, %.0f ms", len(latencies), median(latencies))
	return []Result{{
		Name: "chunk-to-clip-ms-p50", Unit: "ms", Ours: median(latencies), Runs: 1,
	}}, b.remove(ctx, e)
}

// clipLatencies are the milliseconds from a segment's last chunk to each of its clips.
func clipLatencies(ctx context.Context, d *client.Client, uid string) ([]float64, error) {
	chunks, err := d.Chunks(ctx, uid)
	if err != nil {
		return nil, err
	}
	segments, err := d.Segments(ctx, uid)
	if err != nil {
		return nil, err
	}
	clips, err := d.Clips(ctx, uid)
	if err != nil {
		return nil, err
	}
	closing := map[string]api.Chunk{}
	for _, s := range segments {
		for _, c := range chunks {
			if s.ClosedChunk != nil && c.Extent.Number == *s.ClosedChunk {
				closing[s.ID] = c
			}
		}
	}
	var out []float64
	for _, clip := range clips {
		chunk, known := closing[clip.SegmentID]
		if clip.RenderedAt == nil || !known || chunk.ClosedAt == nil {
			return nil, fmt.Errorf("clip %s of segment %s was not rendered", clip.Variant, clip.SegmentID)
		}
		out = append(out, float64(clip.RenderedAt.Sub(*chunk.ClosedAt).Microseconds())/1000)
	}
	if len(out) == 0 {
		return nil, errors.New("the match has no clips")
	}
	return out, nil
}
