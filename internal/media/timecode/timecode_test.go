// SPDX-License-Identifier: Apache-2.0

package timecode

import (
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

var (
	r2997 = timeline.Rational{Num: 30000, Den: 1001}
	r5994 = timeline.Rational{Num: 60000, Den: 1001}
	r25   = timeline.Rational{Num: 25, Den: 1}
	r2398 = timeline.Rational{Num: 24000, Den: 1001}
)

func TestFormat(t *testing.T) {
	cases := []struct {
		frame int64
		rate  timeline.Rational
		drop  bool
		want  string
	}{
		{1799, r2997, true, "00:00:59;29"},
		{1800, r2997, true, "00:01:00;02"},
		{17981, r2997, true, "00:09:59;29"},
		{17982, r2997, true, "00:10:00;00"},
		{107892, r2997, true, "01:00:00;00"},
		{2589407, r2997, true, "23:59:59;29"},
		{3600, r5994, true, "00:01:00;04"},
		{35964, r5994, true, "00:10:00;00"},
		{1800, r2997, false, "00:01:00:00"},
		{1501, r25, true, "00:01:00:01"},
		{1440, r2398, true, "00:01:00:00"},
		{2160000, r25, false, "00:00:00:00"},
	}
	for _, c := range cases {
		if got := Format(c.frame, c.rate, c.drop); got != c.want {
			t.Errorf("Format(%d, %s, %v) = %s, want %s", c.frame, c.rate, c.drop, got, c.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, rate := range []timeline.Rational{r2997, r5994, r25, r2398} {
		for _, drop := range []bool{false, true} {
			day := int64(86400) * rate.Num / rate.Den
			for f := int64(0); f < day; f += 61 {
				label := Format(f, rate, drop)
				got, err := Parse(label, rate)
				if err != nil || got != f {
					t.Fatalf("rate %s drop %v: %d -> %s -> %d, %v", rate, drop, f, label, got, err)
				}
			}
		}
	}
}

func TestParseRejects(t *testing.T) {
	for _, c := range []struct {
		label string
		rate  timeline.Rational
	}{
		{"00:01:00;00", r2997}, {"00:00:00;00", r25}, {"00:00:61:00", r25},
		{"00:00:00:25", r25}, {"1", r25}, {"00:00:00.10", r25},
	} {
		if f, err := Parse(c.label, c.rate); err == nil {
			t.Errorf("%q at %s: read as %d", c.label, c.rate, f)
		}
	}
}
