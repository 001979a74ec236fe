// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// joins are films that change, break off or have holes on their way.
func joins() []Kind {
	mpeg2 := []string{"-c:v", "mpeg2video", "-g", "12", "-q:v", "3", "-c:a", "mp2", "-b:a", "256k"}
	h264 := join(x264(25), aac())
	vp9 := []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "20", "-b:v", "0", "-g", "25",
		"-c:a", "libopus", "-b:a", "128k"}
	return []Kind{
		{"join-back-h264", true, joined(".ts", 0, h264, starts("500"), starts("20"))},
		{"join-back-mpeg2", false, joined(".ts", 0, mpeg2, starts("500"), starts("20"))},
		{"join-ahead-h264", true, joined(".ts", 0, h264, starts("10"), starts("4898"))},
		{"join-ahead-mpeg2", false, joined(".ts", 0, mpeg2, starts("10"), starts("4898"))},
		{"join-mkv", true, joined(".mkv", 1000, h264, nil, nil)},
		{"join-webm", false, opus(joined(".webm", 1000, vp9, nil, nil))},
		{"join-three-mkv-streams", true, joined(".mkv", 1000, join(h264, []string{"-live", "1"}), nil, nil, nil)},
		{"join-fragmented-mp4", true,
			joined(".mp4", 0, join(h264, []string{"-movflags", "frag_keyframe+empty_moov"}), nil, nil)},
		{"join-fragmented-mp4-relative", true, joined(".mp4", 0,
			join(h264, []string{"-movflags", "frag_keyframe+empty_moov+default_base_moof"}), nil, nil, nil)},
		{"clusters-swapped", true, clustersSwapped},
		{"cluster-time-wild", true, clusterWild},
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

// jitter is how far copied frames of sound may be off the end of those before them and still follow them.
const jitter = 5_000

// at puts a part of a transport stream at a time. Before ten seconds, the muxer would move time stamps on its own.
func at(seconds int) []string { return []string{"-output_ts_offset", fmt.Sprint(10 + seconds)} }

// starts puts the first time stamp somewhere.
func starts(seconds string) []string { return []string{"-output_ts_offset", seconds} }

// joined are recordings of 12 s one after the other, with time stamps of their own.
func joined(ext string, slack int64, args []string, more ...[]string) func(*shop) Source {
	return func(s *shop) Source {
		src := Source{Slack: slack, Truth: film.Truth{Looks: []film.Look{small}, Rate: rational("25")}}
		var parts []string
		for i, own := range more {
			t := filmed(small, "25", 12)
			t.begin = i * t.count
			parts = append(parts, s.encode(t.stereo(), ext, join(args, own)...))
			s.follow(&src, t)
		}
		src.Focus = append(src.Focus, src.Focus...)
		src.Path = s.cat(parts...)
		return src
	}
}

// follow adds a take behind what a source has. Sound around where they meet is not judged.
func (s *shop) follow(src *Source, t take) {
	if at := src.Truth.End; at > 0 {
		src.Focus = append(src.Focus, at)
		track := &src.Truth.Tracks[0]
		track.Soft = append(track.Soft, film.Span{From: at - joinSoft, To: at + joinSoft})
	}
	s.show(&src.Truth, t.stereo(), src.Truth.End)
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
	src.Truth = film.Truth{Looks: []film.Look{tiny}, Rate: rational("24"), Loose: true,
		LooseFrom: change*1e6 - 100_000, MayDrop: true}
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
			src.Truth.Tracks[0].Soft = append(src.Truth.Tracks[0].Soft,
				film.Span{From: border - joinSoft, To: border + joinSoft})
		}
		src.Path = s.cat(parts...)
		return src
	}
}

// clustersSwapped is a Matroska file in which the sixth second comes before the fifth.
func clustersSwapped(s *shop) Source {
	src := Source{Slack: 1000, CopySlack: jitter, Truth: film.Truth{Looks: []film.Look{small}, Rate: rational("25")}}
	whole := filmed(small, "25", 12)
	for _, part := range [][2]int{{0, 4}, {5, 6}, {4, 5}, {6, 12}} {
		t := whole
		t.begin, t.count = part[0]*25, (part[1]-part[0])*25
		s.follow(&src, t)
	}
	src.Path = s.edit(s.encode(whole.stereo(), ".mkv", join(x264(25), aac())...), func(raw []byte) ([]byte, error) {
		at, err := clusterStarts(raw)
		if err != nil || len(at) < 7 {
			return nil, fmt.Errorf("%d clusters: %w", len(at), err)
		}
		return slices.Concat(raw[:at[4]], raw[at[5]:at[6]], raw[at[4]:at[5]], raw[at[6]:]), nil
	})
	return src
}

// clusterWild is a Matroska file that says of its fifth second that it comes 20 minutes later.
func clusterWild(s *shop) Source {
	src := packed(".mkv", 1000)(s)
	src.Focus = []int64{4_000_000, 5_000_000}
	src.Path = s.edit(src.Path, func(raw []byte) ([]byte, error) {
		at, err := clusterStarts(raw)
		if err != nil || len(at) < 7 {
			return nil, fmt.Errorf("%d clusters: %w", len(at), err)
		}
		// A checksum makes room for a longer time.
		crc := bytes.Index(raw[at[4]:], []byte{0xbf, 0x84})
		if i := at[4] + crc; crc > 0 && raw[i+6] == 0xe7 && raw[i+7] == 0x82 {
			ms := uint64(raw[i+8])<<8 | uint64(raw[i+9])
			copy(raw[i:], binary.BigEndian.AppendUint64([]byte{0xe7, 0x88}, ms+20*60*1000))
			return raw, nil
		}
		return nil, errors.New("the cluster begins in another way")
	})
	return src
}

// clusterStarts finds the clusters of a Matroska file, and where the last one ends.
func clusterStarts(raw []byte) ([]int, error) {
	var at []int
	cluster := []byte{0x1f, 0x43, 0xb6, 0x75}
	for i := bytes.Index(raw, cluster); i >= 0 && i+12 <= len(raw); {
		if at = append(at, i); !bytes.Equal(raw[i:i+4], cluster) {
			return at, nil
		}
		size, width := ebmlSize(raw[i+4:])
		i += 4 + width + size
	}
	return nil, errors.New("the file has no whole clusters")
}
