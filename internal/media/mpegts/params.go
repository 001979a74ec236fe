// SPDX-License-Identifier: Apache-2.0

package mpegts

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/aac"
	"github.com/Eyevinn/mp4ff/avc"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// sampleRates by ADTS index.
var sampleRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// ADTS is what decoders need to know of AAC in ADTS form.
type ADTS struct {
	SampleRate int
	// Channels is the channel configuration, 1 to 7; 0 means that the layout is
	// in a program config element, which only some frames carry.
	Channels int
}

// ReadADTS reads the header of an AAC frame in ADTS form.
func ReadADTS(frame []byte) (ADTS, error) {
	h, skipped, err := aac.DecodeADTSHeader(bytes.NewReader(frame))
	if err != nil || skipped != 0 {
		return ADTS{}, errors.New("the audio is not AAC in ADTS form")
	}
	if int(h.SamplingFrequencyIndex) >= len(sampleRates) {
		return ADTS{}, fmt.Errorf("the audio has sample rate index %d, which does not exist", h.SamplingFrequencyIndex)
	}
	return ADTS{SampleRate: sampleRates[h.SamplingFrequencyIndex], Channels: int(h.ChannelConfig)}, nil
}

// SampleRate reads the sample rate from an ADTS header.
func SampleRate(frame []byte) (int, error) {
	h, err := ReadADTS(frame)
	return h.SampleRate, err
}

// Picture is what the sequence parameter set of H.264 says of the pictures.
type Picture struct {
	// Width and Height are those after cropping, in samples.
	Width, Height int
	// SAR is the shape of a sample; 1 where it is not given.
	SAR timeline.Rational
	// Chroma is the chroma format (1 is 4:2:0), Depth the bits of a sample.
	Chroma, Depth int
	// Frames says that no picture is coded in fields: all are progressive.
	Frames bool
	// CropLeft, CropTop, CropRight and CropBottom are what the parameter set
	// hides of the coded picture, in pixels. Width and Height are those of the
	// rest. CropStep is the vertical step in which it can say so.
	CropLeft, CropTop, CropRight, CropBottom int
	CropStep                                 int
	// FullRange, Primaries, Transfer and Matrix are the VUI's, as in ITU-T H.273;
	// 2 is unspecified.
	FullRange                   bool
	Primaries, Transfer, Matrix int
	// Reorder is the depth by which pictures are reordered; -1 where it is not given.
	Reorder int
}

// ReadPicture reads the sequence parameter set in an access unit.
func ReadPicture(accessUnit []byte) (Picture, error) {
	sps := findNAL(accessUnit, 7)
	if len(sps) < 4 {
		return Picture{}, errors.New("the access unit has no sequence parameter set")
	}
	s, err := avc.ParseSPSNALUnit(bytes.TrimRight(sps, "\x00"), true)
	if err != nil || s.Width == 0 || s.Height == 0 || s.Width > maxSide || s.Height > maxSide {
		return Picture{}, errors.New("the sequence parameter set is damaged")
	}
	p := Picture{Width: int(s.Width), Height: int(s.Height), SAR: timeline.Rational{Num: 1, Den: 1},
		Chroma: int(s.ChromaFormatIDC), Depth: int(s.BitDepthLumaMinus8) + 8, Frames: s.FrameMbsOnlyFlag,
		Primaries: unspecified, Transfer: unspecified, Matrix: unspecified, Reorder: -1}
	stepX, stepY := 1, 1
	if p.Chroma == 1 || p.Chroma == 2 {
		stepX = 2
	}
	if p.Chroma == 1 {
		stepY = 2
	}
	if !p.Frames {
		stepY *= 2
	}
	p.CropStep = stepY
	p.CropLeft, p.CropRight = int(s.FrameCropLeftOffset)*stepX, int(s.FrameCropRightOffset)*stepX
	p.CropTop, p.CropBottom = int(s.FrameCropTopOffset)*stepY, int(s.FrameCropBottomOffset)*stepY
	if v := s.VUI; v != nil {
		if v.SampleAspectRatioWidth > 0 && v.SampleAspectRatioHeight > 0 {
			p.SAR = timeline.Rational{Num: int64(v.SampleAspectRatioWidth), Den: int64(v.SampleAspectRatioHeight)}.Reduce()
		}
		p.FullRange = v.VideoFullRangeFlag
		if v.ColourDescriptionFlag {
			p.Primaries, p.Transfer, p.Matrix = int(v.ColourPrimaries), int(v.TransferCharacteristics), int(v.MatrixCoefficients)
		}
		if v.BitstreamRestrictionFlag {
			p.Reorder = int(v.MaxNumReorderFrames)
		}
	}
	return p, nil
}

const (
	// unspecified is the value of colour descriptions that say nothing.
	unspecified = 2
	// maxSide is far more than H.264 has at its highest level.
	maxSide = 1 << 15
)

func findNAL(b []byte, kind byte) []byte {
	start := -1
	for i := 0; i+3 <= len(b); i++ {
		if b[i] != 0 || b[i+1] != 0 || b[i+2] != 1 {
			continue
		}
		if start >= 0 {
			return b[start:i]
		}
		if i+3 < len(b) && b[i+3]&0x1f == kind {
			start = i + 3
		}
		i += 2
	}
	if start >= 0 {
		return b[start:]
	}
	return nil
}
