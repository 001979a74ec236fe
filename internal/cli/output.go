// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timecode"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

// outputFlag is -o.
type outputFlag struct{ format string }

func (f *outputFlag) add(cmd *cobra.Command, formats ...string) {
	cmd.Flags().StringVarP(&f.format, "output", "o", "",
		"Output format: "+strings.Join(formats, ", ")+"; a table for people when not set.")
	// The flag exists.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if f.format != "" && !slices.Contains(formats, f.format) {
			return exitError{fmt.Errorf("--output %q is not one of %s", f.format, strings.Join(formats, ", ")), exitUsage}
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
}

// machine says whether the output is for programs.
func (f *outputFlag) machine() bool { return f.format == "json" || f.format == "yaml" }

// print writes a value as JSON or YAML.
func (p *program) print(f outputFlag, v any) error {
	text, err := json.MarshalIndent(v, "", "    ")
	if err == nil && f.format == "yaml" {
		text, err = yaml.JSONToYAML(text)
	}
	if err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	_, err = fmt.Fprintln(p.Streams.Out, strings.TrimRight(string(text), "\n"))
	return err
}

// list is how lists are written for programs.
type list[T any] struct {
	Items []T `json:"items"`
}

func items[T any](all []T) list[T] { return list[T]{append([]T{}, all...)} }

// page writes titled blocks.
type page struct {
	p       *program
	palette terminal.Palette
	width   int
	err     error
	blocks  int
}

func (p *program) page() *page {
	return &page{p: p, palette: terminal.PaletteFor(p.Streams.Out), width: terminal.Width(p.Streams.Out)}
}

func (g *page) line(c terminal.Cell) {
	if g.err == nil {
		_, g.err = fmt.Fprintln(g.p.Streams.Out, g.palette.Paint(c.Tone, terminal.Clean(c.Text)))
	}
}

// block begins with an empty line and a title.
func (g *page) block(title string) {
	if g.err == nil && g.blocks > 0 {
		_, g.err = fmt.Fprintln(g.p.Streams.Out)
	}
	g.blocks++
	if title != "" {
		g.line(terminal.Cell{Text: title, Tone: terminal.Strong})
	}
}

func (g *page) table(t *terminal.Table) {
	if g.err == nil {
		g.err = t.Write(g.p.Streams.Out, g.palette, g.width)
	}
}

// bullets are texts of any length.
func (g *page) bullets(texts []string) {
	for _, text := range texts {
		for i, line := range terminal.Wrap(terminal.Clean(text), g.width-2) {
			lead := "- "
			if i > 0 {
				lead = "  "
			}
			if g.err == nil {
				_, g.err = fmt.Fprintln(g.p.Streams.Out, lead+line)
			}
		}
	}
}

// clock writes places on an Event's timeline.
type clock struct{ rate timeline.Rational }

func clockOf(t *api.Timeline) clock {
	if t == nil {
		return clock{}
	}
	return clock{timeline.Rational{Num: t.Rate.Num, Den: t.Rate.Den}.Reduce()}
}

// at is the time code of a mark: HH:MM:SS:FF, with a semicolon where it is drop-frame.
func (c clock) at(m api.Mark) string {
	if !c.rate.Valid() {
		return c.micros(m.Micros)
	}
	return timecode.Format(m.Frame, c.rate, true)
}

// micros is HH:MM:SS.mmm, for places that are no frame's start.
func (c clock) micros(us int64) string {
	ms := us / 1000
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// seconds is a length.
func seconds(micros int64) string { return fmt.Sprintf("%.1fs", float64(micros)/1e6) }

// took is a time that passed, short.
func took(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return duration.HumanDuration(d)
}

// age is how long ago something was, as kubectl says it.
func age(now, then time.Time) string {
	if then.IsZero() {
		return "<unknown>"
	}
	return duration.HumanDuration(now.Sub(then))
}

// size is a number of bytes for people.
func size(bytes int64) string {
	const unit = 1000
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, names := float64(bytes)/unit, "kMGTP"
	for value >= unit && len(names) > 1 {
		value, names = value/unit, names[1:]
	}
	return fmt.Sprintf("%.1f %cB", value, names[0])
}

// value is what a pointer points to, or nothing.
func value[T any](v *T) (none T) {
	if v != nil {
		return *v
	}
	return none
}
