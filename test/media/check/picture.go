// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"
	"math"

	"github.com/mre-operator/mre-operator/test/fixtures/match"
	"github.com/mre-operator/mre-operator/test/media/film"
)

// combLimit is how much neighbouring lines of the moving bar may differ on average, of 1: nothing moves from line to
// line in a picture of one moment, a good deal in one of two.
const combLimit = 0.012

// pictureCheck is given an output's pictures one after the other.
type pictureCheck struct {
	ask    Ask
	seen   seen
	report *Report
	n      int64
	before int
	part   int
	// firsts are the numbers of the first pictures of the parts.
	firsts []int
	begin  int64
	combed int64
}

// frame is the Event's frame that the next picture should show, and whether it is the first of its part.
func (c *pictureCheck) frame() (frame int64, first, ok bool) {
	for c.part < len(c.ask.Parts) {
		p := c.ask.Parts[c.part]
		if at := c.n - c.begin; at < p[1]-p[0] {
			return p[0] + at, at == 0, true
		}
		c.begin += p[1] - p[0]
		c.part++
	}
	return 0, false, false
}

func (c *pictureCheck) add(luma []byte) {
	frame, first, ok := c.frame()
	at := c.n
	c.n++
	if !ok {
		return // one too many: finish says so
	}
	canvas := Canvas{luma, c.seen.video.Width, c.seen.video.Height}
	want, _ := c.ask.Clock.Shows(frame, -1)
	look := c.ask.Clock.Looks[want.Look]
	place := c.place(canvas, look)
	number, err := canvas.Number(place)
	if err != nil {
		// A picture that was stretched has its code elsewhere.
		if number, err = canvas.Number(canvas.Whole()); err != nil {
			c.report.add(Pictures, "picture %d, frame %d, instead of number %d: %v", at, frame, want.Number, err)
			return
		}
		place = canvas.Whole()
	}
	if _, right := c.ask.Clock.Shows(frame, number); !right {
		c.report.add(Pictures, "picture %d, frame %d, has number %d instead of %d", at, frame, number, want.Number)
	} else if !first && c.ask.Clock.Lost(c.before, number) {
		c.report.add(Pictures, "picture %d, frame %d, has number %d, the one before %d: pictures between them are lost",
			at, frame, number, c.before)
	}
	if first {
		c.firsts = append(c.firsts, number)
	}
	c.before = number
	if at%8 == 0 {
		c.shape(canvas, place, at)
		c.levels(canvas, place, at)
	}
	if c.ask.Clock.Interlaced && canvas.comb(place) > combLimit {
		c.combed++
	}
}

// place is where the source's picture lies in the output. A clip shows it whole, a reel fills its size; a picture of
// another shape than the film's first is shown whole within it.
func (c *pictureCheck) place(canvas Canvas, look film.Look) Place {
	w0, h0 := c.ask.Clock.Looks[0].Shown()
	outer := canvas.fill(float64(w0) / float64(h0))
	w, h := look.Shown()
	return outer.fit(float64(w) / float64(h))
}

func (c *pictureCheck) finish() {
	if want := c.ask.frames(); c.n != want {
		c.report.add(Pictures, "%d pictures instead of %d", c.n, want)
	}
	if c.combed > 0 {
		c.report.add(Comb, "%d of %d pictures are combed", c.combed, c.n)
	}
}

func (c *pictureCheck) shape(canvas Canvas, place Place, at int64) {
	w, h, err := canvas.square(place)
	if err != nil {
		c.report.add(Shape, "picture %d: %v", at, err)
		return
	}
	if off := w/h - 1; math.Abs(off) > 0.02+1/h {
		c.report.add(Shape, "picture %d: a square is %.1fx%.1f", at, w, h)
	}
}

// levels checks that black and white are where the tags say.
func (c *pictureCheck) levels(canvas Canvas, place Place, at int64) {
	if !c.ask.Clock.Colour.Levels {
		return
	}
	black, white := 16.0, 235.0
	if c.seen.video.Range == "pc" {
		black, white = 0, 255
	}
	dark := (canvas.mean(place, 0.40, film.BandBottom+0.07, 0.60, film.BandBottom+0.09) - black) / (white - black)
	bright := (canvas.mean(place, 0.45, 0.65, 0.55, 0.80) - black) / (white - black)
	if math.Abs(dark) > 0.03 || math.Abs(bright-1) > 0.03 {
		c.report.add(Colour, "picture %d: black and white are at %.3f and %.3f of range %q", at, dark, bright,
			c.seen.video.Range)
	}
}

// Canvas is a picture's luma.
type Canvas struct {
	Luma          []byte
	Width, Height int
}

// Place is a rectangle in pixels, which may reach over the canvas.
type Place struct{ x, y, w, h float64 }

// Whole is the canvas itself.
func (c Canvas) Whole() Place { return Place{0, 0, float64(c.Width), float64(c.Height)} }

// fill is where a picture of the given aspect lies that fills the canvas, its centre being kept.
func (c Canvas) fill(aspect float64) Place {
	w, h := float64(c.Width), float64(c.Height)
	// Sizes are even, so that a picture is up to a pixel narrower or wider than it should be.
	if math.Abs(h*aspect-w) <= 2 {
		return c.Whole()
	}
	if h*aspect >= w {
		return Place{(w - h*aspect) / 2, 0, h * aspect, h}
	}
	return Place{0, (h - w/aspect) / 2, w, w / aspect}
}

// fit is where a picture of the given aspect lies that is shown whole within a place.
func (p Place) fit(aspect float64) Place {
	if math.Abs(p.h*aspect-p.w) <= 2 {
		return p
	}
	if w := p.h * aspect; w < p.w {
		return Place{p.x + (p.w-w)/2, p.y, w, p.h}
	}
	h := p.w / aspect
	return Place{p.x, p.y + (p.h-h)/2, p.w, h}
}

// at turns fractions of the picture into pixels.
func (p Place) at(u, v float64) (x, y float64) { return p.x + u*p.w, p.y + v*p.h }

// mean is the mean luma of a part of the picture; -1 where that is not on the canvas.
func (c Canvas) mean(p Place, u0, v0, u1, v1 float64) float64 {
	fx0, fy0 := p.at(u0, v0)
	fx1, fy1 := p.at(u1, v1)
	x0, y0 := int(math.Round(fx0)), int(math.Round(fy0))
	x1, y1 := max(int(math.Round(fx1)), x0+1), max(int(math.Round(fy1)), y0+1)
	sum, n := 0, 0
	for y := max(y0, 0); y < min(y1, c.Height); y++ {
		for x := max(x0, 0); x < min(x1, c.Width); x++ {
			sum += int(c.Luma[y*c.Width+x])
			n++
		}
	}
	if n == 0 {
		return -1
	}
	return float64(sum) / float64(n)
}

// Number reads the picture's code.
func (c Canvas) Number(p Place) (int, error) {
	var means [match.CellCols * match.CellRows]float64
	low, high := 255.0, 0.0
	for i := range means {
		w, h := (film.CodeRight-film.CodeLeft)/match.CellCols, (film.CodeBottom-film.CodeTop)/match.CellRows
		u, v := film.CodeLeft+float64(i%match.CellCols)*w, film.CodeTop+float64(i/match.CellCols)*h
		means[i] = c.mean(p, u+w/4, v+h/4, u+3*w/4, v+3*h/4)
		low, high = min(low, means[i]), max(high, means[i])
	}
	if high-low < 80 {
		return 0, fmt.Errorf("no code is to be seen")
	}
	var cells [match.CellCols * match.CellRows]bool
	for i, m := range means {
		cells[i] = m > (low+high)/2
	}
	return match.NumberOfCells(cells)
}

// square measures the white square around its centre, to fractions of a pixel.
func (c Canvas) square(p Place) (w, h float64, err error) {
	cx, cy := p.at(film.SquareX, film.SquareY)
	x, y := int(cx), int(cy)
	if x < 0 || x >= c.Width || y < 0 || y >= c.Height {
		return 0, 0, fmt.Errorf("the square is not where it should be")
	}
	// What HDR is mapped to is not as bright.
	white, black := float64(c.Luma[y*c.Width+x]), c.mean(p, 0.40, film.BandBottom+0.07, 0.60, film.BandBottom+0.09)
	if white-black < 60 {
		return 0, 0, fmt.Errorf("the square is not where it should be")
	}
	middle := (white + black) / 2
	left := c.edge(x, y, -1, 0, middle)
	right := c.edge(x, y, 1, 0, middle)
	up := c.edge(x, y, 0, -1, middle)
	down := c.edge(x, y, 0, 1, middle)
	if left < 0 || right < 0 || up < 0 || down < 0 {
		return 0, 0, fmt.Errorf("the square is cut off")
	}
	w, h = left+right, up+down
	if shift := (right - left) / 2; math.Abs(float64(x)+0.5+shift-cx) > 1.6 {
		return w, h, fmt.Errorf("the square's centre is %.1f pixels beside its place", float64(x)+0.5+shift-cx)
	}
	return w, h, nil
}

// edge is how far white, which is above middle, reaches from the middle of a pixel; -1 if it reaches over the canvas.
func (c Canvas) edge(x, y, dx, dy int, middle float64) float64 {
	last := float64(c.Luma[y*c.Width+x])
	for n := 1; ; n++ {
		x, y = x+dx, y+dy
		if x < 0 || x >= c.Width || y < 0 || y >= c.Height {
			return -1
		}
		v := float64(c.Luma[y*c.Width+x])
		if v < middle {
			return float64(n-1) + (last-middle)/max(last-v, 1)
		}
		last = v
	}
}

// comb is how much neighbouring lines in the moving bar's band differ, of 1.
func (c Canvas) comb(p Place) float64 {
	_, top := p.at(0, film.BandTop)
	_, bottom := p.at(0, film.BandBottom)
	y0, y1 := int(top)+4, int(bottom)-4
	sum, n := 0, 0
	for y := y0; y < y1; y++ {
		for x := range c.Width {
			d := int(c.Luma[y*c.Width+x]) - int(c.Luma[(y+1)*c.Width+x])
			sum += max(d, -d)
			n++
		}
	}
	return float64(sum) / float64(max(n, 1)) / 219
}
