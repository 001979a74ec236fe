// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

func (p *program) segmentsCommand() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "segments EVENT",
		Short: "List the segments of an Event, with their marks and labels",
		Long: p.text(`
			List the segments of an Event in their order. Each has the marks of the segmenter, and those of the optimizer
			below. Times are time codes of the Event's frame rate; an end is the first frame that is not in it.`),
		Example: p.examples(`
			{mre} segments final

			# The labels alone
			{mre} segments final -o json | jq -r '.items[].label'`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			s, event, err := p.openEvent(ctx, args[0])
			if err != nil {
				return err
			}
			segments, err := s.DataPlane.Segments(ctx, string(event.UID))
			if err != nil {
				return err
			}
			state, err := s.DataPlane.Event(ctx, string(event.UID))
			if err != nil {
				return err
			}
			return p.rows(output, items(segments), segmentTable(segments, clockOf(state.Timeline)), "no segments", event.Name)
		},
	}
	output.add(cmd, "json", "yaml")
	return cmd
}

func (p *program) clipsCommand() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "clips EVENT",
		Short: "List the clips of an Event, and where they are",
		Long: p.text(`
			List the clips of an Event by segment, with their marks, state and location. Locations are shown below their
			common beginning; -o wide shows them whole. To fetch clips, see download.`),
		Example: p.examples(`
			{mre} clips final

			# The locations alone
			{mre} clips final -o json | jq -r '.items[].location'`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			s, event, err := p.openEvent(ctx, args[0])
			if err != nil {
				return err
			}
			clips, err := s.DataPlane.Clips(ctx, string(event.UID))
			if err != nil {
				return err
			}
			state, err := s.DataPlane.Event(ctx, string(event.UID))
			if err != nil {
				return err
			}
			below := ""
			if output.format != "wide" {
				below = commonFolder(clips)
			}
			if err := p.rows(output, items(clips), clipTable(clips, clockOf(state.Timeline), below), "no clips",
				event.Name); err != nil || output.machine() {
				return err
			}
			if below != "" {
				g := p.page()
				g.line(terminal.Cell{Text: "Locations are below " + below, Tone: terminal.Faint})
				return g.err
			}
			return nil
		},
	}
	output.add(cmd, "json", "yaml", "wide")
	return cmd
}

func (p *program) resultsCommand() *cobra.Command {
	var output outputFlag
	var plugin string
	cmd := &cobra.Command{
		Use:   "results EVENT",
		Short: "List what the plugins found",
		Example: p.examples(`
			{mre} results final

			# Of one plugin
			{mre} results final --plugin detect-scene-change`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			s, event, err := p.openEvent(ctx, args[0])
			if err != nil {
				return err
			}
			results, err := s.DataPlane.Results(ctx, string(event.UID), plugin)
			if err != nil {
				return err
			}
			state, err := s.DataPlane.Event(ctx, string(event.UID))
			if err != nil {
				return err
			}
			none := "no results"
			if plugin != "" {
				none += " of plugin " + plugin
			}
			return p.rows(output, items(results), resultTable(results, clockOf(state.Timeline)), none, event.Name)
		},
	}
	cmd.Flags().StringVar(&plugin, "plugin", "", "Only the results of this plugin.")
	output.add(cmd, "json", "yaml")
	return cmd
}

// rows prints a list for programs or for people.
func (p *program) rows(output outputFlag, all any, t *terminal.Table, none, event string) error {
	if output.machine() {
		return p.print(output, all)
	}
	if t.Empty() {
		fmt.Fprintf(p.Streams.ErrOut, "Event %s has %s yet.\n", event, none)
		return nil
	}
	g := p.page()
	g.table(t)
	return g.err
}

func segmentTable(segments []api.Segment, c clock) *terminal.Table {
	t := terminal.NewTable("SEGMENT", "STATE", "MARKS BY", "IN", "OUT", "LENGTH", "CHUNKS", "CLOSED BY", "LABEL")
	for i := range segments {
		s := &segments[i]
		state := terminal.Cell{Text: string(s.State)}
		out, length, chunks := "", "", fmt.Sprintf("%d-", s.OpenedChunk)
		if s.State == api.SegmentStateOpen {
			state.Tone = terminal.Busy
		}
		if s.Out != nil {
			out, length = c.at(*s.Out), seconds(s.Out.Micros-s.In.Micros)
		}
		if s.ClosedChunk != nil {
			chunks = fmt.Sprintf("%d-%d", s.OpenedChunk, *s.ClosedChunk)
		}
		t.Row(s.ID, state, "segmenter", c.at(s.In), out, length, chunks, value(s.CloseReason), s.Label)
		for _, o := range s.Optimized {
			by := "optimizer"
			if o.Track > 0 {
				by = fmt.Sprintf("optimizer, track %d", o.Track)
			}
			t.Row(nil, nil, by, c.at(o.In), c.at(o.Out), seconds(o.Out.Micros-o.In.Micros), nil, nil, nil)
		}
	}
	return t
}

func clipTable(clips []api.Clip, c clock, below string) *terminal.Table {
	t := terminal.NewTable("SEGMENT", "CLIP", "TRACK", "STATE", "IN", "OUT", "FRAMES", "SIZE", "LOCATION")
	for i := range clips {
		clip := &clips[i]
		state := terminal.Cell{Text: string(clip.State)}
		switch clip.State {
		case api.ClipStatePending:
			state.Tone = terminal.Busy
		case api.ClipStateFailed:
			state.Tone = terminal.Bad
		}
		bytes := ""
		if clip.Proof != nil {
			bytes = size(clip.Proof.Bytes)
		}
		t.Row(clip.SegmentID, clip.Variant, trackText(clip.Track), state, c.at(clip.In), c.at(clip.Out),
			clip.Out.Frame-clip.In.Frame, bytes, strings.TrimPrefix(value(clip.Location), below))
		if clip.Error != nil {
			t.Note(terminal.Cell{Text: *clip.Error, Tone: terminal.Bad})
		}
	}
	return t
}

// commonFolder is what all locations of clips begin with: bucket, namespace and UID.
func commonFolder(clips []api.Clip) string {
	for i := range clips {
		location := value(clips[i].Location)
		if cut := strings.Index(location, "/clips/"); cut >= 0 {
			return location[:cut+1]
		}
	}
	return ""
}

func resultTable(results []api.StoredResult, c clock) *terminal.Table {
	t := terminal.NewTable("START", "END", "PLUGIN", "TRACK", "CHUNK", "ATTRIBUTES")
	for i := range results {
		r := &results[i]
		end := ""
		if r.Result.End.Frame > r.Result.Start.Frame {
			end = c.at(r.Result.End)
		}
		t.Row(c.at(r.Result.Start), end, r.Plugin, trackText(r.Track), r.Chunk, attributesText(r.Result.Attributes))
	}
	return t
}

// trackText is the number of an audio track, or nothing for video.
func trackText(track int32) string {
	if track == 0 {
		return "-"
	}
	return fmt.Sprint(track)
}

// attributesText is NAME=VALUE by name.
func attributesText(attributes map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		text, isText := attributes[name].(string)
		if !isText {
			encoded, err := json.Marshal(attributes[name])
			if err != nil {
				encoded = fmt.Append(nil, attributes[name])
			}
			text = string(encoded)
		}
		parts = append(parts, name+"="+text)
	}
	return strings.Join(parts, " ")
}
