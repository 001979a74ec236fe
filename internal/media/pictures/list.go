// SPDX-License-Identifier: Apache-2.0

package pictures

import (
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// List is what is known of the pictures of some units, in time order, without
// the pictures themselves.
type List struct {
	rate  timeline.Rational
	files []mpegts.UnitFile
	video mpegts.Stream
	// chains are stretches in which frame numbers never come twice: one, unless
	// units of two runs of ingest overlap.
	chains []chain
}

// chain is pictures in decoding order, of frames before end.
type chain struct {
	pictures []listed
	end      int64
}

// listed is a picture by its unit and its place in the unit's video.
type listed struct {
	unit, packet int
	frame        int64
	// shape is there where decoding can start.
	shape *mpegts.Picture
}

// NewList makes an empty list.
func NewList(rate timeline.Rational) *List { return &List{rate: rate} }

// Add takes the next unit.
func (l *List) Add(file mpegts.UnitFile, u mpegts.Unit) {
	unit := len(l.files)
	l.files = append(l.files, file)
	for _, s := range u.Streams {
		if s.Video() {
			l.video = s
		}
	}
	pics := Of(l.rate, file, u)
	if len(pics) == 0 {
		return
	}
	if n := len(l.chains); n == 0 || pics[0].Frame < l.chains[n-1].end {
		l.chains = append(l.chains, chain{end: pics[0].Frame})
	}
	c := &l.chains[len(l.chains)-1]
	for k, pic := range pics {
		p := listed{unit: unit, packet: k, frame: pic.Frame}
		if mpegts.ScanNALs(pic.Data).Entry() {
			// An entry point with damaged parameters is none.
			if shape, err := mpegts.ReadPicture(pic.Data); err == nil {
				p.shape = &shape
			}
		}
		c.pictures = append(c.pictures, p)
		c.end = max(c.end, pic.Frame+1)
	}
}

// Span is the first frame and the end (exclusive) of all that is listed.
func (l *List) Span() (first, end int64) {
	for i, c := range l.chains {
		for k, p := range c.pictures {
			if i == 0 && k == 0 {
				first, end = p.frame, p.frame
			}
			first, end = min(first, p.frame), max(end, p.frame+1)
		}
	}
	return first, end
}
