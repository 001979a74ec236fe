// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Mode is how a source is ingested.
type Mode string

const (
	// Copy stores the source's own pictures, and its sound where it is AAC-LC
	// that can be decoded from its middle.
	Copy Mode = "Copy"
	// Mezzanine encodes the source anew: H.264 with closed GOPs of a second,
	// AAC at 48 kHz, at a constant rate.
	Mezzanine Mode = "Mezzanine"
)

// MaxEntryGapMicros is the longest time without an IDR frame that a copied source
// may have; longer ones would make units, and so latency, too long.
const MaxEntryGapMicros = 6_000_000

// mezzanineMaxRate bounds the rate of a mezzanine.
var mezzanineMaxRate = timeline.Rational{Num: 60, Den: 1}

// Decision is the mode and, for people, why.
type Decision struct {
	Mode   Mode
	Reason string
	// Rate is the nominal frame rate of what will be stored.
	Rate timeline.Rational
	// Picture is what the units hold.
	Picture Picture
	// Sound lists the audio tracks of the units, in order.
	Sound []Sound
}

// Picture is the form of the pictures in the units.
type Picture struct {
	Width, Height int
	// SAR is the shape of a sample.
	SAR timeline.Rational
}

// Sound is an audio track of the units.
type Sound struct {
	Audio
	// Copy says that the source's AAC frames are stored as they are.
	Copy bool
	// Reason says why not.
	Reason string
}

// Decide chooses Copy only for what every later step can rely on; all else
// goes through the mezzanine.
func Decide(info Info) Decision {
	if info.Options.Mezzanine {
		return As(info, Mezzanine, "re-encoded to a mezzanine: the Event asks for it")
	}
	if reason := obstacle(info); reason != "" {
		return As(info, Mezzanine, "re-encoded to a mezzanine: "+reason)
	}
	d := As(info, Copy, fmt.Sprintf("copied without re-encoding: H.264 %s, IDR frames at most %.1f s apart",
		info.Video.PixelFormat, float64(info.Scan.MaxGapMicros)/1e6))
	for _, s := range d.Sound {
		if !s.Copy {
			d.Reason += "; transcoded alone: " + s.Reason
		}
	}
	return d
}

// As is the decision for a mode that was chosen before, and why.
func As(info Info, mode Mode, reason string) Decision {
	d := Decision{Mode: mode, Reason: reason, Rate: info.Video.Rate, Picture: pictureOf(info.Video, mode)}
	if mode == Mezzanine {
		d.Rate = MezzanineRate(d.Rate)
	}
	for _, a := range info.Audio {
		s := Sound{Audio: a, Reason: soundObstacle(info, a)}
		if s.Copy = mode == Copy && s.Reason == ""; !s.Copy && s.Reason == "" {
			s.Reason = "the pictures are re-encoded, too"
		}
		d.Sound = append(d.Sound, s)
	}
	return d
}

// MezzanineRate halves a rate until it is at most 60 frames a second, so that
// motion stays even.
func MezzanineRate(r timeline.Rational) timeline.Rational {
	for r.Float() > mezzanineMaxRate.Float()+0.01 {
		r = SnapRate(timeline.Rational{Num: r.Num, Den: 2 * r.Den})
	}
	return r
}

// pictureOf is what the units will hold: the source's samples where they are
// copied, square ones in a mezzanine, its height kept.
func pictureOf(v Video, mode Mode) Picture {
	if mode == Copy {
		return v.Copied()
	}
	w, h := v.DisplaySize()
	return Picture{Width: w, Height: h, SAR: timeline.Rational{Num: 1, Den: 1}}
}

// Copied is what units hold of a video that is copied.
func (v Video) Copied() Picture { return Picture{Width: v.Width, Height: v.Height, SAR: v.SAR} }

// obstacle names the first thing that forbids copying the pictures.
func obstacle(info Info) string {
	v := info.Video
	switch {
	case v.Codec != "h264":
		return fmt.Sprintf("the video is %s, not H.264", v.Codec)
	case v.PixelFormat != "yuv420p" && v.PixelFormat != "yuvj420p":
		return fmt.Sprintf("the pictures are %s, not 8-bit 4:2:0", v.PixelFormat)
	case v.Rotation != 0:
		return "the container turns the picture"
	case v.Width%2 != 0 || v.Height%2 != 0:
		return fmt.Sprintf("the picture size %dx%d is odd", v.Width, v.Height)
	case info.EditList != "":
		return info.EditList
	}
	s := info.Scan
	switch {
	case s == nil || s.Entries == 0:
		return "the video has no IDR frame with parameter sets (open GOPs cannot be cut)"
	case v.FieldOrder != "progressive" && !s.Picture.Frames:
		return fmt.Sprintf("the pictures are not progressive (field order %q)", v.FieldOrder)
	case s.Picture.CropStep > 0 && (v.Crop.Top%s.Picture.CropStep != 0 || v.Crop.Bottom%s.Picture.CropStep != 0):
		return fmt.Sprintf("the container crops rows that H.264 cannot crop: %d and %d of interlaced pictures",
			v.Crop.Top, v.Crop.Bottom)
	case s.Picture.CropLeft+v.Crop.Left != 0:
		return "the pictures are cropped at the left, which decoders round to what their memory is aligned to"
	case s.Broken != "":
		return s.Broken
	case s.MaxGapMicros > MaxEntryGapMicros:
		return fmt.Sprintf("IDR frames are up to %.1f s apart, more than 6 s", float64(s.MaxGapMicros)/1e6)
	case v.Variable:
		return fmt.Sprintf("the frame rate is not constant: pictures are off the grid of %s frames a second", v.Rate)
	}
	return ""
}

// soundObstacle names what forbids copying a track.
func soundObstacle(info Info, a Audio) string {
	switch {
	case a.Codec != "aac" || a.Profile != "LC" && a.Profile != "unknown" && a.Profile != "":
		return fmt.Sprintf("audio track %d is %s, not AAC-LC", a.Track, codecName(a))
	case a.SampleRate < 16000:
		return fmt.Sprintf("audio track %d has only %d samples a second", a.Track, a.SampleRate)
	case len(a.Select) > 0:
		return fmt.Sprintf("audio track %d is some channels of a stream", a.Track)
	case info.Scan != nil && info.Scan.Undecodable[a.Index]:
		return fmt.Sprintf("audio track %d has its channels in a program config element, so that it cannot be "+
			"decoded from its middle", a.Track)
	}
	return ""
}

func codecName(a Audio) string {
	if a.Profile == "" || a.Profile == "unknown" {
		return a.Codec
	}
	return a.Codec + " " + a.Profile
}
