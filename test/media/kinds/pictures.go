// SPDX-License-Identifier: Apache-2.0

package kinds

import "github.com/mre-operator/mre-operator/test/media/film"

// pictures are kinds of interlacing and colour.
func pictures() []Kind {
	bt709 := film.Colour{Matrix: "bt709", Transfer: "bt709", Primaries: "bt709", PixelFormat: "yuv420p"}
	sd := film.Colour{Levels: true, Matrix: "smpte170m", Transfer: "smpte170m", Primaries: "smpte170m"}
	const pq = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
	const hlg = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc"
	tags := func(transfer string) []string {
		return []string{"-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc", "-color_range", "tv"}
	}
	return []Kind{
		{"dv", false, fields(film.Look{Width: 720, Height: 576, PixelNum: 16, PixelDen: 15}, true, ".avi",
			[]string{"-c:v", "dvvideo", "-aspect", "4:3", "-c:a", "pcm_s16le"})},
		{"mbaff", false, fields(film.Look{Width: 320, Height: 192}, false, ".ts",
			join(x264(25, "-vf", "setfield=tff", "-flags", "+ildct+ilme", "-preset", "veryfast"), aac()))},
		{"mpeg2-interlaced", false, fields(film.Look{Width: 320, Height: 192}, false, ".ts",
			[]string{"-c:v", "mpeg2video", "-vf", "setfield=tff", "-flags", "+ildct+ilme", "-g", "12", "-q:v", "3",
				"-c:a", "mp2", "-b:a", "256k"})},
		{"hdr-pq-hevc", false, coloured(bt709, false, join([]string{"-c:v", "libx265", "-preset", "ultrafast", "-g", "25",
			"-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", "-x265-params", "log-level=none:pools=2:frame-threads=1:" + pq},
			tags("smpte2084"), aac()))},
		{"hdr-pq-hevc-kept", false, kept(coloured(film.Colour{Levels: true, Matrix: "bt2020nc", Transfer: "smpte2084",
			Primaries: "bt2020", PixelFormat: "yuv420p10le"}, false, join([]string{"-c:v", "libx265", "-preset", "ultrafast",
			"-g", "25", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", "-x265-params",
			"log-level=none:pools=2:frame-threads=1:" + pq}, tags("smpte2084"), aac())))},
		{"hdr-hlg-h264", false, coloured(bt709, false, join(x264(25, "-pix_fmt", "yuv420p10le", "-x264-params", hlg),
			tags("arib-std-b67"), aac()))},
		{"full-range", true, coloured(film.Colour{Levels: true}, true,
			join(x264(25, "-x264-params", "fullrange=on"), aac()))},
		{"matrix-601", true, coloured(sd, false, join(x264(25, "-x264-params",
			"colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m:fullrange=off"), aac()))},
	}
}

// fields is a film of two moments in each picture.
func fields(look film.Look, bottomFirst bool, ext string, args []string) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(look, "25", 6).stereo()
		t.interlaced, t.bottomFirst = true, bottomFirst
		src := Source{Path: s.encode(t, ext, args...), Truth: s.truth(t)}
		src.Truth.Interlaced = true
		return src
	}
}

// kept asks for pictures as they are.
func kept(of func(*shop) Source) func(*shop) Source {
	return func(s *shop) Source {
		src := of(s)
		src.KeepHDR = true
		return src
	}
}

// coloured is a film whose outputs should have the given tags.
func coloured(c film.Colour, fullRange bool, args []string) func(*shop) Source {
	return func(s *shop) Source {
		look := small
		look.FullRange = fullRange
		t := filmed(look, "25", 8).stereo()
		src := Source{Path: s.encode(t, ".mp4", args...), Truth: s.truth(t)}
		src.Truth.Colour = c
		return src
	}
}
