// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// measureCPU compares the CPU time of ingest and analysis with that of one plain decode of the same file.
func measureCPU(ctx context.Context, b *bench) ([]Result, error) {
	m, err := fixture(ctx, b.chunks)
	if err != nil {
		return nil, err
	}
	runs := b.times(3)
	var ours, peer []float64
	for range runs {
		decode, err := decodeCPU(ctx, m.Path)
		if err != nil {
			return nil, err
		}
		peer = append(peer, decode)
		used, err := b.pipelineCPU(ctx)
		if err != nil {
			return nil, err
		}
		ours = append(ours, used)
		say("  ingest and analysis %.1f CPU-s, one decode %.1f CPU-s", used, decode)
	}
	return []Result{against("analysis-vs-decode", "CPU-s", median(ours), median(peer), nil, runs)}, nil
}

// pipelineCPU is the CPU time of the ingest and worker pods of one Event.
func (b *bench) pipelineCPU(ctx context.Context) (float64, error) {
	sampling, stop := context.WithCancel(ctx)
	defer stop()
	s := b.sampleCPU(sampling)
	e, err := b.whole(ctx, "cpu", b.chunks, mrev1.Skip)
	if err != nil {
		return 0, err
	}
	used, err := s.seconds("ingest", "worker")
	if err != nil {
		return 0, err
	}
	return used, b.remove(ctx, e)
}
