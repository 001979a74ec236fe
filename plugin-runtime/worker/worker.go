// SPDX-License-Identifier: Apache-2.0

// Package worker runs the analysis tasks of a worker Job: the framer, which
// decodes a chunk once, the built-in plugins, which read its signals, and
// plugins in containers, which get the chunk.
package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/framer"
	"github.com/mre-operator/mre-operator/internal/unitcache"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
	"github.com/mre-operator/mre-operator/plugin-runtime/builtin"
	"github.com/mre-operator/mre-operator/plugin-runtime/container"
)

// Runner implements agent.Runner for the work pool.
type Runner struct {
	units *unitcache.Cache
	// chunk is the last one that was framed: its units, and the one before
	// the next chunk, are on the disk.
	chunk atomic.Int64
	// containers run the plugins that are not built in; nil without any.
	containers *container.Set
}

// New keeps units in the scratch folder.
func New(scratch string, cacheBytes int64) (*Runner, error) {
	units, err := unitcache.New(filepath.Join(scratch, "units"), cacheBytes)
	if err != nil {
		return nil, err
	}
	return &Runner{units: units}, nil
}

// Units are those on the disk.
func (r *Runner) Units() *unitcache.Cache { return r.units }

// UseContainers lets tasks of plugins in containers be run by them.
func (r *Runner) UseContainers(s *container.Set) { r.containers = s }

// KeepsTime implements agent.Timekeeper: a plugin in a container may have to
// start first.
func (r *Runner) KeepsTime(lease api.Lease) bool {
	p := pluginOf(lease.Input)
	return p != nil && p.Container != nil
}

// pluginOf is the plugin of a task, or nil.
func pluginOf(in api.TaskInput) *api.PlanPlugin {
	switch {
	case in.Featurer != nil:
		return &in.Featurer.Plugin
	case in.Segmenter != nil:
		return &in.Segmenter.Plugin
	case in.Optimizer != nil:
		return &in.Optimizer.Plugin
	case in.Labeler != nil:
		return &in.Labeler.Plugin
	}
	return nil
}

// Chunk implements agent.Runner.
func (r *Runner) Chunk() int64 { return r.chunk.Load() }

// Run implements agent.Runner.
func (r *Runner) Run(ctx context.Context, lease api.Lease) (api.TaskOutput, error) {
	in := lease.Input
	if p := pluginOf(in); p != nil && p.Container != nil {
		return r.contained(ctx, p.Name, lease)
	}
	switch {
	case in.Framer != nil:
		return r.frame(ctx, *in.Framer)
	case in.Featurer != nil:
		p, err := plugin[builtin.Featurer](in.Featurer.Plugin)
		if err != nil {
			return api.TaskOutput{}, err
		}
		results, err := p.Feature(*in.Featurer)
		return api.TaskOutput{Results: results}, err
	case in.Segmenter != nil:
		p, err := plugin[builtin.Segmenter](in.Segmenter.Plugin)
		if err != nil {
			return api.TaskOutput{}, err
		}
		segments, err := p.Segment(*in.Segmenter)
		return api.TaskOutput{Segments: segments}, err
	case in.Optimizer != nil:
		p, err := plugin[builtin.Optimizer](in.Optimizer.Plugin)
		if err != nil {
			return api.TaskOutput{}, err
		}
		marks, err := p.Optimize(*in.Optimizer)
		return api.TaskOutput{Optimized: marks}, err
	case in.Labeler != nil:
		p, err := plugin[builtin.Labeler](in.Labeler.Plugin)
		if err != nil {
			return api.TaskOutput{}, err
		}
		labels, err := p.Label(*in.Labeler)
		return api.TaskOutput{Labels: labels}, err
	}
	return api.TaskOutput{},
		agent.Permanent(fmt.Errorf("this worker cannot do a task of kind %q: is it older than the data plane?", lease.Kind))
}

// contained runs a plugin in its container.
func (r *Runner) contained(ctx context.Context, name string, lease api.Lease) (api.TaskOutput, error) {
	if r.containers == nil {
		return api.TaskOutput{},
			agent.Permanent(fmt.Errorf("plugin %s runs in a container, and this worker's pod was made without any", name))
	}
	out, err := r.containers.Run(ctx, name, lease)
	if lease.Media != nil && len(lease.Media.Units) > 0 {
		r.chunk.Store(lease.Media.Chunk.Number)
	}
	return out, err
}

// plugin finds the built-in of a class.
func plugin[T builtin.Builtin](p api.PlanPlugin) (T, error) {
	var none T
	b, ok := builtin.Lookup(p.Builtin)
	if !ok {
		return none, agent.Permanent(fmt.Errorf("plugin %s: there is no built-in %q in this worker; it knows %v",
			p.Name, p.Builtin, builtin.Names()))
	}
	t, ok := b.(T)
	if !ok {
		return none, agent.Permanent(fmt.Errorf("plugin %s: the built-in %q is a %s, not a %s", p.Name,
			p.Builtin, b.Class(), p.Class))
	}
	if err := b.Validate(p.Configuration); err != nil {
		return none, agent.Permanent(fmt.Errorf("plugin %s: %w", p.Name, err))
	}
	return t, nil
}

// frame decodes a chunk once and returns its signals.
func (r *Runner) frame(ctx context.Context, in api.FramerInput) (api.TaskOutput, error) {
	refs := in.Units
	if in.PreviousUnit != nil {
		refs = append([]api.UnitRef{*in.PreviousUnit}, in.Units...)
	}
	paths, release, err := r.units.Get(ctx, refs)
	if err != nil {
		return api.TaskOutput{}, err
	}
	defer release()
	files := make([]framer.UnitFile, len(refs))
	for i, ref := range refs {
		files[i] = framer.UnitFile{Path: paths[i], FirstTicks: ref.FirstTicks, FirstFrame: ref.FirstFrame}
	}
	var prev *framer.UnitFile
	if in.PreviousUnit != nil {
		prev, files = &files[0], files[1:]
	}
	s, err := framer.Frame(ctx, files, prev, in.Timeline.Clock())
	if err != nil {
		return api.TaskOutput{}, fmt.Errorf("frame chunk %d: %w", in.Chunk.Number, err)
	}
	body, err := json.Marshal(s)
	if err != nil {
		return api.TaskOutput{}, fmt.Errorf("write the signals of chunk %d: %w", in.Chunk.Number, err)
	}
	r.chunk.Store(in.Chunk.Number)
	raw := json.RawMessage(body)
	return api.TaskOutput{Signals: &raw}, nil
}
