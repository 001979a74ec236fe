// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// drop takes the last n pictures, in decoding order, out of a unit.
func drop(t *testing.T, e event.Event, unit, n int) {
	t.Helper()
	err := e.Change(unit, func(u *mpegts.Unit) {
		video := u.Video()
		var kept []mpegts.PES
		left := len(video) - n
		for _, p := range u.Packets {
			if p.PID == video[0].PID {
				if left--; left < 0 {
					continue
				}
			}
			kept = append(kept, p)
		}
		u.Packets = kept
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stored are the frames of which a picture is in the units.
func stored(t *testing.T, e event.Event) map[int64]bool {
	t.Helper()
	out := map[int64]bool{}
	for i := range e.Units {
		u, err := e.File(i).Read()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range u.Video() {
			out[e.Clock.FrameOfTicks(p.PTS)] = true
		}
	}
	return out
}

// TestLostFramesAreFilled loses pictures as a lossy link does, seven seconds
// less one picture of them in one unit, and expects the picture before the hole
// in their place: length, sound and all later frames stay where they are.
func TestLostFramesAreFilled(t *testing.T) {
	e, err := event.Make(t.Context(), t.TempDir(),
		match.Options{Seconds: 14, Rate: ntsc, Seed: 21, AudioTracks: 2, GOPFrames: 30}, 6)
	if err != nil {
		t.Fatal(err)
	}
	first := len(mustRead(t, e, 0).Video())
	drop(t, e, 0, 4)
	drop(t, e, 1, len(mustRead(t, e, 1).Video())-1)
	there, border, end := stored(t, e), int64(first), e.Units[2].FrameStart
	cases := []struct {
		name    string
		in, out int64
		units   []int
		frozen  int64
	}{
		{"hole inside", border - 20, border + 20, []int{0, 1}, 0},
		{"hole at the end", border - 20, border, []int{0}, 0},
		{"over a long hole", border - 20, end + 20, []int{0, 1, 2}, 0},
		{"all in the hole", border + 50, border + 60, []int{1}, 0},
		{"begins in the hole", end - 40, end + 10, []int{1, 2}, 0},
		{"begins in a hole between units", end - 40, end + 10, []int{0, 2}, 0},
		{"nothing before", end - 7, end + 10, []int{2}, 7},
		{"nothing at all", end - 17, end - 7, []int{2}, 10},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := cut.ClipSpec{In: e.Clock.MarkOf(c.in), Out: e.Clock.MarkOf(c.out), Timeline: e.Clock, AudioTrack: 1}
			has := map[int64]bool{}
			for _, i := range c.units {
				spec.Units = append(spec.Units, e.File(i))
				for f := e.Units[i].FrameStart; f < e.Units[i].FrameStart+e.Units[i].Frames; f++ {
					has[f] = there[f]
				}
			}
			var want []int
			filled := int64(0)
			for f := c.in; f < c.out; f++ {
				shown := f
				if !has[f] {
					filled++
				}
				for shown >= 0 && !has[shown] {
					shown--
				}
				if shown < 0 {
					shown = end
				}
				want = append(want, int(shown))
			}
			mp4 := filepath.Join(t.TempDir(), "clip.mp4")
			proof, err := cut.Clip(t.Context(), spec, mp4, mp4+".jpg")
			if err != nil {
				t.Fatal(err)
			}
			got, err := match.ReadFrameNumbers(t.Context(), mp4, e.Match.Layout())
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" || proof.Filled != filled || proof.Frozen != c.frozen {
				t.Errorf("%d filled, %d frozen, want %d, %d: %s", proof.Filled, proof.Frozen, filled, c.frozen, d)
			}
			if strings.Contains(proof.Reason, "first picture after") != (c.frozen > 0) {
				t.Errorf("reason: %s", proof.Reason)
			}
		})
	}
}

func mustRead(t *testing.T, e event.Event, i int) mpegts.Unit {
	t.Helper()
	u, err := e.File(i).Read()
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestUndecodablePicturesAreFilled damages pictures so that the decoder gives
// nothing for them, and then all of them.
func TestUndecodablePicturesAreFilled(t *testing.T) {
	e := makeEvent(t, pal)
	damage := func(from, to int) {
		t.Helper()
		err := e.Change(0, func(u *mpegts.Unit) {
			n := 0
			for i, p := range u.Packets {
				if p.PID != u.Video()[0].PID {
					continue
				}
				if n >= from && n < to {
					u.Packets[i].Data = withoutSlices(p.Data)
				}
				n++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	damage(30, 40)
	p := e.Part(20, 60)
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	proof, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out,
		Timeline: e.Clock, AudioTrack: 1}, mp4, mp4+".jpg")
	if err != nil || proof.Frames != 40 || proof.Filled < 10 {
		t.Fatalf("%+v: %v", proof, err)
	}
	damage(0, 1000)
	p.Units = p.Units[:1]
	if _, err = cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: e.Clock.MarkOf(40), Timeline: e.Clock,
		AudioTrack: 1}, mp4, mp4+".jpg"); err == nil {
		t.Error("a clip was made of nothing")
	} else if t.Log(err); !strings.Contains(err.Error(), "can be decoded") {
		t.Error("the error does not say that nothing can be decoded")
	}
	if _, err := os.Stat(mp4); err == nil {
		t.Error("the file was left behind")
	}
}

// withoutSlices ends an access unit with the first byte of its first slice, so
// that it says what it is and has nothing to show.
func withoutSlices(b []byte) []byte {
	for i := 0; i+3 < len(b); i++ {
		if b[i] == 0 && b[i+1] == 0 && b[i+2] == 1 && (b[i+3]&0x1f == 1 || b[i+3]&0x1f == 5) {
			return b[:i+4]
		}
	}
	return b
}
