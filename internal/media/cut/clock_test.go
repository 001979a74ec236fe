// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"path/filepath"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// TestSourceClockDrifts gives the pictures a clock that is 1 in 500 slow while
// the sound's is right, as if an hour's error came in seconds: after ten of them
// a frame's rounded time would be the number of another. Every frame must be the
// one that was asked for, and the sound at begin and end that of its picture.
func TestSourceClockDrifts(t *testing.T) {
	e, err := event.Make(t.Context(), t.TempDir(), match.Options{Seconds: 14, Rate: pal, Seed: 21, GOPFrames: 25}, 4)
	if err != nil {
		t.Fatal(err)
	}
	origin := e.Clock.OriginTicks
	slow := func(ticks int64) int64 { return origin + timeline.MulDiv(ticks-origin, 501, 500) }
	for i := range e.Units {
		err := e.Change(i, func(u *mpegts.Unit) {
			pid := u.Video()[0].PID
			for k, p := range u.Packets {
				if p.PID == pid {
					u.Packets[k].PTS, u.Packets[k].DTS = slow(p.PTS), slow(p.DTS)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	mark := func(f int64) timeline.Mark {
		m := e.Clock.MarkOf(f)
		m.Ticks = slow(m.Ticks)
		return m
	}
	const in, out = 60, 340
	spec := cut.ClipSpec{In: mark(in), Out: mark(out), Timeline: e.Clock, AudioTrack: 1}
	for i := range e.Units {
		spec.Units = append(spec.Units, e.File(i))
	}
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	if _, err := cut.Clip(t.Context(), spec, mp4, ""); err != nil {
		t.Fatal(err)
	}
	got, err := match.ReadFrameNumbers(t.Context(), mp4, e.Match.Layout())
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range got {
		if n != in+i {
			t.Fatalf("frame %d says %d", i, n)
		}
	}
	source, clip := samplesOf(t, e.Match.Path, 1), samplesOf(t, mp4, 1)
	const window = 480
	for _, at := range []int64{0, 270_000, 537_600 - window} {
		// Where the clip's sample comes from, on the source's clock.
		want := timeline.MulDiv(spec.In.Ticks-origin, 48000, timeline.TickRate) + timeline.MulDiv(at, 501, 500)
		if lag, r := bestLag(source, clip[at:at+window], want); max(lag, -lag) > 3 || r < 0.8 {
			t.Errorf("at sample %d the sound is %d samples off, correlation %.3f", at, lag, r)
		}
	}
}
