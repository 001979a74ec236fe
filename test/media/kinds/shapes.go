// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

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
		return Source{Path: s.ffmpeg(ext, "-i", "file:"+plain, "-c", "copy", "-aspect", "4:3"), Truth: s.truth(t), Slack: slack}
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

// cleanAperture shows 320x180 of larger pictures: its container cuts off white borders that differ on each side, and the
// stream itself crops what its macroblocks have too much.
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
			CleanApertureWidthN: uint32(width), CleanApertureWidthD: 1, CleanApertureHeightN: uint32(height), CleanApertureHeightD: 1,
			HorizOffN: offset(int(entry.Width), left, width), HorizOffD: 2, VertOffN: offset(int(entry.Height), top, height), VertOffD: 2,
		})
		var out bytes.Buffer
		if err := f.Encode(&out); err != nil {
			return nil, fmt.Errorf("write the MP4: %w", err)
		}
		return out.Bytes(), nil
	}
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
	return Source{Path: s.ffmpeg(".mp4", "-i", "file:"+lying, "-c", "copy", "-metadata:s:v:0", "rotate=90"), Truth: s.truth(t)}
}
