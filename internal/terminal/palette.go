// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Tone is what a piece of text means to its reader.
type Tone int

// Tones. Most text is Plain: a colour is for what asks for attention.
const (
	Plain Tone = iota
	// Good has ended as it should.
	Good
	// Busy is at work or waits.
	Busy
	// Bad has failed.
	Bad
	// Faint is of less interest.
	Faint
	// Strong is a title.
	Strong
)

var escapes = map[Tone]string{Good: "\x1b[32m", Busy: "\x1b[33m", Bad: "\x1b[31m", Faint: "\x1b[2m", Strong: "\x1b[1m"}

// Palette colours text. The zero Palette leaves it as it is.
type Palette struct{ on bool }

// Coloured is a Palette that colours.
func Coloured() Palette { return Palette{on: true} }

// PaletteFor colours what goes to a terminal, unless NO_COLOR is set (https://no-color.org) or the terminal is dumb.
func PaletteFor(w io.Writer) Palette {
	return Palette{on: Is(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Paint colours a text.
func (p Palette) Paint(t Tone, text string) string {
	if !p.on || t == Plain || text == "" {
		return text
	}
	return escapes[t] + text + "\x1b[0m"
}

// Is says whether a writer is a terminal.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width is the number of columns of a terminal; 0 where there is none.
func Width(w io.Writer) int {
	width, _ := dimensions(w)
	return width
}

func dimensions(w io.Writer) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			return width, height
		}
	}
	return 0, 0
}

// escape is what colours and moves.
var escape = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

// Clean makes a text that came from elsewhere, such as the error of a plugin, one line that cannot steer the terminal.
func Clean(text string) string {
	return strings.Join(strings.FieldsFunc(escape.ReplaceAllString(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
}
