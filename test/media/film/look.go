// SPDX-License-Identifier: Apache-2.0

// Package film draws the pictures and makes the sound of test films whose every picture and sample can be told from
// all others, and says what is right for them.
package film

import (
	"math"

	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// Where things are in every picture, as fractions of it, so that they are found again in a picture of any size. All
// that is judged lies in the middle 31 %, which a vertical crop keeps.
const (
	// CodeLeft, CodeTop, CodeRight and CodeBottom bound the code of the picture's number.
	CodeLeft   = 0.355
	CodeTop    = 0.05  // see CodeLeft
	CodeRight  = 0.645 // see CodeLeft
	CodeBottom = 0.20  // see CodeLeft
	// BandTop and BandBottom bound a black band with a white bar that moves from field to field.
	BandTop    = 0.26
	BandBottom = 0.44 // see BandTop
	barWidth   = 0.06
	barStep    = 0.013
	// SquareX and SquareY are the centre of a white square on black, square as it is shown. The sides are fractions of
	// the picture's height.
	SquareX    = 0.5
	SquareY    = 0.72 // see SquareX
	squareSide = 0.36
	fieldSide  = 0.46
	// gray is the background's brightness between black and white.
	gray = 0.4
)

// Look is how the pictures of a film are stored.
type Look struct {
	Width, Height int
	// PixelNum and PixelDen are the shape of a pixel as it is shown, 16/11 in a wide PAL picture; zero means square.
	PixelNum, PixelDen int
	// FullRange uses all 256 levels.
	FullRange bool
}

// PixelAspect is the width of a pixel in heights.
func (l Look) PixelAspect() float64 {
	if l.PixelDen == 0 {
		return 1
	}
	return float64(l.PixelNum) / float64(l.PixelDen)
}

// Shown is the size with square pixels: the height kept, both even, as 4:2:0 wants it.
func (l Look) Shown() (width, height int) {
	if l.PixelDen == 0 {
		return l.Width &^ 1, l.Height &^ 1
	}
	return 2 * int(math.Round(float64(l.Width)*l.PixelAspect()/2)), l.Height &^ 1
}

// Bytes is the size of one picture as yuv420p.
func (l Look) Bytes() int { return l.Width*l.Height + 2*((l.Width+1)/2)*((l.Height+1)/2) }

func (l Look) levels() (black, white byte) {
	if l.FullRange {
		return 0, 255
	}
	return 16, 235
}

// background draws all that does not change.
func (l Look) background() []byte {
	buf := make([]byte, l.Bytes())
	black, white := l.levels()
	between := byte(math.Round(float64(black) + gray*float64(white-black)))
	chroma := buf[l.Width*l.Height:]
	for i := range buf[:l.Width*l.Height] {
		buf[i] = between
	}
	for i := range chroma {
		chroma[i] = 110
		if i >= len(chroma)/2 {
			chroma[i] = 146
		}
	}
	l.fill(buf, CodeLeft-0.01, CodeTop-0.02, CodeRight+0.01, CodeBottom+0.02, black)
	l.fill(buf, 0, BandTop, 1, BandBottom, black)
	for _, s := range []struct {
		side float64
		luma byte
	}{{fieldSide, black}, {squareSide, white}} {
		wide := s.side * float64(l.Height) / float64(l.Width) / l.PixelAspect()
		l.fill(buf, SquareX-wide/2, SquareY-s.side/2, SquareX+wide/2, SquareY+s.side/2, s.luma)
	}
	return buf
}

// draw puts the number and the bar into a copy of the background.
func (l Look) draw(buf, background []byte, number, step int) {
	copy(buf, background)
	_, white := l.levels()
	l.field(buf, step, 0, 1)
	for i, on := range match.Cells(number) {
		if !on {
			continue
		}
		w, h := (CodeRight-CodeLeft)/match.CellCols, (CodeBottom-CodeTop)/match.CellRows
		x, y := CodeLeft+float64(i%match.CellCols)*w, CodeTop+float64(i/match.CellCols)*h
		l.fill(buf, x, y, x+w, y+h, white)
	}
}

// field draws the bar into every n-th line, from the given line on.
func (l Look) field(buf []byte, step, from, n int) {
	_, white := l.levels()
	_, at := math.Modf(float64(step) * barStep)
	x0, x1 := l.column(at), l.column(min(at+barWidth, 1))
	for y := l.line(BandTop); y < l.line(BandBottom); y++ {
		if y%n != from {
			continue
		}
		for x := x0; x < x1; x++ {
			buf[y*l.Width+x] = white
		}
	}
}

func (l Look) column(u float64) int { return int(math.Round(u * float64(l.Width))) }

func (l Look) line(v float64) int { return int(math.Round(v * float64(l.Height))) }

func (l Look) fill(buf []byte, u0, v0, u1, v1 float64, luma byte) {
	x0, x1 := max(l.column(u0), 0), min(l.column(u1), l.Width)
	for y := max(l.line(v0), 0); y < min(l.line(v1), l.Height); y++ {
		for x := x0; x < x1; x++ {
			buf[y*l.Width+x] = luma
		}
	}
}
