// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"fmt"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// joins are films that change, break off or have holes on their way.
func joins() []Kind {
	mpeg2 := []string{"-c:v", "mpeg2video", "-g", "12", "-q:v", "3", "-c:a", "mp2", "-b:a", "256k"}
	h264 := join(x264(25), aac())
	return []Kind{
		{"join-back-h264", true, joined(h264, "500", "20")},
		{"join-back-mpeg2", false, joined(mpeg2, "500", "20")},
		{"join-ahead-h264", true, joined(h264, "10", "4898")},
		{"join-ahead-mpeg2", false, joined(mpeg2, "10", "4898")},
		{"hole-3-s", false, hole(".ts", 12, 5, 3, true)},
		{"hole-after-130-s", true, hole(".ts", 145, 131, 3, true)},
		{"hole-while-sound-goes-on", true, hole(".mkv", 145, 131, 3, false)},
		{"rate-change", true, rateChange},
		{"size-change-h264", true, sizeChange(h264, film.Look{Width: 320, Height: 180})},
		{"size-change-mpeg2", false, lastOptional(sizeChange(mpeg2, film.Look{Width: 320, Height: 180}))},
		{"shape-change-h264", true, sizeChange(h264, film.Look{Width: 160, Height: 120})},
	}
}

// joinSoft is not judged around a join: the encoders' begin and end.
const joinSoft = 120_000

// at puts a part of a transport stream at a time. Before ten seconds, the muxer would move time stamps on its own.
func at(seconds int) []string { return []string{"-output_ts_offset", fmt.Sprint(10 + seconds)} }

// joined are two recordings one after the other, with time stamps of their own.
func joined(args []string, offsets ...string) func(*shop) Source {
	return func(s *shop) Source {
		src := Source{Focus: []int64{12_000_000, 12_000_000}}
		src.Truth = film.Truth{Looks: []film.Look{small}, Rate: rational("25")}
		var parts []string
		for i, off := range offsets {
			t := filmed(small, "25", 12)
			t.begin = i * t.count
			t = t.stereo()
			parts = append(parts, s.encode(t, ".ts", join(args, []string{"-output_ts_offset", off})...))
			s.show(&src.Truth, t, src.Truth.End)
		}
		src.Truth.Tracks[0].Soft = []film.Span{{From: 12_000_000 - joinSoft, To: 12_000_000 + joinSoft}}
		src.Path = s.cat(parts...)
		return src
	}
}

// hole leaves out some seconds of pictures, with or without the sound beside them.
func hole(ext string, length float64, from, n int, soundToo bool) func(*shop) Source {
	return func(s *shop) Source {
		const rate = 10
		t := filmed(tiny, "10", length).stereo()
		src := Source{Focus: []int64{int64(from) * 1e6, int64(from+n) * 1e6}, Truth: s.truth(t)}
		if ext == ".mkv" {
			src.Slack = 1000
		}
		src.Truth.Pictures = nil
		for i, p := range s.truth(t).Pictures {
			if i < from*rate || i >= (from+n)*rate {
				src.Truth.Pictures = append(src.Truth.Pictures, p)
			}
		}
		whole := s.encode(t, ext, join(x264(rate, "-bf", "0"), aac())...)
		args := []string{"-i", "file:" + whole, "-map", "0", "-c", "copy", "-bsf:v",
			fmt.Sprintf("noise=drop='between(n,%d,%d)'", from*rate, (from+n)*rate-1)}
		if soundToo {
			track := &src.Truth.Tracks[0]
			run := track.Runs[0]
			// One frame of AAC is 1024 samples; the first holds the encoder's delay.
			first, last := from*film.SampleRate/1024+1, (from+n)*film.SampleRate/1024
			args = append(args, "-bsf:a", fmt.Sprintf("noise=drop='between(n,%d,%d)'", first, last))
			a, b := int64(from)*1e6, int64(from+n)*1e6
			after := run
			after.At, after.From, after.Len = b, run.From+samples(b), run.Len-b
			run.Len = a
			track.Runs = []film.Run{run, after}
			track.Soft = []film.Span{{From: a - joinSoft, To: a + joinSoft}, {From: b - joinSoft, To: b + joinSoft}}
		}
		src.Path = s.ffmpeg(ext, args...)
		return src
	}
}

// rateChange is 24 pictures a second, and later 30: a camera in changing light.
func rateChange(s *shop) Source {
	const change = 125
	a := filmed(tiny, "24", change).stereo()
	b := filmed(tiny, "30", 10)
	b.begin = change * 30
	b = b.stereo()
	src := Source{Focus: []int64{change * 1e6, (change + 5) * 1e6}}
	src.Truth = film.Truth{Looks: []film.Look{tiny}, Rate: rational("24"), Loose: true, LooseFrom: change*1e6 - 100_000, MayDrop: true}
	s.show(&src.Truth, a, 0)
	s.show(&src.Truth, b, src.Truth.End)
	src.Truth.Tracks[0].Soft = []film.Span{{From: change*1e6 - joinSoft, To: change*1e6 + joinSoft}}
	src.Path = s.cat(
		s.encode(a, ".ts", join(x264(24), aac(), at(0))...),
		s.encode(b, ".ts", join(x264(30), aac(), at(change))...))
	return src
}

// lastOptional is for a decoder that loses the picture before a change.
func lastOptional(of func(*shop) Source) func(*shop) Source {
	return func(s *shop) Source {
		src := of(s)
		for i := range len(src.Truth.Pictures) - 1 {
			p := &src.Truth.Pictures[i]
			p.Optional = p.Look != src.Truth.Pictures[i+1].Look
		}
		return src
	}
}

// sizeChange has pictures of another size in its middle, as television has advertisements.
func sizeChange(args []string, other film.Look) func(*shop) Source {
	return func(s *shop) Source {
		src := Source{Focus: []int64{6_000_000, 12_000_000}}
		src.Truth = film.Truth{Rate: rational("25")}
		var parts []string
		for i, look := range []film.Look{small, other, small} {
			t := filmed(look, "25", 6)
			t.begin = i * t.count
			t = t.stereo()
			src.Truth.Looks = append(src.Truth.Looks, look)
			parts = append(parts, s.encode(t, ".ts", join(args, at(6*i))...))
			s.show(&src.Truth, t, src.Truth.End)
			border := src.Truth.End
			src.Truth.Tracks[0].Soft = append(src.Truth.Tracks[0].Soft, film.Span{From: border - joinSoft, To: border + joinSoft})
		}
		src.Path = s.cat(parts...)
		return src
	}
}
