// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timecode"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

func TestEDLOfMatch(t *testing.T) {
	got, err := EDL(match(), 1)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "match.edl", []byte(got))
}

// eventAt has segments around the places where time code labels jump.
func eventAt(rate timeline.Rational, cuts ...[2]int64) Event {
	e := match()
	e.Timeline.Rate = api.Rational{Num: rate.Num, Den: rate.Den}
	e.Segments = nil
	for i, c := range cuts {
		e.Segments = append(e.Segments, segment(rate, fmt.Sprintf("%06d-0", i+1), c[0], c[1]))
	}
	return e
}

func TestEDLRates(t *testing.T) {
	cases := []struct {
		name string
		rate timeline.Rational
	}{
		{"23.976", r2398},
		{"24", timeline.Rational{Num: 24, Den: 1}},
		{"25", timeline.Rational{Num: 25, Den: 1}},
		{"29.97", r2997},
		{"30", timeline.Rational{Num: 30, Den: 1}},
		{"50", timeline.Rational{Num: 50, Den: 1}},
		{"59.94", r5994},
		{"60", timeline.Rational{Num: 60, Den: 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fps := timecode.Nominal(c.rate)
			// The last frame of a minute, a cut over ten minutes, a whole hour.
			got, err := EDL(eventAt(c.rate, [2]int64{60*fps - 1, 60*fps + 1},
				[2]int64{599 * fps, 601 * fps}, [2]int64{700 * fps, 4300 * fps}), 1)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".edl", []byte(got))
			consistent(t, got, c.rate)
		})
	}
}

// consistent reads the list back: the lengths of source and record agree, and
// the record times follow on each other.
func consistent(t *testing.T, list string, rate timeline.Rational) {
	t.Helper()
	var record int64
	for line := range strings.SplitSeq(list, "\n") {
		fields := strings.Fields(line)
		if len(fields) != 8 || fields[1] != "AX" {
			continue
		}
		var frames [4]int64
		for i, label := range fields[4:] {
			f, err := timecode.Parse(label, rate)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			frames[i] = f
		}
		if frames[2] != record || frames[1]-frames[0] != frames[3]-frames[2] || frames[1] <= frames[0] {
			t.Errorf("%s: frames %v after record time %d", line, frames, record)
		}
		record = frames[3]
	}
	if record == 0 {
		t.Error("no cut in the list")
	}
}

func TestEDLReducesTheRate(t *testing.T) {
	e := eventAt(timeline.Rational{Num: 50, Den: 2}, [2]int64{0, 25})
	if got, err := EDL(e, 1); err != nil || !strings.Contains(got, "00:00:00:00 00:00:01:00") {
		t.Errorf("50/2 frames a second: %v\n%s", err, got)
	}
}

func TestEDLWithoutAudio(t *testing.T) {
	e := match()
	e.Timeline.AudioTracks = nil
	got, err := EDL(e, 1)
	if err != nil || !strings.Contains(got, "001  AX       V     C        00:00:03:15") {
		t.Errorf("a list without audio: %v\n%s", err, got)
	}
}

func TestEDLUsesTheOptimizerOfItsTrack(t *testing.T) {
	e := eventAt(r2997, [2]int64{100, 200})
	e.Segments[0].Optimized = []api.SegmentOptimized{{Track: 2, In: at(r2997, 90), Out: at(r2997, 210)}}
	for track, want := range map[int32]string{1: "00:00:03;10 00:00:06;20", 2: "00:00:03;00 00:00:07;00"} {
		if got, err := EDL(e, track); err != nil || !strings.Contains(got, want) {
			t.Errorf("track %d lacks %s: %v\n%s", track, want, err, got)
		}
	}
}

func TestEDLLimits(t *testing.T) {
	r25 := timeline.Rational{Num: 25, Den: 1}
	var cuts [][2]int64
	for i := range int64(999) {
		cuts = append(cuts, [2]int64{i * 10, i*10 + 5})
	}
	if got, err := EDL(eventAt(r25, cuts...), 1); err != nil || !strings.Contains(got, "\n999  AX") {
		t.Errorf("999 cuts: %v", err)
	}
	// Just up to the end of the day is fine: the label of an out point is the
	// next midnight.
	day := int64(24 * 3600 * 25)
	if got, err := EDL(eventAt(r25, [2]int64{day - 25, day}), 1); err != nil ||
		!strings.Contains(got, "23:59:59:00 00:00:00:00") {
		t.Errorf("a cut up to midnight: %v\n%s", err, got)
	}
	dropDay := framesPerDay(r2997)
	if dropDay != 2589408 || framesPerDay(r5994) != 2*dropDay {
		t.Errorf("a drop-frame day has %d labels, want 2589408", dropDay)
	}

	cases := map[string]struct {
		event Event
		track int32
		want  string
	}{
		"a thousand cuts":    {eventAt(r25, append(cuts, [2]int64{9995, 9999})...), 1, "more than 999 segments"},
		"after midnight":     {eventAt(r25, [2]int64{day - 25, day + 1}), 1, "segment 000001-0 lies beyond 24 hours"},
		"drop-frame day":     {eventAt(r2997, [2]int64{0, dropDay + 1}), 1, "beyond 24 hours"},
		"an odd rate":        {eventAt(timeline.Rational{Num: 15, Den: 1}, [2]int64{0, 25}), 1, "no time code for 15 frames"},
		"no such track":      {match(), 3, "no audio track 3"},
		"no source was read": {Event{Plan: match().Plan}, 1, "no frame rate"},
	}
	for name, c := range cases {
		if _, err := EDL(c.event, c.track); !errors.Is(err, ErrNotExpressible) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for address, want := range map[string]string{
		"s3://bucket/a/match.mp4":                  "match.mp4",
		"https://h/x/final.ts?X-Amz-Signature=abc": "final.ts",
		"https://h/x/line%0Abreak.mp4":             "line_break.mp4",
		"https://h/x/l%C3%B6we.mp4?sig=%C3":        "löwe.mp4",
		"https://h/x/%E8%A9%A6%E5%90%88.mp4":       "試合.mp4",
		"https://h/x/%ff.mp4":                      "_.mp4",
		"s3://bucket/odd%zz.mp4":                   "odd%zz.mp4",
		"s3://bucket/who won?.mp4":                 "who won?.mp4",
		"s3://bucket/a/löwe#1.mp4":                 "löwe#1.mp4",
	} {
		if got := clipName(address); got != want {
			t.Errorf("clip name of %s is %q, want %q", address, got, want)
		}
	}
	if got := title(strings.Repeat("x", 100)); len(got) != 70 {
		t.Errorf("title has %d characters, want 70", len(got))
	}
}
