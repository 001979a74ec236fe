// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/render"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

func makeEvent(t *testing.T, rate timeline.Rational, width, height, seconds int) event.Event {
	t.Helper()
	e, err := event.Make(t.Context(), t.TempDir(),
		match.Options{Seconds: seconds, Rate: rate, Seed: 22, Width: width, Height: height,
			GOPFrames: int(timeline.MulDiv(1, rate.Num, rate.Den))}, 3)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// reel renders ranges and checks every frame's number.
func reel(t *testing.T, e event.Event, width, height int, ranges ...[2]int64) string {
	t.Helper()
	spec := render.ReelSpec{Timeline: e.Clock, AudioTrack: 1, Width: width, Height: height}
	var want []int
	for _, r := range ranges {
		spec.Parts = append(spec.Parts, e.Part(r[0], r[1]))
		for f := r[0]; f < r[1]; f++ {
			want = append(want, int(f))
		}
	}
	dir := t.TempDir()
	mp4 := filepath.Join(dir, "reel.mp4")
	proof, err := render.Reel(t.Context(), spec, mp4, filepath.Join(dir, "reel.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	layout := e.Match.Layout()
	layout.Width, layout.Height = width, height
	got, err := match.ReadFrameNumbers(t.Context(), mp4, layout)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) || proof.Frames != int64(len(want)) ||
		proof.AudioSamples != e.Clock.SampleOfFrame(proof.Frames, 48000) {
		t.Fatalf("%d frames, want %d; proof %+v", len(got), len(want), proof)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("frame %d says %d, want %d", i, got[i], want[i])
		}
	}
	return mp4
}

func TestReelIsExact(t *testing.T) {
	for _, rate := range []timeline.Rational{{Num: 25, Den: 1}, {Num: 30000, Den: 1001}} {
		t.Run(rate.String(), func(t *testing.T) {
			e := makeEvent(t, rate, 320, 180, 14)
			border := e.Units[1].FrameStart
			// In order, overlapping, backwards, the same twice, one frame.
			ranges := [][2]int64{{0, 20}, {border - 10, border + 10}, {border - 3, border + 40},
				{5, 6}, {5, 6}, {e.Clock.Frames - 30, e.Clock.Frames}}
			t.Run("as it is", func(t *testing.T) { reel(t, e, 0, 0, ranges...) })
			t.Run("crop", func(t *testing.T) { reel(t, e, 102, 180, ranges...) })
			t.Run("scale", func(t *testing.T) { reel(t, e, 640, 360, ranges[:3]...) })
			t.Run("scale and crop", func(t *testing.T) { reel(t, e, 360, 640, ranges[:2]...) })
		})
	}
}

// TestVerticalFromFullHD is the crop that people ask for most.
func TestVerticalFromFullHD(t *testing.T) {
	e := makeEvent(t, timeline.Rational{Num: 30000, Den: 1001}, 1920, 1080, 4)
	reel(t, e, 608, 1080, [2]int64{10, 30}, [2]int64{85, 100})
}

func TestManyPartsAndSameBytes(t *testing.T) {
	e := makeEvent(t, timeline.Rational{Num: 30000, Den: 1001}, 320, 180, 14)
	var ranges [][2]int64
	for i := range int64(40) {
		ranges = append(ranges, [2]int64{i * 10, i*10 + 7})
	}
	a, errA := os.ReadFile(reel(t, e, 0, 0, ranges...))
	b, errB := os.ReadFile(reel(t, e, 0, 0, ranges...))
	if errA != nil || errB != nil || string(a) != string(b) {
		t.Errorf("two renders differ: %v %v", errA, errB)
	}
}

// TestReelOfOtherShapes fills and crops by the shape that is seen: 16:9 in pixels
// that are not square, and units of different sizes.
func TestReelOfOtherShapes(t *testing.T) {
	rate := timeline.Rational{Num: 25, Den: 1}
	e := makeEvent(t, rate, 320, 180, 14)
	for i, filter := range []string{"scale=352:288,setsar=16/11", "scale=352:288,setsar=16/11", "scale=640:360"} {
		if err := e.Encode(t.Context(), i, "-vf", filter); err != nil {
			t.Fatal(err)
		}
	}
	border := e.Units[2].FrameStart
	// 352x288 with 16:11 is 512x288, which is 16:9.
	e.Match.Truth.Width, e.Match.Truth.Height = 512, 288
	same := [][2]int64{{0, 20}, {border - 40, border - 5}}
	t.Run("one shape", func(t *testing.T) { reel(t, e, 640, 360, same...) })
	t.Run("crop", func(t *testing.T) { reel(t, e, 162, 288, same...) })
	mixed := append(same, [2]int64{border - 20, border + 20}, [2]int64{border + 80, border + 120})
	t.Run("mixed", func(t *testing.T) { reel(t, e, 640, 360, mixed...) })
	t.Run("mixed, vertical", func(t *testing.T) { reel(t, e, 270, 480, mixed...) })
	t.Run("the first one's size", func(t *testing.T) { reel(t, e, 512, 288, mixed...) })
}
