// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Mode is how a source is ingested.
type Mode string

const (
	// Copy stores the source's own pictures and sound.
	Copy Mode = "Copy"
	// Mezzanine encodes the source anew: H.264 with closed GOPs of a second,
	// AAC at 48 kHz, at a constant rate.
	Mezzanine Mode = "Mezzanine"
)

// maxEntryGapMicros is the longest time without an IDR frame that a copied source
// may have; longer ones would make units, and so latency, too long.
const maxEntryGapMicros = 6_000_000

// mezzanineMaxRate bounds the rate of a mezzanine.
var mezzanineMaxRate = timeline.Rational{Num: 60, Den: 1}

// Decision is the mode and, for people, why.
type Decision struct {
	Mode   Mode
	Reason string
	// Rate is the frame rate of what will be stored.
	Rate timeline.Rational
}

// Decide chooses Copy only for what every later step can rely on; all else
// goes through the mezzanine.
func Decide(info Info) Decision {
	reason := obstacle(info)
	if reason == "" {
		return Decision{Copy, fmt.Sprintf("copied without re-encoding: H.264 %s, IDR frames at most %.1f s apart",
			info.Video.PixelFormat, float64(info.Scan.MaxGapMicros)/1e6), info.Video.Rate}
	}
	rate := info.Video.Rate
	if rate.Float() > mezzanineMaxRate.Float() {
		rate = mezzanineMaxRate
	}
	return Decision{Mezzanine, "re-encoded to a mezzanine: " + reason, rate}
}

// obstacle names the first thing that forbids copying.
func obstacle(info Info) string {
	v := info.Video
	switch {
	case v.Codec != "h264":
		return fmt.Sprintf("the video is %s, not H.264", v.Codec)
	case v.PixelFormat != "yuv420p" && v.PixelFormat != "yuvj420p":
		return fmt.Sprintf("the pictures are %s, not 8-bit 4:2:0", v.PixelFormat)
	case v.FieldOrder != "progressive":
		return fmt.Sprintf("the pictures are not progressive (field order %q)", v.FieldOrder)
	case v.Rotated:
		return "the container turns the picture"
	case v.Width%2 != 0 || v.Height%2 != 0:
		return fmt.Sprintf("the picture size %dx%d is odd", v.Width, v.Height)
	}
	for _, a := range info.Audio {
		if a.Codec != "aac" || (a.Profile != "LC" && a.Profile != "unknown" && a.Profile != "") {
			return fmt.Sprintf("audio track %d is %s %s, not AAC-LC", a.Track, a.Codec, a.Profile)
		}
		if a.SampleRate < 16000 {
			return fmt.Sprintf("audio track %d has only %d samples a second", a.Track, a.SampleRate)
		}
	}
	s := info.Scan
	switch {
	case s == nil || s.Entries == 0:
		return "the video has no IDR frame with parameter sets (open GOPs cannot be cut)"
	case s.Backwards:
		return "the time stamps jump"
	case s.MaxGapMicros > maxEntryGapMicros:
		return fmt.Sprintf("IDR frames are up to %.1f s apart, more than 6 s", float64(s.MaxGapMicros)/1e6)
	case s.OffGrid > 0:
		return fmt.Sprintf("the frame rate is not constant: %d of %d frames are off the grid of %s frames a second", s.OffGrid, s.Frames, v.Rate)
	}
	return ""
}
