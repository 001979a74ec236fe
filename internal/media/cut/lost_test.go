// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// TestLostFramesAreFilled takes the last pictures out of a unit, as a lossy
// link does, and expects the picture before the hole in their place: length,
// sound and all later frames stay where they are.
func TestLostFramesAreFilled(t *testing.T) {
	e := makeEvent(t, ntsc)
	border := e.Units[1].FrameStart
	p := e.Part(border-20, border+20)
	u, err := p.Units[0].Read()
	if err != nil {
		t.Fatal(err)
	}
	video := u.Video()
	lost := map[int64]bool{}
	for _, pic := range video[len(video)-4:] {
		lost[pic.PTS] = true
	}
	kept := mpegts.Unit{Streams: u.Streams}
	for _, pkt := range u.Packets {
		if pkt.PID != video[0].PID || !lost[pkt.PTS] {
			kept.Packets = append(kept.Packets, pkt)
		}
	}
	data, err := mpegts.WriteUnit(kept)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p.Units[0].Path = filepath.Join(dir, "lossy.ts")
	if err := os.WriteFile(p.Units[0].Path, data, 0o644); err != nil {
		t.Fatal(err)
	}

	var want []int
	for f := border - 20; f < border+20; f++ {
		if lost[e.Clock.FrameStartTicks(f)] {
			want = append(want, want[len(want)-1])
		} else {
			want = append(want, int(f))
		}
	}
	for _, r := range []struct {
		name string
		out  int64
	}{{"hole inside", border + 20}, {"hole at the end", border}} {
		t.Run(r.name, func(t *testing.T) {
			mp4 := filepath.Join(dir, "clip.mp4")
			proof, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: e.Clock.MarkOf(r.out), Timeline: e.Clock, AudioTrack: 1}, mp4, mp4+".jpg")
			if err != nil {
				t.Fatal(err)
			}
			got, err := match.ReadFrameNumbers(t.Context(), mp4, e.Match.Layout())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want[:len(got)], got); d != "" || int64(len(got)) != r.out-p.In.Frame || proof.Filled != 4 {
				t.Errorf("%d frames, %d filled: %s", len(got), proof.Filled, d)
			}
		})
	}
}
