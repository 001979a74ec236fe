// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"bytes"
	"encoding/binary"
	"math"
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
	proof, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock,
		AudioTrack: track}, mp4, filepath.Join(dir, "clip.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	clean(t, mp4)
	return mp4, proof
}

// clean lets a strict decoder look for errors.
func clean(t *testing.T, path string) {
	t.Helper()
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", StrictLog: true,
		Args: append([]string{"-v", "error", "-xerror"},
			append(ffmpeg.Input(path), "-f", "null", "-")...)}); err != nil {
		t.Errorf("%s does not decode clean: %v", filepath.Base(path), err)
	}
}

// TestClipIsExact reads every frame's number from clips that begin and end
// inside groups of pictures, at borders of units, and at the event's ends.
func TestClipIsExact(t *testing.T) {
	for _, rate := range []timeline.Rational{pal, ntsc} {
		t.Run(rate.String(), func(t *testing.T) {
			e := makeEvent(t, rate)
			border, last := e.Units[1].FrameStart, e.Clock.Frames
			for _, r := range [][2]int64{
				{0, 10}, {7, 8}, {border - 13, border + 17}, {border, border + 25},
				{border - 5, border}, {33, 300}, {last - 9, last},
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
				want := cut.Proof{Frames: r[1] - r[0], Width: 320, Height: 180,
					AudioSamples: samples, Method: "reencode", Reason: proof.Reason}
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
		checkSound(t, e, e.Match.Path, in, out, track, 0)
	}
}

// TestSoundOfOtherContainers does the same with sound of 44.1 kHz, and with
// time stamps that Matroska has rounded to milliseconds.
func TestSoundOfOtherContainers(t *testing.T) {
	m := makeEvent(t, pal).Match
	for _, c := range []struct {
		name string
		off  int64
	}{{"x.mp4", 0}, {"x.mkv", 48}} {
		source := filepath.Join(t.TempDir(), c.name)
		if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(ffmpeg.Input(m.Path),
			"-c:v", "copy", "-c:a", "aac", "-ar", "44100", "-b:a", "192k", source)}); err != nil {
			t.Fatal(err)
		}
		e, err := event.Ingest(t.Context(), t.TempDir(), m, source, 4)
		if err != nil {
			t.Fatal(err)
		}
		checkSound(t, e, m.Path, 60, 140, 1, c.off)
	}
}

// checkSound correlates a clip with the original: the best match must be at
// the mark-in, give or take off samples, and be nearly perfect.
func checkSound(t *testing.T, e event.Event, original string, in, out int64, track int, off int64) {
	t.Helper()
	mp4, _ := clip(t, e, in, out, track)
	source, got := samplesOf(t, original, track), samplesOf(t, mp4, 1)
	if lag, r := bestLag(source, got, e.Clock.SampleOfFrame(in, 48000)); max(lag, -lag) > off || r < 0.95 {
		t.Errorf("track %d is %d samples off, correlation %.3f", track, lag, r)
	}
}

// bestLag is how far from a place in the source sound fits best, and how well.
func bestLag(source, got []int16, at int64) (lag int64, r float64) {
	for d := int64(-100); d <= 100; d++ {
		var ab, aa, bb float64
		for i := range got {
			a, b := float64(got[i]), float64(source[at+d+int64(i)])
			ab, aa, bb = ab+a*b, aa+a*a, bb+b*b
		}
		if c := ab / math.Sqrt(aa*bb); c > r {
			r, lag = c, d
		}
	}
	return lag, r
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

// TestUnitsOverlap cuts over units of two runs of ingest that cut elsewhere, so
// that some frames are in both.
func TestUnitsOverlap(t *testing.T) {
	a := makeEvent(t, pal)
	b, err := event.Make(t.Context(), t.TempDir(),
		match.Options{Seconds: 14, Rate: pal, Seed: 21, AudioTracks: 2, GOPFrames: 25}, 3)
	if err != nil {
		t.Fatal(err)
	}
	border, twin := a.Units[1].FrameStart, b.Units[1].FrameStart
	if twin >= border || twin+b.Units[1].Frames <= border {
		t.Fatalf("units begin at %d and %d", border, twin)
	}
	in, out := border-30, border+30
	spec := cut.ClipSpec{Units: []cut.UnitFile{a.File(0), b.File(1), b.File(2)}, In: a.Clock.MarkOf(in),
		Out: a.Clock.MarkOf(out), Timeline: a.Clock, AudioTrack: 1}
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	proof, err := cut.Clip(t.Context(), spec, mp4, "")
	if err != nil || proof.Filled != 0 {
		t.Fatalf("%+v: %v", proof, err)
	}
	got, err := match.ReadFrameNumbers(t.Context(), mp4, a.Match.Layout())
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range got {
		if int64(n) != in+int64(i) {
			t.Fatalf("frame %d says %d", i, n)
		}
	}
	if lag, r := bestLag(samplesOf(t, a.Match.Path, 1), samplesOf(t, mp4, 1),
		a.Clock.SampleOfFrame(in, 48000)); lag != 0 || r < 0.95 {
		t.Errorf("the sound is %d samples off, correlation %.3f", lag, r)
	}
}

func TestClipRefuses(t *testing.T) {
	e := makeEvent(t, pal)
	p := e.Part(30, 250)
	cases := []struct {
		name string
		spec cut.ClipSpec
		want string
	}{
		{"no units", cut.ClipSpec{In: p.In, Out: p.Out, Timeline: e.Clock}, "no picture"},
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
