// SPDX-License-Identifier: Apache-2.0

package source

import (
	"testing"
	"time"
)

func TestPlaceOfFragments(t *testing.T) {
	const s = time.Second
	// Ten seconds came, the last two in a fragment of their own.
	cases := []struct {
		name              string
		first, last, next time.Duration
		over, fresh       bool
		want              verdict
	}{
		{"goes on", 10 * s, 12 * s, -1, false, false, stays},
		{"pictures of an open group", 10*s - 80*time.Millisecond, 12 * s, -1, false, false, stays},
		{"a hole", 3600 * s, 3602 * s, 3602 * s, false, false, stays},
		{"a hole, and another", 20 * s, 22 * s, 40 * s, false, false, stays},
		{"a hole before the end", 3600 * s, 3602 * s, -1, true, false, stays},
		{"what follows tells", 3600 * s, 3602 * s, -1, false, false, unclear},
		{"a damaged time, ahead", 1200 * s, 1202 * s, 12 * s, false, false, follows},
		{"a damaged time, back", 2 * s, 4 * s, 12 * s, false, false, follows},
		{"out of order, ahead", 12 * s, 14 * s, 10 * s, false, false, follows},
		{"out of order, back", 6 * s, 8 * s, 14 * s, false, false, follows},
		{"back", 0, 2 * s, -1, false, false, unclear},
		{"a join", 0, 2 * s, 2 * s, false, false, joins},
		{"a join before the end", 0, 2 * s, -1, true, false, joins},
		{"a join, and a hole", 0, 2 * s, 5 * s, false, false, joins},
		{"a join with an overlap", 9 * s, 11 * s, 11 * s, false, false, joins},
		{"back within half a second", 7*s + 700*time.Millisecond, 8 * s, 8 * s, false, false, joins},
		{"a second file", 0, 2 * s, -1, false, true, joins},
		{"a second file that begins where the first ended", 10 * s, 12 * s, -1, false, true, stays},
		{"a second file behind a hole", 20 * s, 22 * s, 22 * s, false, true, stays},
	}
	for _, c := range cases {
		in := situation{end: int64(10 * s), before: int64(8 * s), first: int64(c.first), last: int64(c.last),
			next: int64(c.next), hasNext: c.next >= 0, over: c.over, fresh: c.fresh}
		if got := in.verdict(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestFollow: the picture follows the picture; much sound is not laid upon sound.
func TestFollow(t *testing.T) {
	at := func(k kind, ms ...int64) *line {
		l := &line{kind: k}
		for _, v := range ms {
			l.add(v * 1e6)
		}
		return l
	}
	cases := []struct {
		name     string
		lines    []*line
		first    []int64
		shift    int64
		pictures bool
	}{
		{"pictures", []*line{at(sound, 0, 20, 40, 60), at(picture, 0, 40, 80)}, []int64{0, 0}, 120, true},
		{"sound ends a little later", []*line{at(sound, 300, 320, 340), at(picture, 0, 40, 80)}, []int64{0, 0}, 120, true},
		{"sound ends much later", []*line{at(sound, 960, 980), at(picture, 0, 40, 80)}, []int64{0, 0}, 1000, true},
		{"sound alone", []*line{at(sound, 0, 20, 40, 60)}, []int64{5000}, 80 - 5000, false},
	}
	for _, c := range cases {
		var spans []*span
		for i, l := range c.lines {
			spans = append(spans, &span{line: l, times: []int64{c.first[i] * 1e6}})
		}
		by := lead(spans)
		if got := follow(spans, by); got != c.shift*1e6 || (by.line.kind == picture) != c.pictures {
			t.Errorf("%s: shift %d ns, want %d ms", c.name, got, c.shift)
		}
	}
}
