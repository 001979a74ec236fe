// SPDX-License-Identifier: Apache-2.0

package source

import "slices"

// Shape is what the track of a Matroska file says of its pictures beyond their
// size: FFmpeg neither crops them nor counts the crop in their shape.
type Shape struct {
	// Left, Top, Right and Bottom are how many pixels are hidden there.
	Left, Top, Right, Bottom int
	// DisplayWidth and DisplayHeight are the sides of what is left, in any
	// unit; 0 where the file does not say.
	DisplayWidth, DisplayHeight int64
}

// Elements of a video track. (RFC 9559, 5.1.4.1.28)
const (
	idVideo           = 0xe0
	idPixelCropBottom = 0x54aa
	idPixelCropTop    = 0x54bb
	idPixelCropLeft   = 0x54cc
	idPixelCropRight  = 0x54dd
	idDisplayWidth    = 0x54b0
	idDisplayHeight   = 0x54ba
	idDisplayUnit     = 0x54b2

	unknownUnit = 4
)

// streamTypes are the tracks that FFmpeg makes streams of: pictures, sound,
// subtitles, metadata.
var streamTypes = []uint64{1, 2, 0x11, 0x21}

// Shape returns what the container says of a stream's pictures, by the stream's
// index; nothing for other containers, and where the tracks are not among the
// first bytes.
func (s *Source) Shape(stream int) Shape {
	if stream < 0 || stream >= len(s.shapes) {
		return Shape{}
	}
	return s.shapes[stream]
}

// shapesOf reads the tracks among the first bytes of a Matroska file.
func shapesOf(head []byte) (shapes []Shape) {
	for len(head) > 0 {
		e, ok := elementAt(head)
		switch {
		case !ok || e.id == idCluster:
			return nil
		case e.id == idSegment:
			head = head[e.header:]
			continue
		case e.size < 0 || e.whole() > int64(len(head)):
			return nil
		case e.id == idTracks:
			children(head[e.header:e.whole()], func(id uint32, body []byte) {
				if shape, ok := shapeOf(body); id == idTrackEntry && ok {
					shapes = append(shapes, shape)
				}
			})
			return shapes
		}
		head = head[e.whole():]
	}
	return nil
}

func shapeOf(track []byte) (s Shape, stream bool) {
	children(track, func(id uint32, body []byte) {
		switch id {
		case idTrackType:
			stream = len(body) <= 8 && slices.Contains(streamTypes, uintOf(body))
		case idVideo:
			s = videoShape(body)
		}
	})
	return s, stream
}

func videoShape(video []byte) (s Shape) {
	const most = 1 << 16
	known := true
	children(video, func(id uint32, body []byte) {
		if len(body) > 8 {
			return
		}
		v := int64(min(uintOf(body), most))
		switch id {
		case idPixelCropLeft:
			s.Left = int(v)
		case idPixelCropTop:
			s.Top = int(v)
		case idPixelCropRight:
			s.Right = int(v)
		case idPixelCropBottom:
			s.Bottom = int(v)
		case idDisplayWidth:
			s.DisplayWidth = v
		case idDisplayHeight:
			s.DisplayHeight = v
		case idDisplayUnit:
			known = v < unknownUnit
		}
	})
	if !known {
		s.DisplayWidth, s.DisplayHeight = 0, 0
	}
	return s
}
