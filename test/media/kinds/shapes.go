// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// shapes are pictures that are not shown as they are stored.
func shapes() []Kind {
	wide := film.Look{Width: 352, Height: 288, PixelNum: 16, PixelDen: 11}
	narrow := film.Look{Width: 320, Height: 180, PixelNum: 3, PixelDen: 4}
	return []Kind{
		{"anamorphic-h264", true, stored(wide, ".mp4", join(x264(25, "-vf", "setsar=16/11"), aac()))},
		{"anamorphic-mpeg2", false, stored(wide, ".ts", []string{"-c:v", "mpeg2video", "-aspect", "16:9", "-g", "12",
			"-q:v", "3", "-c:a", "mp2", "-b:a", "256k"})},
		{"container-aspect-mp4", true, contained(narrow, ".mp4", 0)},
		{"container-aspect-mkv", true, contained(narrow, ".mkv", 1000)},
		{"container-crop", true, containerCrop},
		{"clean-aperture", true, cleanAperture(0)},
		{"clean-aperture-left", false, cleanAperture(8)},
		{"pixel-crop", true, pixelCrop(0, 0)},
		{"pixel-crop-anamorphic", true, pixelCrop(4, 3)},
		{"stream-crop-left", false, streamCrop},
		{"rotated", false, rotated},
		{"rotated-clean-aperture", false, rotatedAperture},
		{"odd-size", false, stored(film.Look{Width: 161, Height: 91}, ".mp4", join(x264(25, "-pix_fmt", "yuv444p"), aac()))},
	}
}

func stored(look film.Look, ext string, args []string) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(look, "25", 8).stereo()
		return Source{Path: s.encode(t, ext, args...), Truth: s.truth(t)}
	}
}

// contained has its shape in the container alone.
func contained(look film.Look, ext string, slack int64) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(look, "25", 8).stereo()
		plain := s.encode(t, ".mp4", join(x264(25), aac())...)
		return Source{Path: s.ffmpeg(ext, "-i", "file:"+plain, "-c", "copy", "-aspect", "4:3"),
			Truth: s.truth(t), Slack: slack}
	}
}

// containerCrop is 326 pixels wide by its container, and 336 in its stream.
func containerCrop(s *shop) Source {
	t := filmed(film.Look{Width: 326, Height: 192}, "25", 8).stereo()
	whole := s.encode(t, ".mp4", join(x264(25, "-vf", "pad=336:192:0:0:white"), aac())...)
	return Source{Truth: s.truth(t), Path: s.edit(whole, func(raw []byte) ([]byte, error) {
		entry, track := bytes.LastIndex(raw, []byte("avc1")), bytes.Index(raw, []byte("tkhd"))
		if entry < 0 || track < 0 {
			return nil, errors.New("the MP4 has no sample entry or track header")
		}
		binary.BigEndian.PutUint16(raw[entry+28:], 326)
		binary.BigEndian.PutUint32(raw[track+80:], 326<<16)
		return raw, nil
	})}
}

// cleanAperture shows 320x180 of larger pictures: its container cuts off white borders that differ on each side, and
// the stream itself crops what its macroblocks have too much.
func cleanAperture(left int) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(film.Look{Width: 320, Height: 180}, "25", 8).stereo()
		pad := fmt.Sprintf("pad=%d:204:%d:4:white", left+336, left)
		whole := s.encode(t, ".mp4", join(x264(25, "-vf", pad), aac())...)
		return Source{Truth: s.truth(t), Path: s.edit(whole, clap(320, 180, left, 4))}
	}
}

// clap puts a clean aperture box into the first track of an MP4.
func clap(width, height, left, top int) func([]byte) ([]byte, error) {
	return func(raw []byte) ([]byte, error) {
		f, err := mp4.DecodeFile(bytes.NewReader(raw))
		if err != nil {
			return nil, fmt.Errorf("read the MP4: %w", err)
		}
		entry := f.Moov.Traks[0].Mdia.Minf.Stbl.Stsd.AvcX
		offset := func(length, before, inside int) uint32 { return uint32(int32(2*before + inside - length)) }
		entry.AddChild(&mp4.ClapBox{
			CleanApertureWidthN: uint32(width), CleanApertureWidthD: 1, CleanApertureHeightN: uint32(height),
			CleanApertureHeightD: 1, HorizOffN: offset(int(entry.Width), left, width), HorizOffD: 2,
			VertOffN: offset(int(entry.Height), top, height), VertOffD: 2,
		})
		var out bytes.Buffer
		if err := f.Encode(&out); err != nil {
			return nil, fmt.Errorf("write the MP4: %w", err)
		}
		return out.Bytes(), nil
	}
}

// pixelCrop is cleanAperture in Matroska; its display size, if it has one, is that of what is left.
func pixelCrop(aspectNum, aspectDen int) func(*shop) Source {
	look := film.Look{Width: 320, Height: 180}
	display := ""
	if aspectNum > 0 {
		look.PixelNum, look.PixelDen = aspectNum*180, aspectDen*320
		display = element("54b0", aspectNum) + element("54ba", aspectDen) + element("54b2", 3)
	}
	return func(s *shop) Source {
		t := filmed(look, "25", 8).stereo()
		whole := s.encode(t, ".mkv", join(x264(25, "-vf", "pad=336:204:0:4:white"), aac())...)
		return Source{Truth: s.truth(t), Slack: 1000, Path: s.edit(whole, func(raw []byte) ([]byte, error) {
			crop := element("54aa", 20) + element("54bb", 4) + element("54dd", 16)
			return insert(raw, []byte(crop+display), "18538067", "1654ae6b", "ae", "e0")
		})}
	}
}

// element is an EBML element with a number, by its ID in hexadecimal.
func element(id string, v int) string {
	b, err := hex.DecodeString(id)
	if err != nil {
		panic(err)
	}
	return string(append(b, 0x84, byte(v>>24), byte(v>>16), byte(v>>8), byte(v)))
}

// insert puts bytes at the end of the first element that a path of IDs leads to, and makes those on the way longer.
func insert(raw, what []byte, path ...string) ([]byte, error) {
	at, end := 0, len(raw)
	for _, id := range path {
		want, err := hex.DecodeString(id)
		if err != nil {
			return nil, fmt.Errorf("read an ID: %w", err)
		}
		for !bytes.HasPrefix(raw[at:end], want) {
			idLen := bits.LeadingZeros8(raw[at]) + 1
			size, width := ebmlSize(raw[at+idLen:])
			if at += idLen + width + size; at >= end {
				return nil, fmt.Errorf("the file has no element %s", id)
			}
		}
		at += len(want)
		size, width := ebmlSize(raw[at:])
		grown := size + len(what)
		for i := width - 1; i >= 0; i-- {
			low := byte(grown >> (8 * (width - 1 - i)))
			if raw[at+i] = low; i == 0 {
				raw[at] = low | 1<<(8-width)
			}
		}
		at += width
		end = at + size
	}
	return slices.Concat(raw[:end], what, raw[end:]), nil
}

// ebmlSize reads the size of an element.
func ebmlSize(b []byte) (size, width int) {
	width = bits.LeadingZeros8(b[0]) + 1
	size = int(b[0]) &^ (1 << (8 - width))
	for _, c := range b[1:width] {
		size = size<<8 | int(c)
	}
	return size, width
}

// streamCrop has its white borders cropped by the stream itself.
func streamCrop(s *shop) Source {
	t := filmed(film.Look{Width: 320, Height: 180}, "25", 8).stereo()
	whole := s.encode(t, ".mp4", join(x264(25, "-vf", "pad=344:204:8:4:white"), aac())...)
	return Source{Truth: s.truth(t), Path: s.ffmpeg(".mkv", "-i", "file:"+whole, "-c", "copy",
		"-bsf:v", "h264_metadata=crop_left=8:crop_right=24:crop_top=4:crop_bottom=24"), Slack: 1000}
}

// rotatedAperture is held upright, and cropped as it is stored: lying on its side.
func rotatedAperture(s *shop) Source {
	t := filmed(film.Look{Width: 180, Height: 320}, "25", 8).stereo()
	lying := s.encode(t, ".mp4", join(x264(25, "-vf", "transpose=2,pad=344:204:8:4:white"), aac())...)
	return Source{Truth: s.truth(t), Path: s.edit(s.edit(lying, clap(320, 180, 8, 4)), clockwise(204))}
}

// clockwise makes the track header of the first track turn the picture by 90 degrees. (ISO/IEC 14496-12, 8.3.2)
func clockwise(height int) func([]byte) ([]byte, error) {
	return func(raw []byte) ([]byte, error) {
		track := bytes.Index(raw, []byte("tkhd"))
		if track < 0 {
			return nil, errors.New("the MP4 has no track header")
		}
		for i, v := range []int32{0, 1 << 16, 0, -1 << 16, 0, 0, int32(height) << 16, 0, 1 << 30} {
			binary.BigEndian.PutUint32(raw[track+44+4*i:], uint32(v))
		}
		return raw, nil
	}
}

// rotated is held upright: stored lying on its side.
func rotated(s *shop) Source {
	t := filmed(film.Look{Width: 180, Height: 320}, "25", 8).stereo()
	lying := s.encode(t, ".mp4", join(x264(25, "-vf", "transpose=1"), aac())...)
	return Source{Path: s.ffmpeg(".mp4", "-i", "file:"+lying, "-c", "copy",
		"-metadata:s:v:0", "rotate=90"), Truth: s.truth(t)}
}
