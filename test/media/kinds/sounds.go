// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"fmt"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// sounds are kinds of sound beside a film that is plain otherwise.
func sounds() []Kind {
	mpeg2 := []string{"-c:v", "mpeg2video", "-g", "12", "-q:v", "3"}
	mp2 := []string{"-c:a", "mp2", "-b:a", "256k"}
	mpeg4 := []string{"-c:v", "mpeg4", "-q:v", "3", "-c:a", "ac3", "-b:a", "256k"}
	stereo, mono := tone{channels: 2, layout: "stereo"}, tone{channels: 1, layout: "mono"}
	surround := tone{channels: 6, layout: "5.1(side)"}
	return []Kind{
		{"no-sound", true, heard(".mp4", nil)},
		{"two-tracks", true, heard(".mp4", aac(), stereo, stereo)},
		{"aac-mono-22-khz", true, heard(".mp4", aac("-ar", "22050", "-b:a", "96k"), mono)},
		{"aac-44-khz", true, heard(".mp4", aac("-ar", "44100"), stereo)},
		{"aac-16-khz", true, lowRate},
		{"aac-5.1", true, heard(".mp4", aac("-b:a", "640k"), tone{channels: 6, layout: "5.1"})},
		{"aac-5.1-loud", true, heard(".mp4", aac("-b:a", "640k"), tone{channels: 6, layout: "5.1", loud: 5})},
		{"aac-5.1-pce", false, heard(".mp4", aac("-b:a", "640k"), surround)},
		{"aac-5.1-pce-ts", false, heard(".ts", aac("-b:a", "640k"), surround)},
		{"flac-7.1", true, slack(1000, heard(".mkv", []string{"-c:a", "flac"}, tone{channels: 8, layout: "7.1"}))},
		{"pcm-8-discrete", true, heard(".mov", []string{"-c:a", "pcm_s16le"}, tone{channels: 8})},
		{"pcm-10-discrete", true, heard(".mov", []string{"-c:a", "pcm_s16le"}, tone{channels: 10})},
		{"h264-ac3", true, heard(".ts", []string{"-c:a", "ac3", "-b:a", "448k"}, surround)},
		{"h264-eac3", true, heard(".ts", []string{"-c:a", "eac3", "-b:a", "256k"}, stereo)},
		{"h264-mp2", true, heard(".ts", mp2, stereo)},
		{"h264-mp3", true, heard(".mp4", []string{"-c:a", "libmp3lame", "-b:a", "256k"}, stereo)},
		{"h264-pcm", true, heard(".mov", []string{"-c:a", "pcm_s16le"}, stereo)},
		{"h264-opus", true, slack(1000, opus(heard(".mkv", []string{"-c:a", "libopus", "-b:a", "256k"}, stereo)))},
		{"aac-rate-change", true, changing(x264(25), [][]string{aac(), aac("-ar", "32000"), aac()}, stereo, stereo, stereo)},
		{"aac-stereo-mono", true, changing(x264(25), [][]string{aac(), aac("-b:a", "96k"), aac()}, stereo, mono, stereo)},
		{"ac3-stereo-5.1", false, changing(mpeg2, [][]string{{"-c:a", "ac3", "-b:a", "256k"}, {"-c:a", "ac3", "-b:a", "448k"},
			{"-c:a", "ac3", "-b:a", "256k"}}, stereo, surround, stereo)},
		{"aac-packets-lost", true, packetsLost},
		{"mp2-frames-lost", false, framesLost(join(mpeg2, mp2))},
		{"aac-clock-slow", true, slow(join(x264(25), aac()))},
		{"mp2-clock-slow", false, slow(join(mpeg2, mp2))},
		{"sound-first-10-fps", false, slack(1000, early("10", ".mkv", -145_000, mpeg4...))},
		{"sound-first-2-fps", false, slack(1000, early("2", ".mkv", -239_000, mpeg4...))},
		{"sound-first-ts", false, early("25", ".ts", -45_000, join(mpeg2, mp2)...)},
		{"sound-first-webm", false,
			slack(1000, opus(early("30000/1001", ".webm", -50_000, "-c:v", "libvpx-vp9", "-deadline", "realtime",
				"-cpu-used", "8", "-g", "30", "-b:v", "500k", "-c:a", "libopus", "-b:a", "256k")))},
		{"sound-first-flv", false,
			slack(1000, early("25", ".flv", -157_000, "-c:v", "flv1", "-q:v", "3", "-c:a", "libmp3lame",
				"-ar", "44100", "-b:a", "256k"))},
		{"sound-first-h264", true, early("25", ".mp4", -145_000, join(x264(25), aac())...)},
		{"sound-late-h264", true, early("25", ".ts", 350_000, join(x264(25), aac())...)},
		{"sound-ends-early", true, partly(".mp4", 0, 5_000_000, 14_000_000)},
		{"silent-from-start", true, partly(".ts", 5_000_000, 11_000_000, 2_000_000)},
		{"sound-hole", true, soundHole},
	}
}

// heard is a film with the given sound.
func heard(ext string, args []string, tones ...tone) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, "25", 12)
		for _, a := range tones {
			t = t.with(a)
		}
		return Source{Path: s.encode(t, ext, join(x264(25), args)...), Truth: s.truth(t)}
	}
}

// slack is for containers that round times.
func slack(us int64, of func(*shop) Source) func(*shop) Source {
	return func(s *shop) Source {
		src := of(s)
		src.Slack = us
		return src
	}
}

// opus is for FFmpeg's Matroska muxer, which puts Opus early by the encoder's delay of 312 samples.
func opus(of func(*shop) Source) func(*shop) Source {
	return func(s *shop) Source {
		src := of(s)
		for i := range src.Truth.Tracks[0].Runs {
			src.Truth.Tracks[0].Runs[i].At -= 6_500
		}
		return src
	}
}

// lowRate has frames of sound that are as long as four pictures.
func lowRate(s *shop) Source {
	t := filmed(small, "60000/1001", 10).stereo()
	return Source{Path: s.encode(t, ".mp4", join(x264(60), aac("-ar", "16000", "-b:a", "96k"), timescale(t.rate))...),
		Truth: s.truth(t)}
}

// changing has sound of another form in each of its parts.
func changing(video []string, audio [][]string, tones ...tone) func(*shop) Source {
	return func(s *shop) Source {
		src := Source{Focus: []int64{6_000_000, 12_000_000}}
		src.Truth = film.Truth{Looks: []film.Look{small}, Rate: rational("25")}
		var parts []string
		for i, a := range tones {
			t := filmed(small, "25", 6)
			t.begin = i * t.count
			t = t.with(a)
			parts = append(parts, s.encode(t, ".ts", join(video, audio[i], at(6*i))...))
			s.show(&src.Truth, t, src.Truth.End)
			border := src.Truth.End
			src.Truth.Tracks[0].Soft = append(src.Truth.Tracks[0].Soft,
				film.Span{From: border - joinSoft, To: border + joinSoft})
		}
		src.Path = s.cat(parts...)
		return src
	}
}

// packetsLost lacks four transport packets of its sound.
func packetsLost(s *shop) Source {
	t := filmed(small, "25", 12).stereo()
	src := Source{Truth: s.truth(t), Focus: []int64{2_000_000, 6_200_000, 9_000_000}}
	whole := s.encode(t, ".ts", join(x264(25), aac())...)
	src.Path = s.edit(whole, func(raw []byte) ([]byte, error) {
		out, lost := withoutPackets(raw, 0x101, src.Focus[0], src.Focus[1], src.Focus[1]+100_000, src.Focus[2])
		for _, at := range lost {
			src.Truth.Tracks[0].Soft = append(src.Truth.Tracks[0].Soft, film.Span{From: at - 100_000, To: at + 300_000})
		}
		if len(lost) != 4 {
			return nil, fmt.Errorf("left out %d packets of sound instead of 4", len(lost))
		}
		return out, nil
	})
	return src
}

// framesLost lacks two frames of MP2 every five seconds.
func framesLost(args []string) func(*shop) Source {
	return func(s *shop) Source {
		const every, first, frame, delay = 208, 100, 1152, 481
		t := filmed(small, "25", 22).stereo()
		src := Source{Truth: s.truth(t), Focus: []int64{21_000_000, 8_000_000}}
		for n := first; n*frame < 22*film.SampleRate; n += every {
			at := int64(n*frame-delay) * 1_000_000 / film.SampleRate
			src.Truth.Tracks[0].Soft = append(src.Truth.Tracks[0].Soft, film.Span{From: at - 60_000, To: at + 110_000})
		}
		whole := s.encode(t, ".ts", args...)
		src.Path = s.ffmpeg(".ts", "-i", "file:"+whole, "-map", "0:v", "-map", "0:a", "-c", "copy", "-bsf:a",
			fmt.Sprintf("noise=drop='between(mod(n,%d),%d,%d)'", every, first, first+1))
		return src
	}
}

// slow has sound whose clock runs 0.4 % slow: its time stamps are further apart than its samples.
func slow(args []string) func(*shop) Source {
	return func(s *shop) Source {
		const ppm = 4000
		t := filmed(small, "25", 22).stereo()
		src := Source{Truth: s.truth(t), Focus: []int64{20_000_000, 11_000_000}, CopySlack: 4_000}
		run := &src.Truth.Tracks[0].Runs[0]
		run.SlowPPM, run.Len = ppm, run.Len+run.Len*ppm/1_000_000
		// The Event may end with the pictures or with the sound.
		src.Truth.MoreFrames = 3
		whole := s.encode(t, ".ts", args...)
		src.Path = s.ffmpeg(".ts", "-i", "file:"+whole, "-map", "0:v", "-map", "0:a", "-c", "copy", "-copyts",
			"-bsf:a", "setts=ts=STARTPTS+(TS-STARTPTS)*1.004")
		return src
	}
}

// early has sound that begins before the first picture, or late after it.
func early(rate, ext string, at int64, args ...string) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, rate, 16)
		t.sounds = []tone{{channels: 2, layout: "stereo", at: at, len: micros(t.count, rate) - at}}
		return Source{Path: s.encode(t, ext, args...), Truth: s.truth(t)}
	}
}

// partly has sound for a part of the film only; the first cut goes where there is none.
func partly(ext string, at, length, silent int64) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, "25", 16)
		t.sounds = []tone{{channels: 2, layout: "stereo", at: at, len: length}}
		return Source{Path: s.encode(t, ext, join(x264(25), aac())...), Truth: s.truth(t), Focus: []int64{silent}}
	}
}

// soundHole lacks three seconds of sound while the pictures go on.
func soundHole(s *shop) Source {
	t := filmed(small, "25", 14).stereo()
	src := Source{Truth: s.truth(t), Focus: []int64{6_500_000, 10_000_000, 5_000_000}}
	const a, b = 5_000_000, 8_000_000
	track := &src.Truth.Tracks[0]
	run := track.Runs[0]
	after := run
	after.At, after.From, after.Len = b, run.From+samples(b), run.Len-b
	run.Len = a
	track.Runs = []film.Run{run, after}
	track.Soft = []film.Span{{From: a - joinSoft, To: a + joinSoft}, {From: b - joinSoft, To: b + joinSoft}}
	whole := s.encode(t, ".ts", join(x264(25), aac())...)
	src.Path = s.ffmpeg(".ts", "-i", "file:"+whole, "-map", "0", "-c", "copy", "-bsf:a",
		fmt.Sprintf("noise=drop='between(n,%d,%d)'", samples(a)/1024+1, samples(b)/1024))
	return src
}
