// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"golang.org/x/term"
)

// plainEvery is how often a line is written where there is no terminal to redraw.
const plainEvery = 5 * time.Second

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

// view shows how far the Events are.
type view interface {
	show()
	stop()
}

func newView(runs []*eventRun) view {
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return newBars(runs)
	}
	return &plain{runs: runs, began: time.Now()}
}

// bars are redrawn in place: a bar for every Event and stage.
type bars struct {
	runs     []*eventRun
	writer   progress.Writer
	trackers [][]*progress.Tracker
}

func newBars(runs []*eventRun) *bars {
	b := &bars{runs: runs, writer: progress.NewWriter()}
	b.writer.SetOutputWriter(os.Stdout)
	b.writer.SetTrackerLength(30)
	b.writer.SetMessageLength(28)
	b.writer.SetUpdateFrequency(250 * time.Millisecond)
	b.writer.SetStyle(progress.StyleBlocks)
	b.writer.Style().Visibility.ETA = false
	b.writer.Style().Options.PercentFormat = "%3.0f%%"
	for _, r := range runs {
		var mine []*progress.Tracker
		for _, stage := range stages {
			// Totals grow while the work goes on, so that reaching one does not mean the end.
			mine = append(mine, &progress.Tracker{Message: r.name + "  " + stage.name, AutoStopDisabled: true})
		}
		b.writer.AppendTrackers(mine)
		b.trackers = append(b.trackers, mine)
	}
	go b.writer.Render()
	return b
}

func (b *bars) show() {
	for i, r := range b.runs {
		for j, stage := range stages {
			done, of := stage.count(r)
			tracker := b.trackers[i][j]
			tracker.UpdateTotal(of)
			tracker.SetValue(done)
			switch {
			case r.finished && r.outcome != "":
				tracker.MarkAsErrored()
			case r.finished:
				tracker.MarkAsDone()
			}
		}
	}
}

func (b *bars) stop() {
	b.writer.Stop()
	for b.writer.IsRenderInProgress() {
		time.Sleep(10 * time.Millisecond)
	}
}

// plain writes a line now and then.
type plain struct {
	runs  []*eventRun
	began time.Time
	last  time.Time
}

func (p *plain) show() {
	if time.Since(p.last) < plainEvery && !allFinished(p.runs) {
		return
	}
	p.last = time.Now()
	for _, r := range p.runs {
		var line strings.Builder
		fmt.Fprintf(&line, "%4ds  %-10s", int(time.Since(p.began).Seconds()), r.name)
		for _, stage := range stages {
			done, of := stage.count(r)
			fmt.Fprintf(&line, "  %s %d/%d", stage.name, done, of)
		}
		say("%s", line.String())
	}
}

func (p *plain) stop() {}
