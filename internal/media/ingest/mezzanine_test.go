// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

var rate25 = timeline.Rational{Num: 25, Den: 1}

// joined is a transport stream of a match and, after it, another form of it.
func joined(t *testing.T, m match.Match, first, second []string) string {
	t.Helper()
	a := convert(t, m.Path, "a.ts", append(append([]string{"-map", "0"}, first...), "-output_ts_offset", "1")...)
	b := convert(t, m.Path, "b.ts", append(append([]string{"-map", "0"}, second...), "-output_ts_offset", "13")...)
	var both bytes.Buffer
	for _, path := range []string{a, b} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		both.Write(data)
	}
	path := filepath.Join(t.TempDir(), "joined.ts")
	if err := os.WriteFile(path, both.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// numbersOf decodes a unit and reads the numbers in its pictures.
func numbersOf(t *testing.T, f *Folder, u Unit, m match.Match) []int {
	t.Helper()
	data, err := os.ReadFile(f.Path(u.FirstTicks))
	if err != nil {
		t.Fatal(err)
	}
	return decodeClean(t, bytes.NewReader(data), m, 1)
}

// checkSequence proves that the units follow each other without a gap, and that
// frame f shows picture want(f).
func checkSequence(t *testing.T, f *Folder, m match.Match, frames int64, want func(f int64) int) {
	t.Helper()
	if !f.Ended || f.Clock.Frames != frames {
		t.Fatalf("ended %v with %d frames, want %d", f.Ended, f.Clock.Frames, frames)
	}
	next := int64(0)
	for _, u := range f.Units {
		if u.FrameStart != next {
			t.Fatalf("a unit begins at frame %d, want %d", u.FrameStart, next)
		}
		next += u.Frames
		if u.Missing > 0 {
			continue
		}
		for i, n := range numbersOf(t, f, u, m) {
			if w := want(u.FrameStart + int64(i)); n != w {
				t.Fatalf("frame %d shows picture %d, want %d", u.FrameStart+int64(i), n, w)
			}
		}
	}
	if next != frames {
		t.Fatalf("units hold %d frames of %d", next, frames)
	}
	checkSound(t, f)
}

// checkSound proves that the frames of the first track follow each other, none
// twice. Where copied sound becomes encoded sound, a frame may be cut.
func checkSound(t *testing.T, f *Folder) {
	t.Helper()
	const length = aacSamples * timeline.TickRate / SoundRate
	last, cuts := int64(0), 0
	for _, u := range f.Units {
		frames, _ := readUnit(t, f, u).Audio(1)
		for _, p := range frames {
			switch step := p.PTS - last; {
			case last == 0 || step == length:
			case step > 0 && step < 2*length:
				cuts++
			default:
				t.Fatalf("in the unit at frame %d a frame of sound follows after %d ticks", u.FrameStart, step)
			}
			last = p.PTS
		}
	}
	if end := f.Clock.FrameStartTicks(f.Clock.Frames); last < end-2*length || last >= end {
		t.Errorf("sound ends at %d, the Event at %d", last, end)
	}
	if cuts > len(f.Parts)+1 {
		t.Errorf("%d frames of sound are cut", cuts)
	}
}

// position is where a folder's units end.
func position(f *Folder) *Position {
	last := f.Units[len(f.Units)-1]
	end := last.FrameStart + last.Frames
	return &Position{OriginTicks: f.Clock.OriginTicks, Frame: end,
		ShiftTicks: f.Clock.AnchorAt(end, last.EndMicros).ShiftTicks}
}

// TestGoesOnAsMezzanine changes what copying needs in the middle of a source.
// Ingest goes on by itself, on the same numbers, in the same form, also when it
// dies on the way.
func TestGoesOnAsMezzanine(t *testing.T) {
	m := generate(t, match.Options{Seconds: 12, Rate: rate25, Seed: 21, AudioTracks: 1, GOPFrames: 25})
	encode := func(args ...string) []string {
		return append([]string{"-c:v", "libx264", "-preset", "ultrafast", "-g",
			"25", "-pix_fmt", "yuv420p", "-c:a", "copy"}, args...)
	}
	cases := []struct {
		name   string
		second []string
		why    string
		frames int64
		want   func(f int64) int
	}{
		{"size", encode("-vf", "scale=iw*2:ih*2"), "the picture size changes", 600, func(f int64) int {
			return int(f % 300)
		}},
		{"bit depth", encode("-pix_fmt", "yuv420p10le"), "the codec's parameters change", 600, func(f int64) int {
			return int(f % 300)
		}},
		{"rate", encode("-r", "30"), "the frame rate or the clock is not constant", 600, nil},
		{"rare IDR frames", encode("-g", "300", "-keyint_min", "300", "-sc_threshold", "0"),
			"IDR frames are more than 6 s apart", 600, func(f int64) int { return int(f % 300) }},
		{"sound without a channel configuration",
			[]string{"-c:v", "copy", "-c:a", "aac", "-af", "pan=5.1(side)|c0=c0|c1=c1|c2=c0|c3=c0|c4=c0|c5=c1"},
			"", 600, func(f int64) int { return int(f % 300) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			source := joined(t, m, encode(), c.second)
			config := config(t, source, probe.Copy)
			whole := ingested(t, config)
			if c.why != "" && (len(whole.Parts) != 1 || whole.Parts[0].Mode != probe.Mezzanine ||
				!strings.Contains(whole.Parts[0].Reason, c.why)) {
				t.Fatalf("parts %+v, want one because %s", whole.Parts, c.why)
			}
			if c.want == nil {
				c.want = func(f int64) int { return int(f % 300) }
				if whole.Clock.Frames != c.frames {
					t.Errorf("%d frames, want %d", whole.Clock.Frames, c.frames)
				}
				return
			}
			checkSequence(t, whole, m, c.frames, c.want)
			if len(whole.Parts) == 0 {
				return
			}
			// A run that dies at each unit of the second part, the first one included.
			dying := &failing{Folder: Folder{Dir: t.TempDir()}, left: 3}
			for range 3 {
				if err := Run(t.Context(), config, dying); !errors.Is(err, errKilled) {
					t.Fatalf("got %v", err)
				}
				config.Resume = position(&dying.Folder)
				config.Decision = Continue(config.Info, config.Info.Video.Copied(), config.Decision.Rate)
				dying.left = 1
			}
			if err := Run(t.Context(), config, &dying.Folder); err != nil {
				t.Fatal(err)
			}
			checkSequence(t, &dying.Folder, m, c.frames, c.want)
		})
	}
}

// TestCopyOfMoreThanCanBeRead ends copying before what an earlier run has
// stored: ingest goes on behind that.
func TestCopyOfMoreThanCanBeRead(t *testing.T) {
	m := generate(t, match.Options{Seconds: 12, Rate: rate25, Seed: 21, AudioTracks: 1, GOPFrames: 25})
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "copy"}
	c := config(t, joined(t, m, x264, append(x264, "-vf", "scale=iw*2:ih*2")), probe.Copy)
	c.Resume = &Position{OriginTicks: ingested(t, c).Clock.OriginTicks, Frame: 450}
	f := ingested(t, c)
	if len(f.Parts) != 1 || f.Parts[0].Frame != 450 {
		t.Fatalf("parts %+v", f.Parts)
	}
	// The unit in which the size changes is not copied.
	next := int64(0)
	for _, u := range f.Units {
		if next == 200 {
			next = 450
		}
		if u.FrameStart != next {
			t.Fatalf("a unit begins at frame %d, want %d", u.FrameStart, next)
		}
		next += u.Frames
	}
}

// TestResumeAtTheEnd goes on after all was stored, but the end was not declared.
func TestResumeAtTheEnd(t *testing.T) {
	m := generate(t, match.Options{Seconds: 6, Rate: rate25, Seed: 22, AudioTracks: 1, GOPFrames: 25})
	c := config(t, convert(t, m.Path, "x.mkv", "-c:v", "mpeg4", "-q:v", "3", "-c:a", "mp2"), probe.Mezzanine)
	f := ingested(t, c)
	units := len(f.Units)
	f.Ended = false
	c.Resume = position(f)
	if err := Run(t.Context(), c, f); err != nil {
		t.Fatal(err)
	}
	if !f.Ended || f.Clock.Frames != 150 || len(f.Units) != units {
		t.Errorf("ended %v with %d frames; %d units, %d before", f.Ended, f.Clock.Frames, len(f.Units), units)
	}
}

// TestSoundAlone transcodes sound beside pictures that are copied.
func TestSoundAlone(t *testing.T) {
	m := generate(t, match.Options{Seconds: 8, Rate: rate25, Seed: 23, AudioTracks: 1, GOPFrames: 25})
	for name, args := range map[string][]string{
		"ac3.ts":  {"-c:a", "ac3"},
		"mp2.ts":  {"-c:a", "mp2"},
		"mp3.mp4": {"-c:a", "libmp3lame"},
		"pcm.mov": {"-c:a", "pcm_s16le"},
		"pce.mp4": {"-c:a", "aac", "-af", "pan=5.1(side)|c0=c0|c1=c1|c2=c0|c3=c0|c4=c0|c5=c1"},
		"late.ts": {"-c:a", "ac3", "-af", "atrim=start=6,asetpts=PTS"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, convert(t, m.Path, name, append([]string{"-map", "0", "-c:v", "copy"}, args...)...), probe.Copy)
			if s := c.Decision.Sound[0]; s.Copy || s.Reason == "" {
				t.Fatalf("the sound: %+v", s)
			}
			f := ingested(t, c)
			checkUnits(t, f, m, 1)
			if d := cmp.Diff(f.Units, ingested(t, c).Units); d != "" {
				t.Errorf("the second run differs: %s", d)
			}
			for _, u := range f.Units {
				sound, _ := readUnit(t, f, u).Audio(1)
				// AAC frames follow each other without a hole.
				if n := int64(len(sound)); n < u.Frames*48000/25/1024-1 {
					t.Errorf("unit at frame %d has %d audio frames for %d pictures", u.FrameStart, n, u.Frames)
				}
				for _, p := range sound {
					if h, err := mpegts.ReadADTS(p.Data); err != nil || h.Channels == 0 || h.SampleRate != SoundRate {
						t.Fatalf("%+v, %v", h, err)
					}
				}
			}
		})
	}
}

// TestDamagedSound has sound of which hardly a frame can be decoded, beside
// pictures that are whole.
func TestDamagedSound(t *testing.T) {
	m := generate(t, match.Options{Seconds: 8, Rate: rate25, Seed: 25, AudioTracks: 1, GOPFrames: 25})
	clean := convert(t, m.Path, "clean.mkv", "-map", "0", "-c:v", "copy", "-c:a", "flac")
	f := ingested(t, config(t, convert(t, clean, "x.mkv", "-map", "0",
		"-c", "copy", "-bsf:a", "noise=amount=40"), probe.Copy))
	checkUnits(t, f, m, 1)
	if len(f.Parts) > 0 {
		t.Errorf("ingest went on as %+v", f.Parts)
	}
}

// TestNearTheWrap reads stamps that begin less than a minute before the 33-bit
// wrap, which FFmpeg counts from below zero: sound stays where it belongs.
func TestNearTheWrap(t *testing.T) {
	m := generate(t, match.Options{Seconds: 8, Rate: rate25, Seed: 24, AudioTracks: 1, GOPFrames: 25})
	for _, c := range []struct {
		name string
		mode probe.Mode
		args []string
	}{
		{"copied pictures", probe.Copy, []string{"-c:v", "copy"}},
		{"mezzanine", probe.Mezzanine, []string{"-c:v", "mpeg2video", "-q:v", "2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			late := append(append([]string{"-map", "0"}, c.args...), "-c:a", "ac3",
				"-af", "atrim=start=4,asetpts=PTS", "-output_ts_offset", "95400")
			f := ingested(t, config(t, convert(t, m.Path, "x.ts", late...), c.mode))
			checkUnits(t, f, m, 1)
			// The first 4 s of sound are silence, which takes hardly a byte.
			sound, _ := readUnit(t, f, f.Units[0]).Audio(1)
			edge := int64(4 * timeline.TickRate)
			for _, p := range sound {
				at := p.PTS - f.Clock.OriginTicks
				if near := at > edge-timeline.TickRate/10 && at < edge+timeline.TickRate/10; !near &&
					(len(p.Data) < 64) != (at < edge) {
					t.Fatalf("the sound at %.2f s has %d bytes", float64(at)/timeline.TickRate, len(p.Data))
				}
			}
		})
	}
}

// readUnit reads a stored unit.
func readUnit(t *testing.T, f *Folder, u Unit) mpegts.Unit {
	t.Helper()
	unit, err := mpegts.UnitFile{Path: f.Path(u.FirstTicks), FirstTicks: u.FirstTicks}.Read()
	if err != nil {
		t.Fatal(err)
	}
	return unit
}

// TestForms checks what a mezzanine makes of pictures of other forms.
func TestForms(t *testing.T) {
	generateVideo := func(t *testing.T, name string, args ...string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(args, path)}); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lavfi := func(graph string, more ...string) []string {
		return append([]string{"-f", "lavfi", "-i", graph, "-pix_fmt", "yuv420p"}, more...)
	}
	cases := []struct {
		name   string
		args   []string
		frames int64
		rate   string
		width  int
		drops  int64
	}{
		{"slides.mp4", lavfi("testsrc=s=320x180:r=1/7:d=35", "-c:v", "libx264", "-g", "1"), 875, "25", 320, 0},
		{"halved.mp4", lavfi("testsrc=s=320x180:r=100:d=3", "-c:v", "mpeg4"), 150, "50", 320, 150},
		{"anamorphic.mp4", lavfi("testsrc=s=352x288:r=25:d=3", "-vf", "setsar=16/11", "-c:v", "mpeg4"), 75, "25", 512, 0},
		{"turned.mp4", lavfi("testsrc=s=320x180:r=25:d=3", "-c:v", "mpeg4"), 75, "25", 180, 0},
		{"dv.avi", lavfi("testsrc=s=720x576:r=25:d=2", "-c:v", "dvvideo"), 50, "25", 0, 0},
		{"hdr.mp4", lavfi("testsrc=s=320x180:r=25:d=2", "-c:v", "libx264", "-pix_fmt", "yuv420p10le",
			"-color_trc", "smpte2084", "-color_primaries", "bt2020", "-colorspace", "bt2020nc"), 50, "25", 320, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			source := generateVideo(t, c.name, c.args...)
			if c.name == "turned.mp4" {
				source = convert(t, source, c.name, "-c", "copy", "-metadata:s:v", "rotate=90")
			}
			f := ingested(t, config(t, source, probe.Mezzanine))
			var drops, frames int64
			for _, u := range f.Units {
				drops += u.Dropped
				frames += u.Frames
				if u.Missing != 0 {
					t.Errorf("%d frames of a mezzanine are missing", u.Missing)
				}
			}
			if frames != c.frames || f.Clock.Frames != c.frames || f.Clock.Rate.String() != c.rate || drops != c.drops {
				t.Errorf("%d frames at %s, %d dropped; want %d at %s, %d dropped", f.Clock.Frames,
					f.Clock.Rate, drops, c.frames, c.rate, c.drops)
			}
			p, err := mpegts.ReadPicture(readUnit(t, f, f.Units[0]).Video()[0].Data)
			if err != nil {
				t.Fatal(err)
			}
			if p.SAR != (timeline.Rational{Num: 1, Den: 1}) || c.width > 0 && p.Width != c.width || p.Depth != 8 {
				t.Errorf("the pictures are %+v", p)
			}
			if c.name == "hdr.mp4" && (p.Transfer != 1 || p.Primaries != 1 || p.Matrix != 1) {
				t.Errorf("tone-mapped pictures are tagged %+v", p)
			}
		})
	}
}
