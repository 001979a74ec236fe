// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	// pluginsPerChunk is what a pod per step would run on every chunk: two featurers and the segmenter.
	pluginsPerChunk = 3
	// settle is how long after an Event's end its last writes may come.
	settle = 15 * time.Second
)

// measureAPI counts what an Event costs the API server: its pods, against a pod for each chunk and plugin, and
// the writes of all our parts as the slope between two lengths of the same match.
func measureAPI(ctx context.Context, b *bench) ([]Result, error) {
	type cost struct{ writes, pods int }
	count := func(name string, chunks int) (c cost, err error) {
		// The match is generated and uploaded before the clock starts.
		m, err := fixture(ctx, chunks)
		if err != nil {
			return c, err
		}
		if _, err := b.upload(ctx, m.Path); err != nil {
			return c, err
		}
		from := time.Now()
		e, err := b.whole(ctx, name, chunks, mrev1.Render)
		if err != nil {
			return c, err
		}
		if err := pause(ctx, settle); err != nil {
			return c, err
		}
		to := time.Now()
		if c.writes, err = countAudit(b.auditLog, from, to, b.ourWrite); err != nil {
			return c, err
		}
		if c.pods, err = countAudit(b.auditLog, from, to, b.podCreated); err != nil {
			return c, err
		}
		say("  %d chunks: %d API writes by our parts, %d pods", chunks, c.writes, c.pods)
		return c, b.remove(ctx, e)
	}
	short, err := count("api-short", b.chunks)
	if err != nil {
		return nil, err
	}
	long, err := count("api-long", b.longChunks)
	if err != nil {
		return nil, err
	}
	slope := float64(long.writes-short.writes) / float64(b.longChunks-b.chunks)
	return []Result{
		against("pods-per-event", fmt.Sprintf("pods, %d chunks", b.chunks), float64(short.pods),
			float64(b.chunks*pluginsPerChunk), nil, 1),
		{Name: "api-writes-per-chunk", Unit: "writes", Ours: slope, Goal: new(1.0), Runs: 1},
	}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
