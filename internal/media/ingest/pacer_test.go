// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// TestDamagedStamps has ten pictures of 25 fps before a picture whose stamp is in doubt.
func TestDamagedStamps(t *testing.T) {
	const period, last = 3600, 900_000 + 9*3600
	for _, c := range []struct {
		name               string
		stamp, after, want int64
	}{
		{"a hole", last + 90_000, last + 90_000 + period, last + 90_000},
		{"a hole of half an hour", last + 1800*90_000, last + 1800*90_000 + period, last + 1800*90_000},
		{"ahead, and the next goes on", last + 32*90_000, last + 2*period, last + period},
		{"ahead, and the next is missing", last + 32*90_000, last + 3*period, last + period},
		{"ahead, and the next is close", last + 32*90_000, last + period, last + period/2},
		{"behind, and the next goes on", last - 5*90_000, last + 2*period, last + period},
		{"twice, with a place of its own", last, last + 2*period, last + period},
		{"twice, without a place", last, last + period, last},
		{"all go back", last - 90_000, last - 90_000 + period, last - 90_000},
		{"ahead, and all go back", last + 90_000, last - 90_000, last + 90_000},
		{"ahead across the wrap", timeline.WrapTicks + last + 32*90_000, last + 2*period, last + period},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPacer(Config{Decision: probe.Decision{Rate: timeline.Rational{Num: 25, Den: 1}}})
			for i := range int64(10) {
				if s := 900_000 + i*period; i > 0 && p.doubts(s) {
					t.Errorf("picture %d is in doubt", i)
				} else if frame, ok := p.place(s); frame != i || !ok {
					t.Fatalf("picture %d has frame %d", i, frame)
				}
			}
			if !p.doubts(c.stamp) {
				t.Fatal("the stamp is not in doubt")
			}
			if got := p.between(c.stamp, c.after); got != c.want {
				t.Errorf("%d ticks behind the last picture instead of %d", got-last, c.want-last)
			}
			next := fmt.Sprintf("frame:11   pts:%d pts_time:0\n", c.after-probe.OffsetTicks)
			lines := &stampLines{in: bufio.NewScanner(strings.NewReader(next))}
			at, err := (&filmstrip{pace: p}).confirmed(stamp{ticks: c.stamp}, lines)
			if err != nil || at.ticks != c.want {
				t.Errorf("the filmstrip takes it for %d ticks behind the last picture instead of %d (%v)",
					at.ticks-last, c.want-last, err)
			}
		})
	}
}

func TestStampLines(t *testing.T) {
	l := &stampLines{in: bufio.NewScanner(strings.NewReader("frame:0    pts:-20     pts_time:-0.0002\nat=0\n" +
		"frame:1    pts:NOPTS   pts_time:NOPTS\nat=0\nframe:2    pts:7200    pts_time:0.08\n"))}
	if s, ok, err := l.peek(); !ok || err != nil || s.ticks != probe.OffsetTicks-20 {
		t.Errorf("peeked %v, %t, %v", s, ok, err)
	}
	var got []stamp
	for {
		s, ok, err := l.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		got = append(got, s)
	}
	want := []stamp{{ticks: probe.OffsetTicks - 20}, {missing: true}, {ticks: probe.OffsetTicks + 7200}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(stamp{})); diff != "" {
		t.Error(diff)
	}
	if _, ok, err := (&stampLines{in: bufio.NewScanner(strings.NewReader("frame:0 pts:x1 pts_time:0"))}).next(); ok ||
		err == nil {
		t.Errorf("a damaged line is taken: %t, %v", ok, err)
	}
}
