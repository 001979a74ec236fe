// SPDX-License-Identifier: Apache-2.0

package source

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Streams of the tests: pictures 25 in a second, sound 50, subtitles, and the
// clock reference.
const (
	testPicture = iota
	testSound
	testText
	testPCR
)

const testPeriod = tickRate / 25

// event is a stamp on its way.
type event struct {
	stream   int
	pts, dts int64
}

// media gives pictures and sound for so many seconds from a start, interleaved.
func media(start, seconds int64) []event {
	var out []event
	for i := range seconds * 25 {
		at := start*tickRate + i*testPeriod
		out = append(out, event{testPCR, at - tickRate/2, 0}, event{testPicture, at, at},
			event{testSound, at, at}, event{testSound, at + testPeriod/2, at + testPeriod/2})
	}
	return out
}

// reordered gives pictures with two B-frames between others.
func reordered(start, seconds int64) []event {
	var out []event
	for i := range seconds * 25 {
		dts := start*tickRate + i*testPeriod
		pts := dts + []int64{3, 0, 0}[i%3]*testPeriod
		out = append(out, event{testPicture, pts, dts})
	}
	return out
}

func only(events []event, keep func(event) bool) []event {
	return slices.DeleteFunc(slices.Clone(events), func(e event) bool { return !keep(e) })
}

func wrapped(events []event) []event {
	out := slices.Clone(events)
	for i := range out {
		out[i].pts &= wrapPTS - 1
		out[i].dts &= wrapPTS - 1
	}
	return out
}

// retime sends events through a clock.
func retime(events []event) (out []event, joins []Join, most int) {
	var c *clock
	streams := map[*track]int{}
	c = newClock(tickRate, wrapPTS, func(u *unit) {
		if u.hasPCR {
			out = append(out, event{testPCR, u.pcr, 0})
			return
		}
		out = append(out, event{streams[u.track], u.pts, u.dts})
	}, func(j Join) { joins = append(joins, j) })
	var tracks []*track
	for i, k := range []kind{picture, sound, other} {
		tracks = append(tracks, c.track(k))
		streams[tracks[i]] = i
	}
	for _, e := range events {
		if e.stream == testPCR {
			c.add(unit{hasPCR: true, pcr: e.pts})
		} else {
			c.add(unit{timed: true, track: tracks[e.stream], pts: e.pts, dts: e.dts, hasDTS: e.pts != e.dts})
		}
		if c.hold != nil {
			most = max(most, len(c.hold.units))
		}
	}
	c.end()
	return out, joins, most
}

// steps counts the distances between the sorted stamps of a stream.
func steps(events []event, stream int) map[int64]int {
	var s []int64
	for _, e := range events {
		if e.stream == stream {
			s = append(s, e.pts)
		}
	}
	slices.Sort(s)
	out := map[int64]int{}
	for i := 1; i < len(s); i++ {
		out[s[i]-s[i-1]]++
	}
	return out
}

func TestClock(t *testing.T) {
	const s = int64(tickRate)
	between := func(stream int, from, to int64) func(event) bool {
		return func(e event) bool { return e.stream != stream || e.pts < from*s || e.pts >= to*s }
	}
	nothing := func(from, to int64) func(event) bool {
		return func(e event) bool { return e.pts < from*s || e.pts >= to*s }
	}
	even := map[int64]int{testPeriod: 499}
	evenSound := map[int64]int{testPeriod / 2: 999}
	clk := newClock(tickRate, wrapPTS, nil, nil)
	cases := []struct {
		name           string
		in             []event
		joins          []Join
		picture, sound map[int64]int
	}{
		{"no jump", media(5, 20), nil, even, evenSound},
		{"back", append(media(500, 10), media(20, 10)...), []Join{{510 * s, -490 * s}}, even, evenSound},
		{"ahead", append(media(10, 10), media(4000, 10)...), []Join{{20 * s, 3980 * s}}, even, evenSound},
		{"two", slices.Concat(media(10, 5), media(4888, 5), media(1, 10)),
			[]Join{{15 * s, 4873 * s}, {20 * s, -4892 * s}}, even, evenSound},
		{"ahead by 11 s", append(media(10, 10), media(31, 10)...), []Join{{20 * s, 11 * s}}, even, evenSound},
		{"ahead by 9 s", append(media(10, 10), media(29, 10)...), nil,
			map[int64]int{testPeriod: 498, 9*s + testPeriod: 1}, map[int64]int{testPeriod / 2: 998, 9*s + testPeriod/2: 1}},
		{"back by 5 s", append(media(10, 10), media(15, 10)...), []Join{{20 * s, -5 * s}}, even, evenSound},
		{"back by 5 s, in the middle of B-frames", append(reordered(500, 9), reordered(504, 9)...),
			[]Join{{509*s + testPeriod, -5 * s}}, map[int64]int{testPeriod: 449}, map[int64]int{}},
		{"hole of 8 s", only(media(10, 28), nothing(15, 23)), nil,
			map[int64]int{testPeriod: 498, 8*s + testPeriod: 1}, map[int64]int{testPeriod / 2: 998, 8*s + testPeriod/2: 1}},
		{"hole of 12 s in all", only(media(10, 32), nothing(15, 27)), []Join{{15 * s, 12 * s}}, even, evenSound},
		{"hole of 15 s in the picture", only(media(10, 35), between(testPicture, 15, 30)), nil,
			map[int64]int{testPeriod: 498, 15*s + testPeriod: 1}, map[int64]int{testPeriod / 2: 1749}},
		{"hole of 15 s in the sound", only(media(10, 35), between(testSound, 15, 30)), nil,
			map[int64]int{testPeriod: 874}, map[int64]int{testPeriod / 2: 998, 15*s + testPeriod/2: 1}},
		{"picture only", only(append(media(500, 10), media(20, 10)...),
			func(e event) bool { return e.stream == testPicture }),
			[]Join{{510 * s, -490 * s}}, even, map[int64]int{}},
		{"sound only", only(append(media(500, 10), media(20, 10)...),
			func(e event) bool { return e.stream == testSound }),
			[]Join{{510 * s, -490 * s}}, map[int64]int{}, evenSound},
		{"wrap", wrapped(media(95440, 20)), nil, even, evenSound},
		{"a jump over the wrap", wrapped(append(media(95440, 10), media(95500, 10)...)),
			[]Join{{95450 * s, 50 * s}}, even, evenSound},
		{"B-frames", append(reordered(500, 9), reordered(20, 9)...),
			[]Join{{509*s + testPeriod, -489 * s}}, map[int64]int{testPeriod: 449}, map[int64]int{}},
		{"jump of a text", append(media(10, 10), append([]event{{testText, 5000 * s, 5000 * s}}, media(20, 10)...)...),
			nil, even, evenSound},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, joins, _ := retime(c.in)
			if len(out) != len(c.in) {
				t.Errorf("%d events of %d", len(out), len(c.in))
			}
			if d := cmp.Diff(c.joins, joins); d != "" {
				t.Errorf("joins (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.picture, steps(out, testPicture)); d != "" {
				t.Errorf("steps of pictures (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.sound, steps(out, testSound)); d != "" {
				t.Errorf("steps of sound (-want +got):\n%s", d)
			}
			last := map[int]int64{}
			for _, e := range out {
				if before, ok := last[e.stream]; ok && e.stream < testText && e.dts <= before {
					t.Fatalf("stream %d: decoding time %d after %d", e.stream, e.dts, before)
				}
				last[e.stream] = e.dts
				newest := max(last[testPicture], last[testSound])
				far := len(joins) > 0 && clk.apart(joins[0].Jump, 0, jumpSeconds)
				if e.stream == testPCR && far && newest != 0 && clk.apart(newest, e.pts, 1) {
					t.Fatalf("clock reference %d beside media at %d", e.pts, newest)
				}
			}
		})
	}
}

// shuffle sends the sound of a film so much later than its pictures.
func shuffle(events []event, lag int64) []event {
	out := slices.Clone(events)
	key := func(i int, e event) int64 {
		at := int64(i) * 1000
		if e.stream == testSound {
			at += lag * 1000
		}
		return at
	}
	type keyed struct {
		at int64
		e  event
	}
	var k []keyed
	for i, e := range out {
		k = append(k, keyed{key(i, e), e})
	}
	slices.SortStableFunc(k, func(a, b keyed) int { return int(a.at - b.at) })
	for i := range k {
		out[i] = k[i].e
	}
	return out
}

func TestClockStreamsJumpOneAfterTheOther(t *testing.T) {
	// Four events are a period: sound follows by up to 3 s.
	for _, lag := range []int64{10, 100, 200, 300} {
		in := shuffle(append(media(500, 10), media(20, 10)...), lag)
		out, joins, most := retime(in)
		if d := cmp.Diff([]Join{{510 * tickRate, -490 * tickRate}}, joins); d != "" {
			t.Errorf("lag %d: joins (-want +got):\n%s", lag, d)
		}
		if d := cmp.Diff(map[int64]int{testPeriod / 2: 999}, steps(out, testSound)); d != "" {
			t.Errorf("lag %d: steps of sound (-want +got):\n%s", lag, d)
		}
		if most > int(lag)+120 {
			t.Errorf("lag %d: %d events held", lag, most)
		}
	}
}

func TestClockQuietStreams(t *testing.T) {
	const s = int64(tickRate)
	early := only(media(500, 10), func(e event) bool { return e.stream != testSound || e.pts < 506*s })
	late := only(media(20, 10), func(e event) bool { return e.stream != testSound || e.pts >= 25*s })
	out, joins, _ := retime(append(early, late...))
	if d := cmp.Diff([]Join{{510 * s, -490 * s}}, joins); d != "" {
		t.Errorf("joins (-want +got):\n%s", d)
	}
	// The sound keeps its place beside the picture on both sides.
	want := map[int64]int{testPeriod / 2: 548, 9*s + testPeriod/2: 1}
	if d := cmp.Diff(want, steps(out, testSound)); d != "" {
		t.Errorf("steps of sound (-want +got):\n%s", d)
	}
}

func TestClockDamagedStamps(t *testing.T) {
	for _, stream := range []int{testPicture, testSound} {
		for _, bit := range []int{17, 18, 19, 20, 25, 30, 32} {
			in := media(500, 20)
			n := 0
			for i := range in {
				if in[i].stream != stream {
					continue
				}
				if n++; n == 100 || n == 101 || n == 300 {
					in[i].pts ^= 1 << bit
					in[i].dts = in[i].pts
				}
			}
			out, joins, _ := retime(in)
			period, units := int64(testPeriod), 500
			if stream == testSound {
				period, units = testPeriod/2, 1000
			}
			got := steps(out, stream)
			// Less than a jump moves the damaged units themselves, and no other.
			least := units - 1
			if bit < 20 {
				least -= 3 * 3
			}
			if got[period] < least || len(joins) > 0 {
				t.Errorf("stream %d bit %d: joins %v, steps %v", stream, bit, joins, got)
			}
		}
	}
}

func TestClockHoldsNothingWithoutAJump(t *testing.T) {
	if _, _, most := retime(media(5, 20)); most != 0 {
		t.Errorf("%d events were held", most)
	}
}
