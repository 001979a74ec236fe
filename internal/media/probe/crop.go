// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/mre-operator/mre-operator/internal/media/source"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Crop is what a container hides at the sides of the stored pictures, in
// pixels, before any turn.
type Crop struct{ Left, Top, Right, Bottom int }

// Turned is the crop of a picture that has been turned by the degrees that a
// container asks for, counterclockwise.
func (c Crop) Turned(degrees int) Crop {
	switch degrees {
	case 90:
		return Crop{Left: c.Top, Top: c.Right, Right: c.Bottom, Bottom: c.Left}
	case 180:
		return Crop{Left: c.Right, Top: c.Bottom, Right: c.Left, Bottom: c.Top}
	case 270:
		return Crop{Left: c.Bottom, Top: c.Left, Right: c.Top, Bottom: c.Right}
	}
	return c
}

// even makes a crop of a picture of some size one that 4:2:0 can express: it
// begins at even samples and leaves even sides. A crop that leaves nothing is
// damaged, and is none.
func (c Crop) even(width, height int) Crop {
	c.Left, c.Right = evenSides(c.Left, c.Right, width)
	c.Top, c.Bottom = evenSides(c.Top, c.Bottom, height)
	return c
}

func evenSides(before, after, length int) (left, right int) {
	if before|after == 0 || before < 0 || after < 0 || before+after >= length {
		return 0, 0
	}
	inside := (length - before - after) &^ 1
	before &^= 1
	if inside == 0 {
		return 0, 0
	}
	return before, length - before - inside
}

// obey crops the video.
func (v *Video) obey(c Crop) {
	c = c.even(v.Width, v.Height)
	v.Crop = c
	v.Width -= c.Left + c.Right
	v.Height -= c.Top + c.Bottom
}

// obeyShape crops the video as a Matroska file says, whose display size is that
// of what is left.
func (v *Video) obeyShape(s source.Shape) {
	v.obey(Crop{Left: s.Left, Top: s.Top, Right: s.Right, Bottom: s.Bottom})
	if v.Crop == (Crop{}) || s.DisplayWidth == 0 || s.DisplayHeight == 0 {
		return
	}
	v.SAR = timeline.Rational{Num: s.DisplayWidth * int64(v.Height), Den: s.DisplayHeight * int64(v.Width)}.Reduce()
}

// cleanAperture is what the clean aperture box of an MP4's stream hides; none
// where it has no such box. (ISO/IEC 14496-12, 12.1.4)
func cleanAperture(moov *mp4.MoovBox, stream, width, height int) (c Crop) {
	defer func() {
		if recover() != nil {
			c = Crop{}
		}
	}()
	if moov == nil || stream >= len(moov.Traks) {
		return Crop{}
	}
	for _, entry := range moov.Traks[stream].Mdia.Minf.Stbl.Stsd.Children {
		sample, ok := entry.(*mp4.VisualSampleEntryBox)
		if !ok || sample.Clap == nil {
			continue
		}
		b := sample.Clap
		c.Left, c.Right = aperture(width, b.CleanApertureWidthN, b.CleanApertureWidthD, b.HorizOffN, b.HorizOffD)
		c.Top, c.Bottom = aperture(height, b.CleanApertureHeightN, b.CleanApertureHeightD, b.VertOffN, b.VertOffD)
		return c
	}
	return Crop{}
}

// aperture returns what lies before and behind the aperture of one direction,
// whose centre lies an offset from that of the picture. The fractions' terms
// are signed where they are offsets.
func aperture(length int, num, den, offNum, offDen uint32) (before, after int) {
	if num == 0 || den == 0 || offDen == 0 {
		return 0, 0
	}
	inside := int64(num) / int64(den)
	// The border is (length-inside)/2, moved by the offset.
	border := (int64(length)-inside)*int64(int32(offDen)) + 2*int64(int32(offNum))
	left := border / (2 * int64(int32(offDen)))
	right := int64(length) - inside - left
	if inside > int64(length) || left < 0 || right < 0 {
		return 0, 0
	}
	return int(left), int(right)
}
