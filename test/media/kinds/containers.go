// SPDX-License-Identifier: Apache-2.0

package kinds

import "path/filepath"

// containers are ways to pack a film.
func containers() []Kind {
	return []Kind{
		{"edit-list", false, editList},
		{"moov-at-end-no-ranges", false, moovAtEnd},
		{"fragmented-mp4", true, packed(".mp4", 0, "-movflags", "frag_keyframe+empty_moov+default_base_moof")},
		{"hls-vod", true, hls},
		{"ts", true, packed(".ts", 0)},
		{"mkv", true, packed(".mkv", 1000)},
		{"flv", true, packed(".flv", 1000)},
		{"wrap-33-bit", true, packed(".ts", 0, "-output_ts_offset", "95437.7")},
		{"gop-10-s", false, coded(join(x264(250), aac()), ".mp4")},
		{"open-gop", false, coded(join(x264(25, "-x264-params", "open-gop=1", "-bf", "3", "-preset", "veryfast"), aac()),
			".mp4")},
		{"b-pyramid", true,
			coded(join(x264(50, "-x264-params", "b-pyramid=normal", "-bf", "5", "-preset", "veryfast"), aac()), ".mp4")},
		{"hevc-8-bit", false, coded(join(x265("yuv420p"), aac()), ".mp4")},
		{"hevc-10-bit", false, coded(join(x265("yuv420p10le"), aac()), ".mp4")},
		{"prores", false, coded([]string{"-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s16le"}, ".mov")},
		{"mpeg2-ts", false, coded([]string{"-c:v", "mpeg2video", "-g", "12", "-q:v",
			"3", "-c:a", "mp2", "-b:a", "256k"}, ".ts")},
	}
}

func x265(format string) []string {
	return []string{"-c:v", "libx265", "-preset", "ultrafast", "-crf", "20", "-g", "25", "-pix_fmt", format,
		"-x265-params", "log-level=none:pools=2:frame-threads=1", "-tag:v", "hvc1"}
}

// coded is a film of 25 pictures a second in a codec.
func coded(args []string, ext string) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, "25", 12).stereo()
		return Source{Path: s.encode(t, ext, args...), Truth: s.truth(t)}
	}
}

// packed is the plainest film in a container.
func packed(ext string, slack int64, args ...string) func(*shop) Source {
	return func(s *shop) Source {
		src := coded(join(x264(25), aac(), args), ext)(s)
		src.Slack = slack
		return src
	}
}

// editList is trimmed without encoding: an edit list hides what lies between the group's begin and the cut.
func editList(s *shop) Source {
	t := filmed(small, "25", 12).stereo()
	whole := s.encode(t, ".mp4", join(x264(50, "-bf", "0"), aac())...)
	shown := filmed(small, "25", 12-2.6)
	shown.begin = 65
	shown = shown.stereo()
	return Source{Path: s.ffmpeg(".mp4", "-ss", "2.6", "-i", "file:"+whole, "-c", "copy"), Truth: s.truth(shown)}
}

// moovAtEnd cannot be read from a server that gives files from their begin only.
func moovAtEnd(s *shop) Source {
	src := coded(join(x264(25), aac()), ".mp4")(s)
	src.Serving, src.Refusal = HTTPWithoutRanges, "seek"
	return src
}

// hls is a playlist with its segments, on a server.
func hls(s *shop) Source {
	src := coded(join(x264(25), aac(), []string{"-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod",
		"-hls_segment_filename", filepath.Join(s.dir, "part%d.ts")}), ".m3u8")(s)
	src.Serving = HTTP
	return src
}
