// SPDX-License-Identifier: Apache-2.0

package store

import (
	"math"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// pattern matches tasks of an Event by kind, plugin (empty: any), track
// (anyTrack) and chunk, first to last.
type pattern struct {
	kind        api.TaskKind
	plugin      string
	track       int32
	first, last int64
}

// matches says whether a task fits a pattern.
func (p pattern) matches(t *taskRow) bool {
	return p.kind == t.kind && (p.plugin == "" || p.plugin == t.plugin) &&
		(p.track == anyTrack || p.track == t.track) && p.first <= t.chunk && t.chunk <= p.last
}

// predecessors are the tasks that must be terminal before a framer, featurer,
// segmenter or final pass may start. A task that was never planned, such as
// one of an audio plugin where there is no audio, is not waited for.
//
// Optimizers and labelers wait for a point in time, not for tasks: see frontier.
func predecessors(p *plan, t *taskRow) []pattern {
	var out []pattern
	switch t.kind {
	case api.TaskKindFeaturer:
		q := p.byName[t.plugin]
		if readsSignals(q) {
			out = append(out, pattern{api.TaskKindFramer, "", anyTrack, t.chunk - int64(q.LookbackChunks), t.chunk})
		}
		for _, d := range q.DependsOn {
			out = append(out, pattern{api.TaskKindFeaturer, d, dependencyTrack(p, t, d), t.chunk, t.chunk})
		}
	case api.TaskKindSegmenter:
		out = append(out, pattern{api.TaskKindSegmenter, "", anyTrack, 0, t.chunk - 1})
		for _, d := range p.beforeSegmenter() {
			out = append(out, pattern{api.TaskKindFeaturer, d, anyTrack, t.chunk, t.chunk})
		}
	case api.TaskKindFinal:
		out = append(out, pattern{api.TaskKindSegmenter, "", anyTrack, 0, math.MaxInt64})
	}
	return out
}

// successors are the tasks that may wait for a task: the reverse of
// predecessors.
func successors(p *plan, t *taskRow) []pattern {
	var out []pattern
	switch t.kind {
	case api.TaskKindFramer:
		out = append(out, pattern{api.TaskKindFeaturer, "", anyTrack, t.chunk, t.chunk + p.maxLookback()})
	case api.TaskKindFeaturer:
		for _, q := range p.featurers() {
			if p.dependsOn(q.Name, t.plugin) {
				out = append(out, pattern{api.TaskKindFeaturer, q.Name, anyTrack, t.chunk, t.chunk})
			}
		}
		if slices.Contains(p.beforeSegmenter(), t.plugin) {
			out = append(out, pattern{api.TaskKindSegmenter, "", anyTrack, t.chunk, t.chunk})
		}
	case api.TaskKindSegmenter:
		// Later segmenters wait for the one right behind, so that is enough.
		out = append(out, pattern{api.TaskKindSegmenter, "", anyTrack, t.chunk + 1, t.chunk + 1},
			pattern{api.TaskKindFinal, "", anyTrack, 0, math.MaxInt64})
	}
	return out
}

// dependencyTrack is which tracks of a dependency a featurer waits for: an
// audio plugin reads an audio dependency of its own track, everything else
// reads all tracks.
func dependencyTrack(p *plan, t *taskRow, dependency string) int32 {
	if isAudio(p.byName[t.plugin]) && isAudio(p.byName[dependency]) {
		return t.track
	}
	return anyTrack
}

func isAudio(q *api.PlanPlugin) bool { return q != nil && q.MediaType == api.PlanPluginMediaTypeAudio }

// frontier is the point on the timeline up to which everything an optimizer or
// labeler reads is there: the start of the first chunk with an open task that
// it depends on. Without one it is the end of the closed chunks, or no limit
// once nothing more can come.
func frontier(openStarts []int64, closedEnd int64, ended bool) int64 {
	at := closedEnd
	if ended {
		at = math.MaxInt64
	}
	for _, s := range openStarts {
		at = min(at, s)
	}
	return at
}
