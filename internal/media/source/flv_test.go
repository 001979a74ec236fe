// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJoinsOfFLV(t *testing.T) {
	const options = "-ar 44100 -flvflags no_duration_filesize"
	flv := func(codec string, start int) film {
		return film{codec: codec, seconds: 4, start: start, format: "flv", options: options}
	}
	cases := []struct {
		name  string
		parts []film
		jumps []int64
	}{
		{"none", []film{flv("h264", 5)}, nil},
		{"back", []film{flv("h264", 500), flv("h264", 20)}, []int64{-484}},
		{"ahead", []film{flv("h264", 10), flv("h264", 4000)}, []int64{3986}},
		{"B-frames", []film{flv("h264b", 500), flv("h264b", 20)}, []int64{-484}},
		{"two", []film{flv("h264", 10), flv("h264", 4888), flv("h264", 10)}, []int64{4874, -4882}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := readParts(t, "in.flv", c.parts)
			r.jumped(t, c.jumps)
			want := map[int64]int{testPeriod: 100*len(c.parts) - 1}
			if d := cmp.Diff(want, gaps(r.decode(t, true))); d != "" {
				t.Errorf("pictures shown (-want +got):\n%s", d)
			}
			for step, n := range gaps(times(r.packets(t)["audio"])) {
				if step <= 0 || step > 60 {
					t.Errorf("%d steps of %d ms in the sound", n, step)
				}
			}
		})
	}
}

// TestDamagedFLV: what is not a tag is skipped.
func TestDamagedFLV(t *testing.T) {
	whole := film{codec: "h264", seconds: 4, start: 5, format: "flv", options: "-ar 44100"}.bytes(t)
	same := read(t, write(t, "in.flv", whole), Options{}).data
	if !bytes.Equal(same, whole) {
		t.Errorf("a sound file is changed: %d bytes of %d", len(same), len(whole))
	}
	cases := []struct {
		name     string
		in       []byte
		pictures int
	}{
		{"the end is cut off", whole[:len(whole)-50], 98},
		{"zeros", slices.Concat(whole[:len(whole)/2], make([]byte, 500), whole[len(whole)/2:]), 90},
		{"a hole", slices.Concat(whole[:len(whole)/2], whole[len(whole)/2+500:]), 80},
	}
	for _, c := range cases {
		r := read(t, write(t, "in.flv", c.in), Options{})
		if n := len(r.decode(t, false)); n < c.pictures {
			t.Errorf("%s: %d pictures, want %d", c.name, n, c.pictures)
		}
	}
}
