// SPDX-License-Identifier: Apache-2.0

package pcm

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
)

// TestPlace places blocks by their time stamps: around a range, over its ends,
// with a hole, and without seams where the stamps are rounded.
func TestPlace(t *testing.T) {
	// 48 sample frames are 90 ticks.
	block := func(pts int64, v float32) Block {
		b := Block{PTS: pts, Channels: 1, Samples: make([]float32, 48)}
		for i := range b.Samples {
			b.Samples[i] = v
		}
		return b
	}
	s := Sound{block(-40, 1), block(52, 2), block(138, 3), block(1000, 4)}
	at := []int64{}
	for _, p := range s.Place(0) {
		at = append(at, p.At)
	}
	if d := cmp.Diff([]int64{-21, 27, 75, 533}, at); d != "" {
		t.Error(d)
	}
	got := Cut(s.Place(0), 20, 110, 1)
	want := make([]float32, 110)
	for i := range want {
		switch n := i + 20; {
		case n < 27:
			want[i] = 1
		case n < 75:
			want[i] = 2
		case n < 123:
			want[i] = 3
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]float32{0, 0}, Cut(s.Place(900000), 0, 2, 1)); d != "" {
		t.Error(d)
	}
}

func TestDecodeNothing(t *testing.T) {
	got, err := Decode(t.Context(), [][]mpegts.PES{nil})
	if err != nil || len(got) != 1 || len(got[0]) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// encode makes AAC frames with their time stamps from an expression of FFmpeg's
// aevalsrc.
func encode(t *testing.T, expression, layout string, rate string, from int64) []mpegts.PES {
	t.Helper()
	raw, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: []string{"-f", "lavfi", "-i",
		"aevalsrc=" + expression + ":c=" + layout + ":d=1:s=" + rate, "-c:a", "aac", "-b:a", "320k",
		"-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", "-pes_payload_size", "0", "-output_ts_offset", "10", "pipe:1"}})
	if err != nil {
		t.Fatal(err)
	}
	u, err := mpegts.ReadUnit(bytes.NewReader(raw), slotTicks)
	if err != nil {
		t.Fatal(err)
	}
	run, _ := u.Audio(1)
	shift := from - run[0].PTS
	for i := range run {
		run[i].PTS += shift
	}
	return run
}

func rms(samples []float32, channels, c int) float64 {
	sum, n := 0.0, 0
	for i := c; i < len(samples); i += channels {
		sum += float64(samples[i]) * float64(samples[i])
		n++
	}
	return 20 * math.Log10(math.Sqrt(sum/float64(max(n, 1)))*math.Sqrt2+1e-9)
}

// TestBadFramesAreSilent damages frames in every way that a recorder does. What
// is left must be where it was, to the sample.
func TestBadFramesAreSilent(t *testing.T) {
	good := encode(t, "0.5*sin(2*PI*440*t)|0.5*sin(2*PI*660*t)", "stereo", "48000", 1<<33-5000)
	cases := []struct {
		name   string
		damage func(f *mpegts.PES)
		lost   int
	}{
		{"cut off", func(f *mpegts.PES) { f.Data = f.Data[:len(f.Data)/2] }, 4},
		{"no header", func(f *mpegts.PES) { f.Data = append(make([]byte, 3), f.Data[3:]...) }, 4},
		{"another rate", func(f *mpegts.PES) {
			f.Data = append([]byte(nil), f.Data...)
			f.Data[2] ^= 0x04
		}, 1},
		{"empty", func(f *mpegts.PES) { f.Data = nil }, 4},
	}
	whole, err := Decode(t.Context(), [][]mpegts.PES{good})
	if err != nil {
		t.Fatal(err)
	}
	const from = 1<<33 - 5000
	want := Cut(whole[0].Place(from), 0, Rate, 2)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run := append([]mpegts.PES(nil), good...)
			for i := 10; i < 10+c.lost; i++ {
				c.damage(&run[i])
			}
			got, err := Decode(t.Context(), [][]mpegts.PES{run})
			if err != nil {
				t.Fatal(err)
			}
			have := Cut(got[0].Place(from), 0, Rate, 2)
			for i, x := range have {
				frame := i / 2 / 1024
				switch {
				case frame >= 10 && frame < 10+c.lost:
					if x != 0 {
						t.Fatalf("sample %d is not silent", i/2)
					}
				case frame == 10+c.lost:
					// The frame after the hole overlaps with what is lost.
				case math.Abs(float64(x-want[i])) > 1e-6:
					t.Fatalf("sample %d is %f instead of %f", i/2, x, want[i])
				}
			}
		})
	}
}

// TestNothingDecodes gives frames that no decoder can do anything with, beside
// a good run.
func TestNothingDecodes(t *testing.T) {
	good := encode(t, "0.5*sin(2*PI*440*t)", "mono", "48000", 90000)
	bad := make([]mpegts.PES, len(good))
	for i, f := range good {
		f.Data = append([]byte(nil), f.Data...)
		for k := adtsHeader; k < len(f.Data); k++ {
			f.Data[k] = 0xff
		}
		bad[i] = f
	}
	got, err := Decode(t.Context(), [][]mpegts.PES{bad, good, bad})
	if err != nil {
		t.Fatal(err)
	}
	if len(got[1]) < len(good)-1 {
		t.Errorf("%d of %d good frames", len(got[1]), len(good))
	}
}

// TestKindChangesInTheMiddle puts frames of other rates and layouts after each
// other.
func TestKindChangesInTheMiddle(t *testing.T) {
	run := encode(t, "0.5*sin(2*PI*440*t)", "mono", "48000", 0)
	run = append(run[:47], encode(t, "0.25*sin(2*PI*440*t)|0.25*sin(2*PI*440*t)", "stereo", "32000", 90000)...)
	run = append(run, encode(t, "0|0|0.5*sin(2*PI*440*t)|0.5*sin(2*PI*40*t)|0|0", "5.1", "44100", 2*90000+5000)...)
	got, err := Decode(t.Context(), [][]mpegts.PES{run})
	if err != nil {
		t.Fatal(err)
	}
	placed := got[0].Place(0)
	for _, c := range []struct {
		at   int64
		want float64
	}{{Rate / 2, -6.02}, {Rate * 3 / 2, -12.04}, {Rate * 5 / 2, -9.03}} {
		samples := Cut(placed, c.at, Rate/4, 2)
		for ch := range 2 {
			if l := rms(samples, 2, ch); math.Abs(l-c.want) > 0.2 {
				t.Errorf("at %d: channel %d is at %.2f dB instead of %.2f", c.at, ch, l, c.want)
			}
		}
	}
	if n := Channels(run); n != 6 {
		t.Errorf("%d channels", n)
	}
}

// TestMix gives every layout a signal in one channel and listens on both sides.
func TestMix(t *testing.T) {
	const h = minus3
	cases := map[int][][2]float32{
		1: {{1, 1}},
		2: {{1, 0}, {0, 1}},
		3: {{1, 0}, {0, 1}, {h, h}},
		4: {{1, 0}, {0, 1}, {h, h}, {h, h}},
		5: {{1, 0}, {0, 1}, {h, h}, {h, 0}, {0, h}},
		6: {{1, 0}, {0, 1}, {h, h}, {0, 0}, {h, 0}, {0, h}},
		7: {{1, 0}, {0, 1}, {h, h}, {0, 0}, {h, h}, {h, 0}, {0, h}},
		8: {{1, 0}, {0, 1}, {h, h}, {0, 0}, {h, 0}, {0, h}, {h, 0}, {0, h}},
	}
	for channels, want := range cases {
		for c := range channels {
			in, out := make([]float32, channels), make([]float32, 2)
			in[c] = 1
			mix(out, 2, in, channels)
			if d := cmp.Diff(want[c][:], out); d != "" {
				t.Errorf("channel %d of %d: %s", c+1, channels, d)
			}
		}
	}
	// Fewer channels in more: each in its place, mono on both sides.
	out := make([]float32, 6)
	mix(out, 6, []float32{1, 2, 3, 4}, 4)
	if d := cmp.Diff([]float32{1, 2, 3, 0, 4 * h, 4 * h}, out); d != "" {
		t.Error(d)
	}
	mix(out, 6, []float32{1}, 1)
	if d := cmp.Diff([]float32{1, 1, 0, 0, 0, 0}, out); d != "" {
		t.Error(d)
	}
}

// TestLimiter lets quiet sound pass bit for bit and keeps peaks down, without
// moving anything.
func TestLimiter(t *testing.T) {
	const n = 2 * Rate
	in := make([]float32, 2*n)
	for i := range n {
		in[2*i] = float32(0.3 * math.Sin(float64(i)/20))
		in[2*i+1] = -in[2*i]
	}
	for i := n / 2; i < n/2+2000; i++ {
		in[2*i] *= 7
	}
	in[0], in[2*n-1] = 3, -3
	l := NewLimiter(2)
	var out []float32
	for at := 0; at < len(in); at += 1000 {
		out = append(out, l.Write(in[at:min(at+1000, len(in))])...)
	}
	out = append(out, l.Close()...)
	if len(out) != len(in) {
		t.Fatalf("%d samples instead of %d", len(out), len(in))
	}
	for i, x := range out {
		if max(x, -x) > ceiling+1e-6 {
			t.Fatalf("sample %d is %f", i/2, x)
		}
		far := i/2 > n/4 && i/2 < n/2-ahead || i/2 > n/2+2000+n/4 && i/2 < n-ahead
		if far && x != in[i] {
			t.Fatalf("sample %d is %f instead of %f", i/2, x, in[i])
		}
	}
}

// TestStretcher gives a tone a different length: it must be the tone, slower.
func TestStretcher(t *testing.T) {
	for _, c := range [][2]int64{{Rate, Rate + 48}, {Rate, Rate - 300}, {Rate, Rate}} {
		tone := func(i, n int64) float32 { return float32(math.Sin(2 * math.Pi * 9000 * float64(i) / float64(n))) }
		in := make([]float32, c[0])
		for i := range in {
			in[i] = tone(int64(i), c[0])
		}
		s := NewStretcher(1, c[0], c[1])
		var out []float32
		for at := 0; at < len(in); at += 777 {
			out = append(out, s.Write(in[at:min(at+777, len(in))])...)
		}
		if int64(len(out)) != c[1] {
			t.Fatalf("%d samples instead of %d", len(out), c[1])
		}
		for i := taps; i < len(out)-taps; i++ {
			if d := out[i] - tone(int64(i), c[1]); max(d, -d) > 0.005 {
				t.Fatalf("%v: sample %d is off by %f", c, i, d)
			}
		}
	}
}
