// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

var (
	pal  = timeline.Rational{Num: 25, Den: 1}
	ntsc = timeline.Rational{Num: 30000, Den: 1001}
)

func makeEvent(t *testing.T, rate timeline.Rational) event.Event {
	t.Helper()
	e, err := event.Make(t.Context(), t.TempDir(), match.Options{Seconds: 14, Rate: rate, Seed: 21, AudioTracks: 2,
		GOPFrames: int(timeline.MulDiv(1, rate.Num, rate.Den))}, 4)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func clip(t *testing.T, e event.Event, in, out int64, track int) (string, cut.Proof) {
	t.Helper()
	p := e.Part(in, out)
	dir := t.TempDir()
	mp4 := filepath.Join(dir, "clip.mp4")
	proof, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock, AudioTrack: track}, mp4, filepath.Join(dir, "clip.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	return mp4, proof
}

// TestClipIsExact reads every frame's number from clips that begin and end
// inside groups of pictures, at borders of units, and at the event's ends.
func TestClipIsExact(t *testing.T) {
	for _, rate := range []timeline.Rational{pal, ntsc} {
		t.Run(rate.String(), func(t *testing.T) {
			e := makeEvent(t, rate)
			border, last := e.Units[1].FrameStart, e.Clock.Frames
			for _, r := range [][2]int64{
				{0, 10}, {7, 8}, {border - 13, border + 17}, {border, border + 25}, {border - 5, border}, {33, 300}, {last - 9, last},
			} {
				mp4, proof := clip(t, e, r[0], r[1], 1)
				got, err := match.ReadFrameNumbers(t.Context(), mp4, e.Match.Layout())
				if err != nil {
					t.Fatal(err)
				}
				for i, n := range got {
					if int64(n) != r[0]+int64(i) {
						t.Fatalf("[%d,%d): frame %d says %d", r[0], r[1], i, n)
					}
				}
				samples := e.Clock.SampleOfFrame(r[1]-r[0], 48000)
				want := cut.Proof{Frames: r[1] - r[0], Width: 320, Height: 180, AudioSamples: samples, Method: "reencode", Reason: proof.Reason}
				if int64(len(got)) != want.Frames || proof != want {
					t.Errorf("[%d,%d): %d frames, proof %+v", r[0], r[1], len(got), proof)
				}
			}
		})
	}
}

// TestSoundIsExact finds the clip's sound in the match's sound: the best
// match must be at the very sample of the mark-in, on each track.
func TestSoundIsExact(t *testing.T) {
	e := makeEvent(t, ntsc)
	in, out := e.Units[2].FrameStart, e.Units[2].FrameStart+40
	for track := 1; track <= 2; track++ {
		mp4, _ := clip(t, e, in, out, track)
		source := samplesOf(t, e.Match.Path, track)
		got := samplesOf(t, mp4, 1)
		at := e.Clock.SampleOfFrame(in, 48000)
		best, lag := 0.0, int64(-1<<62)
		for d := int64(-60); d <= 60; d++ {
			sum := 0.0
			for i := int64(0); i < int64(len(got)); i++ {
				sum += float64(got[i]) * float64(source[at+d+i])
			}
			if sum > best {
				best, lag = sum, d
			}
		}
		if lag != 0 {
			t.Errorf("track %d is %d samples off", track, lag)
		}
	}
}

func samplesOf(t *testing.T, path string, track int) []int16 {
	t.Helper()
	raw, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(ffmpeg.Input(path),
		"-map", "0:a:"+string(rune('0'+track-1)), "-ac", "1", "-ar", "48000", "-f", "s16le", "pipe:1")})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]int16, len(raw)/2)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestClipRefuses(t *testing.T) {
	e := makeEvent(t, pal)
	p := e.Part(30, 250)
	cases := []struct {
		name string
		spec cut.ClipSpec
		want string
	}{
		{"no such track", cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock, AudioTrack: 3}, "2 audio tracks"},
		{"first unit left out", cut.ClipSpec{Units: p.Units[1:], In: p.In, Out: p.Out, Timeline: e.Clock}, "do not hold the start"},
		{"middle unit left out", cut.ClipSpec{Units: []cut.UnitFile{p.Units[0], p.Units[2]}, In: p.In, Out: p.Out, Timeline: e.Clock}, "a unit is missing"},
		{"empty range", cut.ClipSpec{Units: p.Units, In: p.In, Out: p.In, Timeline: e.Clock}, "empty"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			mp4 := filepath.Join(t.TempDir(), "x.mp4")
			_, err := cut.Clip(t.Context(), c.spec, mp4, mp4+".jpg")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(mp4); err == nil {
				t.Error("the file was left behind")
			}
		})
	}
}
