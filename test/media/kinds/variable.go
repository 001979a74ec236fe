// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"math"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// variable are films whose pictures do not come one in each period.
func variable() []Kind {
	return []Kind{
		{"phone-4-dropped", true, picked("30", 12, dropped, "not(eq(n,71)+eq(n,72)+eq(n,200)+eq(n,301))",
			[]int64{2_400_000, 6_700_000})},
		{"phone-vfr", false, phone},
		{"screen-bursts", false, picked("60", 12, burst, "lt(mod(n,180),30)+not(mod(n,20))", []int64{3_000_000})},
		{"last-picture-stays", true, lastStays},
		{"slides", false, slides},
	}
}

// burst is a screen recording: a picture now and then, and half a second of 60 a second every three seconds.
func burst(n int) bool { return n%180 < 30 || n%20 == 0 }

// dropped is a phone that missed four pictures.
func dropped(n int) bool { return n != 71 && n != 72 && n != 200 && n != 301 }

// picked leaves out pictures of a constant rate; keep and its expression say the same.
func picked(rate string, length float64, keep func(n int) bool, expression string, focus []int64) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, rate, length).stereo()
		src := Source{Truth: s.truth(t), Focus: focus}
		src.Truth.Pictures = src.Truth.Pictures[:0]
		for i, p := range s.truth(t).Pictures {
			if keep(i) {
				src.Truth.Pictures = append(src.Truth.Pictures, p)
			}
		}
		src.Path = s.encode(t, ".mp4", join(x264(second(rate), "-vf", "select='"+expression+"'",
			"-fps_mode", "passthrough"), aac(), timescale(rate))...)
		return src
	}
}

// phone leaves out every eleventh picture and lets the others come up to 4 ms early or late.
func phone(s *shop) Source {
	const rate = "30"
	t := filmed(small, rate, 12).stereo()
	src := Source{Truth: s.truth(t), Focus: []int64{4_000_000}}
	src.Truth.Pictures = nil
	jitter := func(n int) float64 { return 0.004 * math.Sin(1.7*float64(n)) }
	for i, p := range s.truth(t).Pictures {
		if i%11 != 7 {
			p.At += int64(1e6 * jitter(i))
			src.Truth.Pictures = append(src.Truth.Pictures, p)
		}
	}
	src.Truth.Loose = true
	src.Path = s.encode(t, ".mp4", join(x264(second(rate), "-vf", "settb=1/90000,setpts='(N/30+0.004*sin(1.7*N))*90000',"+
		"select='not(eq(mod(n,11),7))'", "-fps_mode", "passthrough", "-enc_time_base", "1/90000"), aac(),
		[]string{"-video_track_timescale", "90000"})...)
	return src
}

// lastStays is a constant rate whose last picture is shown for four seconds more.
func lastStays(s *shop) Source {
	t := filmed(small, "25", 12)
	t.sounds = []tone{{channels: 2, layout: "stereo", len: 16_000_000}}
	src := Source{Truth: s.truth(t), Focus: []int64{12_500_000, 15_000_000}}
	src.Truth.End = 16_000_000
	src.Path = s.encode(t, ".mp4", join(x264(25), aac(), timescale("25"))...)
	return src
}

// slides are a picture every seven seconds, and sound until long after the last.
func slides(s *shop) Source {
	t := take{look: small, rate: "1/7", count: 6, sounds: []tone{{channels: 2, layout: "stereo", len: 44_000_000}}}
	src := Source{Truth: s.truth(t), Focus: []int64{35_000_000, 42_000_000, 7_000_000}}
	src.Truth.End = 44_000_000
	src.Truth.Rate = film.Truth{}.Rate
	src.Path = s.encode(t, ".mp4", join(x264(1), aac(), []string{"-video_track_timescale", "12800"})...)
	return src
}
