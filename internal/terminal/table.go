// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// gap is between two columns, as kubectl has it.
const gap = "   "

// Cell is a text with a meaning.
type Cell struct {
	Text string
	Tone Tone
}

// Table has aligned columns. A column whose cells are all numbers is aligned to the right.
type Table struct {
	columns []string
	rows    []row
}

// row is a line of cells, or a line of a note below one.
type row struct {
	cells []Cell
	note  *Cell
	// indent of the note's line within the note.
	indent int
}

// NewTable names the columns.
func NewTable(columns ...string) *Table { return &Table{columns: columns} }

// Row adds a line. A value is a Cell, or anything that fmt prints; nil is an empty cell.
func (t *Table) Row(values ...any) {
	cells := make([]Cell, len(t.columns))
	for i, v := range values {
		switch v := v.(type) {
		case nil:
		case Cell:
			cells[i] = Cell{Clean(v.Text), v.Tone}
		default:
			cells[i] = Cell{Text: Clean(fmt.Sprint(v))}
		}
	}
	t.rows = append(t.rows, row{cells: cells})
}

// maxIndent is how far a line of a note may be indented.
const maxIndent = 8

// Note adds a text below the last row, indented and outside of the columns. Its lines stay lines, so that a stack is
// read as one.
func (t *Table) Note(c Cell) {
	for line := range strings.Lines(c.Text) {
		if clean := Clean(line); clean != "" {
			indent := min(len(line)-len(strings.TrimLeft(line, " ")), maxIndent)
			t.rows = append(t.rows, row{note: &Cell{clean, c.Tone}, indent: indent})
		}
	}
}

// Empty says whether there are no rows.
func (t *Table) Empty() bool { return len(t.rows) == 0 }

// Write prints the table. Notes are wrapped at a width, unless it is 0.
func (t *Table) Write(w io.Writer, p Palette, width int) error {
	widths, right := t.measure()
	var out strings.Builder
	header := make([]Cell, len(t.columns))
	for i, c := range t.columns {
		header[i] = Cell{c, Faint}
	}
	writeRow(&out, header, widths, right, p)
	for _, r := range t.rows {
		if r.note == nil {
			writeRow(&out, r.cells, widths, right, p)
			continue
		}
		indent := strings.Repeat(" ", 4+r.indent)
		for _, line := range Wrap(r.note.Text, width-len(indent)) {
			out.WriteString(indent + p.Paint(r.note.Tone, line) + "\n")
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func (t *Table) measure() (widths []int, right []bool) {
	widths, right = make([]int, len(t.columns)), make([]bool, len(t.columns))
	for i, c := range t.columns {
		widths[i] = text.StringWidth(c)
		numbers := 0
		right[i] = true
		for _, r := range t.rows {
			if r.note != nil || r.cells[i].Text == "" {
				continue
			}
			widths[i] = max(widths[i], text.StringWidth(r.cells[i].Text))
			right[i] = right[i] && isNumber(r.cells[i].Text)
			numbers++
		}
		right[i] = right[i] && numbers > 0
	}
	return widths, right
}

func isNumber(s string) bool { return s == "-" || strings.Trim(s, "0123456789") == "" }

func writeRow(out *strings.Builder, cells []Cell, widths []int, right []bool, p Palette) {
	last := len(cells) - 1
	for last > 0 && cells[last].Text == "" {
		last--
	}
	for i, c := range cells[:last+1] {
		pad := strings.Repeat(" ", widths[i]-text.StringWidth(c.Text))
		switch {
		case right[i]:
			out.WriteString(pad + p.Paint(c.Tone, c.Text))
		case i == last:
			out.WriteString(p.Paint(c.Tone, c.Text))
		default:
			out.WriteString(p.Paint(c.Tone, c.Text) + pad)
		}
		if i < last {
			out.WriteString(gap)
		}
	}
	out.WriteString("\n")
}

// Wrap breaks a text into lines of a width, at spaces where there are some; it does not when the width is too small
// to be one.
func Wrap(s string, width int) []string {
	if width < 20 {
		return []string{s}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && text.StringWidth(line)+1+text.StringWidth(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
