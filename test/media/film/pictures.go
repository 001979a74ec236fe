// SPDX-License-Identifier: Apache-2.0

package film

import "io"

// Pictures are count pictures, numbered from first on.
type Pictures struct {
	Look
	First, Count int
	// Interlaced pictures hold two moments, the lower field (bottom first) or the upper one being earlier.
	Interlaced, BottomFirst bool
}

// Reader gives the pictures one after the other as raw yuv420p.
func (p Pictures) Reader() io.Reader {
	return &pictureReader{Pictures: p, background: p.background(), buf: make([]byte, p.Bytes())}
}

type pictureReader struct {
	Pictures
	background, buf, rest []byte
	next                  int
}

// Read implements io.Reader.
func (r *pictureReader) Read(out []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.next >= r.Count {
			return 0, io.EOF
		}
		r.paint()
		r.next++
		r.rest = r.buf
	}
	n := copy(out, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *pictureReader) paint() {
	n := r.First + r.next
	if !r.Interlaced {
		r.draw(r.buf, r.background, n, n)
		return
	}
	late := 1
	if r.BottomFirst {
		late = 0
	}
	r.draw(r.buf, r.background, n, 2*n)
	// The later field has the bar at its next place.
	black, _ := r.levels()
	for y := r.line(BandTop); y < r.line(BandBottom); y++ {
		if y%2 == late {
			for x := range r.Width {
				r.buf[y*r.Width+x] = black
			}
		}
	}
	r.field(r.buf, 2*n+1, late, 2)
}
