// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func (d *demo) printResults() {
	for _, r := range d.runs {
		say("")
		if r.outcome != "" {
			say("Event %s failed: %s", r.name, r.outcome)
			continue
		}
		d.printEvent(r)
	}
	if d.sheet != "" {
		say("contact sheet  %s", d.sheet)
	}
	say("summary        %s", d.summaryPath())
	say("")
	t := newTable("Part", "Time")
	for _, p := range d.times.parts {
		t.AppendRow(table.Row{p.name, round(p.took)})
		if p.name != "pipeline" {
			continue
		}
		for _, r := range d.runs {
			t.AppendRow(table.Row{"  " + r.name, round(r.took)})
		}
	}
	t.AppendFooter(table.Row{"total", round(d.times.total())})
	t.Render()
}

func (d *demo) printEvent(r *eventRun) {
	say("Event %s: %d chunks, %d segments, %d clips in %s", r.name,
		r.state.Progress.ChunksProcessed, len(r.segments), r.state.Progress.ClipsRendered, round(r.took))
	if r.state.Timeline != nil {
		say("  stored by %s: %s", strings.ToLower(string(r.state.Timeline.Ingest)), r.state.Timeline.IngestReason)
	}
	clips := newTable("Segment", "Clip", "Start", "End", "Label", "Frames", "Location")
	below := ""
	for _, s := range r.segments {
		for _, c := range clipsOf(r.clips, s.ID) {
			location := value(c.Error)
			if c.Location != nil {
				below, location = splitLocation(*c.Location)
			}
			clips.AppendRow(table.Row{s.ID, fmt.Sprintf("%s %d", c.Variant, c.Track), clock(c.In.Micros), clock(c.Out.Micros),
				s.Label, c.Out.Frame - c.In.Frame, location})
		}
	}
	if len(r.segments) == 0 {
		say("  no key moment was found in it")
		return
	}
	clips.Render()
	say("locations are below %s", below)
	for _, reel := range r.reelFiles {
		say("reel           %s  (%dx%d, %s, %d frames, %d segments)", reel.path, reel.proof.Width, reel.proof.Height,
			clock(reel.proof.DurationMicros), reel.proof.Frames, r.reels.Selected)
	}
	if len(r.reelFiles) == 0 {
		say("no reel: %s", value(r.reels.Message))
	}
	for _, file := range r.exports {
		say("export         %s", file)
	}
}

// toTry are three commands that show more of what was made, and what they need first.
func (d *demo) toTry() []string {
	if len(d.runs) == 0 {
		return nil
	}
	lines := []string{"Look at it yourself:"}
	if d.setup != "" {
		lines = append(lines, "  "+d.setup)
	}
	event := d.runs[0].name
	return append(lines,
		fmt.Sprintf("  bin/kubectl-mre status %s -n %s", event, d.events),
		fmt.Sprintf("  bin/kubectl-mre explain %s 1 -n %s", event, d.events),
		fmt.Sprintf("  bin/kubectl-mre download %s -n %s -d %s", event, d.events, d.folder(d.runs[0])+"-download"))
}

func newTable(columns ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(os.Stdout)
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header, t.Style().Format.Footer = text.FormatDefault, text.FormatDefault
	t.AppendHeader(columns)
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "Frames", Align: text.AlignRight},
		{Name: "Time", Align: text.AlignRight, AlignFooter: text.AlignRight}})
	return t
}

func clipsOf(all []api.Clip, segment string) []api.Clip {
	var mine []api.Clip
	for _, c := range all {
		if c.SegmentID == segment {
			mine = append(mine, c)
		}
	}
	return mine
}

// splitLocation leaves out what all locations of an Event have in common: bucket, namespace and UID.
func splitLocation(location string) (below, rest string) {
	cut := strings.Index(location, "/clips/")
	if cut < 0 {
		return path.Dir(location), path.Base(location)
	}
	return location[:cut], location[cut+1:]
}

// clock writes microseconds as MM:SS.mmm.
func clock(micros int64) string {
	ms := (micros + 500) / 1000
	return fmt.Sprintf("%02d:%02d.%03d", ms/60000, ms/1000%60, ms%1000)
}

func round(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
