// SPDX-License-Identifier: Apache-2.0

package assemble

import (
	"fmt"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const scaling = "flags=bicubic+accurate_rnd+bitexact"

// square is the size of a picture in square pixels: its height, and the width
// that gives its shape, both even.
func square(s mpegts.Picture) (width, height int) {
	height = max(2, s.Height&^1)
	width = 2 * int(timeline.MulDiv(int64(s.Width)*int64(height), s.SAR.Num, 2*int64(s.Height)*s.SAR.Den))
	if width < 2 || width > maxWidth {
		// No film looks like that: the shape of its pixels is wrong.
		width = max(2, s.Width&^1)
	}
	return width, height
}

// maxWidth is the widest picture that x264 encodes.
const maxWidth = 16384

// fit brings pictures of any size to the first one's in square pixels, their
// shape kept. It looks at each picture's own size and shape.
func (p *plan) fit() string {
	w, h := square(p.Shape)
	// A shape that is the same but for rounding fills the whole picture.
	same := fmt.Sprintf("lt(abs(dar*%d-%d),2)", h, w)
	return fmt.Sprintf("scale=w='if(%[1]s,%[2]d,2*round(min(%[2]d,%[3]d*dar)/2))'"+
		":h='if(%[1]s,%[3]d,2*round(min(%[3]d,%[2]d/dar)/2))':eval=frame:%[4]s,"+
		"pad=%[2]d:%[3]d:-1:-1:eval=frame,setsar=1", same, w, h, scaling)
}

// geometry makes pixels square, scales to fill the output and crops around the
// centre. A crop that needs no scaling stays exact.
func (p *plan) geometry() string {
	stored := p.Shape
	if p.Changes {
		stored.Width, stored.Height = square(p.Shape)
		stored.SAR = timeline.Rational{Num: 1, Den: 1}
	}
	// The size in square pixels, then the one that fills the output.
	width, height := square(stored)
	w, h := p.spec.Width, p.spec.Height
	if w == 0 {
		w, h = width, height
	}
	sw, sh := width, height
	switch {
	case w == sw && h <= sh, h == sh && w <= sw:
	case w*height >= h*width:
		sw, sh = w, even((height*w+width-1)/width)
	default:
		sw, sh = even((width*h+height-1)/height), h
	}
	var f []string
	if sw != stored.Width || sh != stored.Height {
		f = append(f, fmt.Sprintf("scale=%d:%d:%s", sw, sh, scaling))
	}
	if sw != w || sh != h {
		f = append(f, fmt.Sprintf("crop=%d:%d:%d:%d", w, h, (sw-w)/2&^1, (sh-h)/2&^1))
	}
	return strings.Join(append(f, "setsar=1"), ",")
}

func even(n int) int { return (n + 1) &^ 1 }
