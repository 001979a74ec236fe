// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
)

// adts is the header of an AAC frame in stereo, at 48 kHz (index 3) or 32 kHz
// (index 5).
func adts(index byte) []byte {
	return []byte{0xff, 0xf1, 1<<6 | index<<2, 2 << 6, 1, 0x1f, 0xfc, 0}
}

// TestReckonedStamps gives frames at 32 kHz the stamps that FFmpeg reckons for
// them in a stream that began at 48 kHz: packed by four, all but the first of
// which follow by the length of a frame at 48 kHz.
func TestReckonedStamps(t *testing.T) {
	const at48, at32 = 1920, 2880
	cases := []struct {
		name     string
		index    byte
		in, want []int64
	}{
		{"48 kHz", 3, []int64{0, at48, 2 * at48}, []int64{0, at48, 2 * at48}},
		{"32 kHz, reckoned", 5, []int64{0, at48, 2 * at48, 3 * at48, 4 * at32, 4*at32 + at48},
			[]int64{0, at32, 2 * at32, 3 * at32, 4 * at32, 5 * at32}},
		{"32 kHz, right", 5, []int64{0, at32, 2 * at32}, []int64{0, at32, 2 * at32}},
		{"32 kHz, an overlap", 5, []int64{0, at32, at32 + 500}, []int64{0, at32, at32 + 500}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			first := mpegts.PES{PTS: -90000, Data: adts(3)}
			a := aacStamps{}.mend(&first)
			var got []int64
			for _, pts := range c.in {
				p := mpegts.PES{PTS: pts, DTS: pts, Data: adts(c.index)}
				a = a.mend(&p)
				got = append(got, p.PTS)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
