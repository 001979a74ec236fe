// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"bytes"
	"encoding/binary"
	"errors"

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
		{"rotated", false, rotated},
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

// rotated is held upright: stored lying on its side.
func rotated(s *shop) Source {
	t := filmed(film.Look{Width: 180, Height: 320}, "25", 8).stereo()
	lying := s.encode(t, ".mp4", join(x264(25, "-vf", "transpose=1"), aac())...)
	return Source{Path: s.ffmpeg(".mp4", "-i", "file:"+lying, "-c", "copy", "-metadata:s:v:0", "rotate=90"), Truth: s.truth(t)}
}
