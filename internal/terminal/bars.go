// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	barLength = 30
	barDone   = "━"
	barLeft   = "─"
)

// Section is a title with bars, and lines below them.
type Section struct {
	Title string
	// Ended says that nothing moves any more.
	Ended bool
	Bars  []Bar
	Lines []Cell
}

// Bar is how much of something is done.
type Bar struct {
	Name string
	// Done of Of; nobody knows how much there is when Of is 0.
	Done, Of int64
	// Failed is the part of what is left that nobody works on any more.
	Failed int64
	// Format writes Done and Of; as numbers when it is nil.
	Format func(int64) string
	// Note stands right of the bar.
	Note string
}

func (b Bar) count() string {
	format := b.Format
	if format == nil {
		format = func(n int64) string { return fmt.Sprint(n) }
	}
	if b.Of == 0 {
		return format(b.Done)
	}
	return format(b.Done) + "/" + format(b.Of)
}

// Draw is the picture of sections, line by line. No line is longer than the width, unless that is 0.
func Draw(sections []Section, p Palette, width int) []string {
	var lines []string
	names, counts := columns(sections)
	for i, s := range sections {
		if i > 0 {
			lines = append(lines, "")
		}
		if s.Title != "" {
			lines = append(lines, p.Paint(Strong, cut(s.Title, width)))
		}
		for _, b := range s.Bars {
			head := "  " + text.Pad(b.Name, names, ' ') + "  "
			tail := "  " + text.AlignRight.Apply(b.count(), counts)
			if b.Note != "" {
				tail += "  " + b.Note
			}
			lines = append(lines, head+b.draw(p)+cut(tail, width-text.StringWidth(head)-barLength))
		}
		for _, l := range s.Lines {
			lines = append(lines, p.Paint(l.Tone, cut("  "+Clean(l.Text), width)))
		}
	}
	return lines
}

func columns(sections []Section) (names, counts int) {
	for _, s := range sections {
		for _, b := range s.Bars {
			names, counts = max(names, text.StringWidth(b.Name)), max(counts, text.StringWidth(b.count()))
		}
	}
	return names, counts
}

func (b Bar) draw(p Palette) string {
	if b.Of == 0 {
		return p.Paint(Faint, strings.Repeat(barLeft, barLength))
	}
	done := int(min(b.Done, b.Of) * barLength / b.Of)
	failed := 0
	if b.Failed > 0 {
		failed = min(max(1, int(b.Failed*barLength/b.Of)), barLength-done)
	}
	tone := Busy
	if b.Done+b.Failed >= b.Of {
		tone = Good
	}
	return p.Paint(tone, strings.Repeat(barDone, done)) + p.Paint(Bad, strings.Repeat(barDone, failed)) +
		p.Paint(Faint, strings.Repeat(barLeft, barLength-done-failed))
}

// cut shortens a text that has no colours yet.
func cut(s string, width int) string {
	if width <= 0 || text.StringWidth(s) <= width {
		return s
	}
	return text.Trim(s, width-1) + "…"
}
