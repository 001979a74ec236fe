// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"strconv"
)

// rates are constant frame rates in MP4.
func rates() []Kind {
	return []Kind{
		{"25", true, constant("25", 12)},
		{"29.97", true, constant("30000/1001", 12)},
		{"23.976", true, constant("24000/1001", 12)},
		{"50", true, constant("50", 10)},
		{"59.94", true, constant("60000/1001", 10)},
		{"1-per-second", true, constant("1", 20)},
		{"30.001", true, constant("30001/1000", 12)},
		// Half a picture away from 10 per second after 250 s, and less than a quarter in the first 120 s.
		{"10.002-long", true, drifting("10002/1000", 275, 250_000_000)},
		// Half a picture away from 30 per second after 50 s.
		{"30.01", true, drifting("90000/2999", 60, 50_000_000)},
		{"100", true, halved("100", "50")},
		{"119.88", true, halved("120000/1001", "60000/1001")},
	}
}

// timescale makes every picture of a rate a whole number of the MP4's units.
func timescale(rate string) []string {
	n := rational(rate).Num
	for n < 10000 {
		n *= 10
	}
	return []string{"-video_track_timescale", strconv.FormatInt(n, 10)}
}

// second is a group of pictures of about a second.
func second(rate string) int { return max(int(rational(rate).Float()+0.5), 1) }

func constant(rate string, length float64) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, rate, length).stereo()
		return Source{Path: s.encode(t, ".mp4", join(x264(second(rate)), aac(), timescale(rate))...), Truth: s.truth(t)}
	}
}

// drifting is a rate that is not quite a usual one. What it adds up to shows at the focus.
func drifting(rate string, length float64, focus int64) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(tiny, rate, length).stereo()
		src := Source{Path: s.encode(t, ".mp4", join(x264(second(rate)), aac(), timescale(rate))...), Truth: s.truth(t),
			Focus: []int64{focus, micros(t.count, rate) - 2_000_000}}
		src.Truth.Drifts = true
		return src
	}
}

// halved is a rate above 60, of which a mezzanine takes every second picture.
func halved(rate, mezzanine string) func(*shop) Source {
	return func(s *shop) Source {
		t := filmed(small, rate, 8).stereo()
		src := Source{Truth: s.truth(t)}
		// FFmpeg would guess 120 for 119.88.
		src.Path = s.encode(t, ".mp4", join(x264(second(rate), "-r", rate), aac(), timescale(rate))...)
		src.Truth.MezzanineRate = rational(mezzanine)
		return src
	}
}
