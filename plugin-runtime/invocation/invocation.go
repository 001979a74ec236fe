// SPDX-License-Identifier: Apache-2.0

// Package invocation is one run of a plugin on one task: what the plugin is given, and what it has written so
// far.
//
// What a plugin writes during a run is held back here, visible to that run alone. It reaches the data plane
// with the task's completion, or not at all: a run that fails, or whose worker dies, leaves nothing behind.
package invocation

import (
	"errors"
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Media is a chunk as one file.
type Media struct {
	// Path of the file in the pod, as agent and plugins both see it.
	Path string
	// Name is the file's name, which ends in _NNNNN and one extension: MRE plugins read the chunk's number
	// from it.
	Name string
	// Bytes is its size.
	Bytes int64
}

// Run is safe for use by several goroutines: the Runtime API and the façade serve it side by side.
type Run struct {
	Lease    api.Lease
	Plan     *api.Plan
	Plugin   *api.PlanPlugin
	Track    int32
	Media    *Media // nil where no media came
	Deadline time.Time

	staged staged
}

// New opens a run for a lease of a plugin's task.
func New(lease api.Lease, plan *api.Plan, media *Media, deadline time.Time) (*Run, error) {
	r := &Run{Lease: lease, Plan: plan, Media: media, Deadline: deadline}
	in := lease.Input
	switch {
	case in.Featurer != nil:
		r.Plugin, r.Track = &in.Featurer.Plugin, in.Featurer.Track
	case in.Segmenter != nil:
		r.Plugin = &in.Segmenter.Plugin
	case in.Optimizer != nil:
		r.Plugin, r.Track = &in.Optimizer.Plugin, in.Optimizer.Track
	case in.Labeler != nil:
		r.Plugin = &in.Labeler.Plugin
	default:
		return nil, fmt.Errorf("a task of kind %s has no plugin", lease.Kind)
	}
	if lease.Media == nil {
		return nil, errors.New("the data plane gave no chunk with the task: is it older than this worker?")
	}
	return r, nil
}

// ID names the run to the plugin: task and attempt.
func (r *Run) ID() string { return fmt.Sprintf("%d-%d", r.Lease.TaskID, r.Lease.Attempt) }

// Chunk is the chunk that the run looks at.
func (r *Run) Chunk() api.ChunkExtent { return r.Lease.Media.Chunk }

// Timeline is the Event's timeline as far as the chunk reaches.
func (r *Run) Timeline() api.Timeline { return r.Lease.Media.Timeline }
