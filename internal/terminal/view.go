// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Where there is no terminal to redraw, a line is written this often when something changed, and as seldom as
// plainAnyway when nothing did.
const (
	plainEvery  = 5 * time.Second
	plainAnyway = time.Minute
)

// View shows sections that change.
type View interface {
	// Show draws the sections as they are now.
	Show([]Section)
	// Stop leaves the last picture.
	Stop()
}

// NewView redraws in place on a terminal, and writes lines elsewhere.
func NewView(w io.Writer) View {
	if Is(w) {
		return &live{w: w, palette: PaletteFor(w)}
	}
	return &plain{w: w, began: time.Now(), now: time.Now}
}

// live draws over the picture before.
type live struct {
	w       io.Writer
	palette Palette
	drawn   int
}

func (l *live) Show(sections []Section) {
	width, height := dimensions(l.w)
	lines := Draw(sections, l.palette, width)
	if height > 1 {
		lines = lines[:min(len(lines), height-1)] // what has scrolled away cannot be drawn over
	}
	var out strings.Builder
	if l.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", l.drawn)
	}
	for _, line := range lines {
		out.WriteString("\r\x1b[2K" + line + "\n")
	}
	out.WriteString("\x1b[J")
	l.drawn = len(lines)
	_, _ = io.WriteString(l.w, out.String()) // a picture that is not seen is no failure
}

func (l *live) Stop() { l.drawn = 0 }

// plain writes a line for each section now and then.
type plain struct {
	w           io.Writer
	now         func() time.Time
	began, last time.Time
	said        string
	unsaid      string
}

func (p *plain) Show(sections []Section) {
	text, ended := p.lines(sections)
	p.unsaid = ""
	if text == p.said && p.now().Sub(p.last) < plainAnyway {
		return
	}
	if !ended && p.now().Sub(p.last) < plainEvery {
		p.unsaid = text
		return
	}
	p.say(text)
}

// lines are the sections in a line each, and the lines below them.
func (p *plain) lines(sections []Section) (text string, ended bool) {
	var out strings.Builder
	ended = true
	for _, s := range sections {
		ended = ended && s.Ended
		var parts []string
		if s.Title != "" {
			parts = append(parts, s.Title)
		}
		for _, b := range s.Bars {
			parts = append(parts, b.Name+" "+b.count())
		}
		out.WriteString(strings.Join(parts, "  ") + "\n")
		for _, l := range s.Lines {
			out.WriteString("  " + Clean(l.Text) + "\n")
		}
	}
	return out.String(), ended
}

func (p *plain) say(text string) {
	since := fmt.Sprintf("%5ds  ", int(p.now().Sub(p.began).Seconds()))
	for line := range strings.Lines(text) {
		_, _ = io.WriteString(p.w, since+line)
		since = strings.Repeat(" ", len(since))
	}
	p.last, p.said, p.unsaid = p.now(), text, ""
}

func (p *plain) Stop() {
	if p.unsaid != "" {
		p.say(p.unsaid)
	}
}
