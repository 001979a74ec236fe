// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

// stage counts the tasks of a part of the pipeline.
type stage struct {
	Name string `json:"name"`
	// Done of Total; Total is 0 while nobody knows it.
	Done    int64 `json:"done"`
	Total   int64 `json:"total"`
	Running int64 `json:"running"`
	Ready   int64 `json:"ready"`
	Blocked int64 `json:"blocked"`
	Failed  int64 `json:"failed"`
	Skipped int64 `json:"skipped"`
}

// stageNames are the parts of the pipeline in their order, by kind of task. The final pass belongs to the segmenter.
var stageNames = []struct {
	kind api.TaskKind
	name string
	// always says that the stage is shown before it has tasks.
	always bool
}{
	{api.TaskKindFramer, "framer", false},
	{api.TaskKindFeaturer, "featurers", true},
	{api.TaskKindSegmenter, "segmenter", true},
	{api.TaskKindOptimizer, "optimizer", false},
	{api.TaskKindLabeler, "labeler", false},
	{api.TaskKindClip, "clips", true},
	{api.TaskKindReel, "reels", false},
	{api.TaskKindExport, "exports", false},
}

// stagesOf counts what is known of an Event. With perPlugin, every featurer is a stage of its own.
func stagesOf(state api.EventState, tasks []api.Task, perPlugin bool) []stage {
	p := state.Progress
	ingest := stage{Name: "ingest", Done: p.ChunksIngested - p.ChunksMissing, Skipped: p.ChunksMissing}
	if value(state.SourceEnded) {
		ingest.Total = p.ChunksIngested
	} else if state.Timeline != nil {
		ingest.Running = 1
	}
	stages := []stage{ingest}
	for _, s := range stageNames {
		var group []stage
		for i := range tasks {
			t := &tasks[i]
			if t.Kind == s.kind || t.Kind == api.TaskKindFinal && s.kind == api.TaskKindSegmenter {
				name := s.name
				if perPlugin && t.Kind == api.TaskKindFeaturer {
					name = featurerName(t)
				}
				group = count(group, name, t.State)
			}
		}
		slices.SortStableFunc(group, func(a, b stage) int { return strings.Compare(a.Name, b.Name) })
		if len(group) == 0 && s.always {
			group = []stage{{Name: s.name}}
		}
		switch {
		case s.kind == api.TaskKindClip:
			// A clip whose marks moved is rendered again: its rows count, not its tasks.
			group[0].Done, group[0].Total, group[0].Failed = p.ClipsRendered, p.ClipsWanted, p.ClipsFailed
		case s.kind == api.TaskKindReel && (len(group) > 0 || p.ReelsWanted > 0):
			// The same for a Replay's plan.
			if len(group) == 0 {
				group = []stage{{Name: s.name}}
			}
			group[0].Done, group[0].Total = p.ReelsRendered, p.ReelsWanted
		}
		stages = append(stages, group...)
	}
	return stages
}

func featurerName(t *api.Task) string {
	if t.Track > 0 {
		return fmt.Sprintf("featurer %s (track %d)", t.Plugin, t.Track)
	}
	return "featurer " + t.Plugin
}

func count(group []stage, name string, state api.TaskState) []stage {
	i := slices.IndexFunc(group, func(s stage) bool { return s.Name == name })
	if i < 0 {
		group, i = append(group, stage{Name: name}), len(group)
	}
	s := &group[i]
	s.Total++
	switch state {
	case api.TaskStateDone:
		s.Done++
	case api.TaskStateLeased:
		s.Running++
	case api.TaskStateReady:
		s.Ready++
	case api.TaskStateBlocked:
		s.Blocked++
	case api.TaskStateFailed:
		s.Failed++
	case api.TaskStateSkipped:
		s.Skipped++
	}
	return group
}

// bar is the stage while it is watched.
func (s stage) bar() terminal.Bar {
	var notes []string
	for _, n := range []struct {
		count int64
		what  string
	}{{s.Running, "at work"}, {s.Failed, "failed"}, {s.Skipped, "skipped"}} {
		if n.count > 0 {
			notes = append(notes, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	return terminal.Bar{Name: s.Name, Done: s.Done, Of: s.Total,
		Failed: s.Failed + s.Skipped, Note: strings.Join(notes, ", ")}
}

// deadLetters are the tasks that failed for good.
func deadLetters(tasks []api.Task) []api.Task {
	var dead []api.Task
	for _, t := range tasks {
		if t.State == api.TaskStateFailed {
			dead = append(dead, t)
		}
	}
	return dead
}

// taskWhat says what a task does, beside the column with its chunk.
func taskWhat(t *api.Task) string {
	parts := []string{string(t.Kind)}
	for _, part := range []string{t.Plugin, t.Subject} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if t.Track > 0 {
		parts = append(parts, fmt.Sprintf("(track %d)", t.Track))
	}
	return strings.Join(parts, " ")
}

// taskName says which task it is.
func taskName(t *api.Task) string {
	name := string(t.Kind)
	if t.Plugin != "" {
		name += " " + t.Plugin
	}
	if t.Track > 0 {
		name += fmt.Sprintf(" of track %d", t.Track)
	}
	if t.Subject != "" {
		return name + " of " + t.Subject
	}
	return name + " of chunk " + fmt.Sprint(t.Chunk)
}
