// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"bytes"
	"errors"
)

// streams are files with more than a film.
func streams() []Kind {
	return []Kind{
		{"unknown-codec-track", true, unknownTrack},
		{"attached-picture", true, attached},
		{"still-track-first", true, beside(".mov", true)},
		{"two-videos-default", true, beside(".mkv", true)},
		{"two-videos-larger", true, beside(".mkv", false)},
		{"two-services", true, services(false)},
		{"second-service", true, services(true)},
	}
}

// unknownTrack has a second track of sound that no decoder here knows.
func unknownTrack(s *shop) Source {
	t := filmed(small, "25", 8).stereo()
	whole := s.encode(t.stereo(), ".mp4", join(x264(25), aac())...)
	return Source{Truth: s.truth(t), Path: s.edit(whole, func(raw []byte) ([]byte, error) {
		// The codec's name is followed by six zero bytes in the description of a track, and only there.
		last := bytes.LastIndex(raw, []byte("mp4a\x00\x00\x00\x00\x00\x00"))
		if last < 0 {
			return nil, errors.New("the file has no description of AAC sound")
		}
		copy(raw[last:], "apac")
		// What describes AAC in it would give it away.
		if esds := bytes.Index(raw[last:], []byte("esds")); esds >= 0 {
			copy(raw[last+esds:], "dapa")
		}
		return raw, nil
	})}
}

// other is a small film of other pictures.
func (s *shop) other(count int) take {
	return take{look: tiny, rate: "25", begin: 50_000, count: count}
}

// attached has a cover.
func attached(s *shop) Source {
	t := filmed(small, "25", 8).stereo()
	main := s.encode(t, ".mp4", join(x264(25), aac())...)
	cover := s.encode(s.other(1), ".jpg", "-update", "1", "-frames:v", "1")
	return Source{Truth: s.truth(t), Path: s.ffmpeg(".mp4", "-i", "file:"+cover, "-i", "file:"+main, "-map", "0",
		"-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic", "-disposition:v:1", "default")}
}

// beside has another film before the one that is meant.
func beside(ext string, byDefault bool) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, "25", 8).stereo()
		main := s.encode(t, ".mp4", join(x264(25), aac())...)
		var other string
		if ext == ".mov" {
			other = s.encode(s.other(1), ".mov", "-c:v", "mjpeg")
		} else {
			other = s.encode(s.other(t.count), ".mp4", x264(25)...)
		}
		mark := "0"
		if byDefault {
			mark = "default"
		}
		src := Source{Truth: s.truth(t), Path: s.ffmpeg(ext, "-i", "file:"+other, "-i", "file:"+main, "-map", "0",
			"-map", "1", "-c", "copy", "-disposition:v:0", "0", "-disposition:v:1", mark)}
		if ext == ".mkv" {
			src.Slack = 1000
		}
		return src
	}
}

// services is a transport stream of two programmes.
func services(second bool) func(*shop) Source {
	return func(s *shop) Source {
		one := filmed(small, "25", 8).stereo()
		// Its sound is another film's, too: the noise of later.
		two := s.other(one.count).stereo()
		var args []string
		for _, t := range []take{one, two} {
			args = append(args, "-i", "file:"+s.encode(t, ".ts", join(x264(25), aac())...))
		}
		src := Source{Truth: s.truth(one)}
		if second {
			src.Truth, src.Programme = s.truth(two), 2
		}
		src.Path = s.ffmpeg(".ts", join(args, []string{"-map", "0", "-map", "1", "-c", "copy",
			"-program", "program_num=1:title=One:st=0:st=1", "-program", "program_num=2:title=Two:st=2:st=3"})...)
		return src
	}
}
