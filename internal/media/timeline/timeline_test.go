// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRational(t *testing.T) {
	cases := []struct {
		in, want string
		bad      bool
	}{
		{in: "30000/1001", want: "30000/1001"},
		{in: "25", want: "25"},
		{in: "50/2", want: "25"},
		{in: "0/0", bad: true},
		{in: "-25", bad: true},
		{in: "a/b", bad: true},
		{in: "", bad: true},
	}
	for _, c := range cases {
		got, err := ParseRational(c.in)
		if (err != nil) != c.bad {
			t.Errorf("%q: error %v", c.in, err)
			continue
		}
		if !c.bad && got.String() != c.want {
			t.Errorf("%q: got %s, want %s", c.in, got, c.want)
		}
	}
}

// TestFrameRoundTrip checks a whole day at every usual rate against big
// rationals: frame -> ticks -> frame and frame -> micros -> frame.
func TestFrameRoundTrip(t *testing.T) {
	for _, rate := range []Rational{{24000, 1001}, {24, 1}, {25, 1}, {30000, 1001}, {30, 1},
		{50, 1}, {60000, 1001}, {60, 1}, {120, 1}} {
		tl := Timeline{OriginTicks: 126000 + 3*WrapTicks, Rate: rate, Frames: Open}
		day := 86400 * rate.Num / rate.Den
		for f := int64(0); f <= day; f += 9973 {
			exact := new(big.Rat).Mul(big.NewRat(f, 1), big.NewRat(TickRate*rate.Den, rate.Num))
			if got, want := tl.FrameStartTicks(f)-tl.OriginTicks, roundRat(exact); got != want {
				t.Fatalf("rate %s frame %d: ticks %d, want %d", rate, f, got, want)
			}
			if got := tl.FrameOfTicks(tl.FrameStartTicks(f)); got != f {
				t.Fatalf("rate %s: frame %d came back as %d from ticks", rate, f, got)
			}
			// 1 ms of container jitter must not move a frame up to 120 fps.
			for _, jitter := range []int64{-90, 90} {
				if got := tl.FrameOfTicks(tl.FrameStartTicks(f) + jitter); got != f {
					t.Fatalf("rate %s: frame %d with jitter %d came back as %d", rate, f, jitter, got)
				}
			}
			m := tl.Snap(tl.FrameStartMicros(f))
			if want := (Mark{f, tl.FrameStartTicks(f), tl.FrameStartMicros(f)}); m != want {
				t.Fatalf("rate %s: snap gave %v, want %v", rate, m, want)
			}
		}
	}
}

func roundRat(r *big.Rat) int64 {
	num := new(big.Int).Mul(r.Num(), big.NewInt(2))
	num.Add(num, r.Denom())
	return new(big.Int).Div(num, new(big.Int).Mul(r.Denom(), big.NewInt(2))).Int64()
}

func TestSnapClamps(t *testing.T) {
	tl := Timeline{OriginTicks: 900000, Rate: Rational{25, 1}, Frames: 100}
	cases := []struct {
		us   int64
		want Mark
	}{
		{-5_000_000, Mark{0, 900000, 0}},
		{19_999, Mark{0, 900000, 0}},
		{20_000, Mark{1, 903600, 40_000}},
		{1_013_000, Mark{25, 990000, 1_000_000}},
		{99_000_000, Mark{100, 1260000, 4_000_000}},
	}
	for _, c := range cases {
		if d := cmp.Diff(c.want, tl.Snap(c.us)); d != "" {
			t.Errorf("snap(%d): %s", c.us, d)
		}
	}
	tl.Frames = Open
	if got := tl.Snap(99_000_000).Frame; got != 2475 {
		t.Errorf("open end: frame %d", got)
	}
}

func TestSamplesAddUp(t *testing.T) {
	tl := Timeline{Rate: Rational{30000, 1001}}
	var sum int64
	for f := range int64(1000) {
		sum += tl.SamplesAt(f, f+1, 48000)
	}
	if want := tl.SamplesAt(0, 1000, 48000); sum != want {
		t.Errorf("sum %d, whole %d", sum, want)
	}
}

func TestUnwrap(t *testing.T) {
	const w = WrapTicks
	cases := []struct {
		name string
		raw  []int64
		want []int64
	}{
		{"plain", []int64{100, 200}, []int64{100, 200}},
		{"B-frames", []int64{9000, 1800, 5400, 16200}, []int64{9000, 1800, 5400, 16200}},
		{"wrap", []int64{w - 3600, 0, 3600}, []int64{w - 3600, w, w + 3600}},
		{"B-frames over the wrap", []int64{w - 3600, 7200, 0, 3600, 18000, 10800},
			[]int64{w - 3600, w + 7200, w, w + 3600, w + 18000, w + 10800}},
		{"back over the wrap", []int64{7200, w - 1800, 1800}, []int64{7200, -1800, 1800}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var u Unwrapper
			var got []int64
			for _, r := range c.raw {
				got = append(got, u.Unwrap(r))
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	u := NewUnwrapper(5*w + 10)
	if got := u.Unwrap(20); got != 5*w+20 {
		t.Errorf("continued: %d", got)
	}
}

func TestUnitGrid(t *testing.T) {
	cases := []struct{ chunk, period int64 }{
		{1, 1_000_000}, {6, 6_000_000}, {7, 3_500_000}, {20, 5_000_000}, {13, 4_333_333},
	}
	for _, c := range cases {
		g := NewUnitGrid(126000, c.chunk)
		if g.PeriodMicros() != c.period {
			t.Errorf("chunk %d: T = %d", c.chunk, g.PeriodMicros())
		}
		if got, want := g.EdgeTicks(g.PerChunk*5000), 126000+5000*c.chunk*TickRate; got != want {
			t.Errorf("chunk %d: border 5000 at %d, want %d", c.chunk, got, want)
		}
		for k := int64(0); k < 20000; k += 7 {
			edge := g.EdgeTicks(k)
			if g.EdgeIndex(edge) != k || g.EdgeIndex(edge-1) != k-1 {
				t.Fatalf("chunk %d edge %d at %d: index %d before %d", c.chunk, k, edge, g.EdgeIndex(edge), g.EdgeIndex(edge-1))
			}
		}
	}
}

func TestChunkOf(t *testing.T) {
	for _, c := range []struct{ us, seconds, want int64 }{
		{0, 6, 1}, {5_999_999, 6, 1}, {6_000_000, 6, 2}, {20_020_000, 20, 2}, {-1, 6, 0},
	} {
		if got := ChunkOf(c.us, c.seconds); got != c.want {
			t.Errorf("ChunkOf(%d, %d) = %d, want %d", c.us, c.seconds, got, c.want)
		}
	}
}
