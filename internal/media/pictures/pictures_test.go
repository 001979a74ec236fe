// SPDX-License-Identifier: Apache-2.0

package pictures

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// TestOf numbers pictures that come in decoding order, by the unit's own first
// frame, with a clock that runs fast, jitter and a hole.
func TestOf(t *testing.T) {
	rate := timeline.Rational{Num: 30, Den: 1}
	u := mpegts.Unit{Streams: []mpegts.Stream{{PID: 256, Type: mpegts.TypeH264}}}
	for _, pts := range []int64{1_000_000, 1_008_960, 1_003_080, 1_006_000, 1_029_990, 1_027_000} {
		u.Packets = append(u.Packets, mpegts.PES{PID: 256, PTS: pts})
	}
	var got []int64
	for _, p := range Of(rate, mpegts.UnitFile{FirstTicks: 1_000_000, FirstFrame: 15005}, u) {
		got = append(got, p.Frame)
	}
	if d := cmp.Diff([]int64{15005, 15008, 15006, 15007, 15015, 15014}, got); d != "" {
		t.Error(d)
	}
}

func TestStamps(t *testing.T) {
	rate := timeline.Rational{Num: 30000, Den: 1001}
	places := []int64{30, 34, 32, 31, 33, 90, 90, 36}
	pts, dts := Stamps(rate, places)
	for i := range pts {
		if pts[i] != timeline.MulDiv(places[i], 90000*1001, 30000) {
			t.Errorf("picture %d is shown at %d", i, pts[i])
		}
		if dts[i] > pts[i] || i > 0 && dts[i] < dts[i-1] {
			t.Errorf("picture %d: decoded at %d, shown at %d, the one before decoded at %v", i, dts[i], pts[i], dts[:i])
		}
	}
}
