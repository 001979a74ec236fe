// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/mre-operator/mre-operator/internal/terminal"
)

// stages of an Event that have a bar.
var stages = []struct {
	name  string
	count func(*eventRun) (done, of int64)
}{
	{"chunks stored", func(r *eventRun) (int64, int64) { return r.state.Progress.ChunksIngested, r.chunksInAll() }},
	{"chunks analysed", func(r *eventRun) (int64, int64) { return r.state.Progress.ChunksProcessed, r.chunksInAll() }},
	{"segments", func(r *eventRun) (int64, int64) {
		p := r.state.Progress
		return p.SegmentsComplete, p.SegmentsComplete + p.SegmentsOpen
	}},
	{"clips", func(r *eventRun) (int64, int64) { return r.state.Progress.ClipsRendered, r.state.Progress.ClipsWanted }},
	{"reels", func(r *eventRun) (int64, int64) { return r.state.Progress.ReelsRendered, r.state.Progress.ReelsWanted }},
}

// chunksInAll is exact once the source has ended.
func (r *eventRun) chunksInAll() int64 {
	p := r.state.Progress
	if r.state.SourceEnded != nil && *r.state.SourceEnded {
		return p.ChunksIngested
	}
	return max(r.expectedChunks, p.ChunksIngested)
}

// picture is a section for every Event, with a bar for every stage.
func picture(runs []*eventRun) []terminal.Section {
	var sections []terminal.Section
	for _, r := range runs {
		s := terminal.Section{Title: r.name, Ended: r.finished}
		for _, stage := range stages {
			done, of := stage.count(r)
			s.Bars = append(s.Bars, terminal.Bar{Name: stage.name, Done: done, Of: of})
		}
		if r.outcome != "" {
			s.Lines = append(s.Lines, terminal.Cell{Text: r.outcome, Tone: terminal.Bad})
		}
		sections = append(sections, s)
	}
	return sections
}
