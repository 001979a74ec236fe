// SPDX-License-Identifier: Apache-2.0

// Package check decodes clips and reels and compares them with what is known of their source: every picture by its
// number, the sound by where its noise lies, the shape by a square, levels, tags, and that nothing is damaged.
package check

import (
	"context"
	"fmt"
	"math"
	"os"

	"github.com/mre-operator/mre-operator/test/media/film"
)

// What can be wrong.
const (
	Decode   = "decode"   // the decoder complains
	Pictures = "pictures" // a wrong picture, or a wrong number of them
	Sound    = "sound"    // not where it belongs
	Level    = "level"    // too loud, too quiet, or wrong channels in the mix
	Shape    = "shape"    // wrong size, or not as wide as it should look
	Colour   = "colour"   // wrong tags, or levels that do not fit them
	Comb     = "comb"     // two moments in one picture
	Tracks   = "tracks"   // a sound track too many or too few
)

// Finding is one thing that is wrong.
type Finding struct{ What, Detail string }

// Ask is what the output should hold.
type Ask struct {
	Clock *film.Clock
	// Parts are ranges of frames, the end exclusive.
	Parts [][2]int64
	// Track counts from 1; 0 means without sound.
	Track int
	// Width and Height that a reel was asked for; 0 means as the source looks.
	Width, Height int
	// SoundTolerance is in microseconds.
	SoundTolerance int64
}

// Report is what was found.
type Report struct {
	Findings []Finding
	// SoundOffset is the worst of the offsets, in microseconds; positive when the sound comes late.
	SoundOffset int64
}

func (r *Report) add(what, format string, args ...any) {
	for _, f := range r.Findings {
		if f.What == what {
			return // the first of a kind says it
		}
	}
	r.Findings = append(r.Findings, Finding{what, fmt.Sprintf(format, args...)})
}

// Output checks a finished clip or reel. An error means that it could not be judged at all.
func Output(ctx context.Context, path string, ask Ask) (Report, error) {
	var r Report
	seen, err := inspect(ctx, path)
	if err != nil {
		return r, err
	}
	checkStreams(&r, seen, ask)
	dir, err := os.MkdirTemp("", "check-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	pictures := &pictureCheck{ask: ask, seen: seen, report: &r}
	sound, err := decode(ctx, path, dir, seen, pictures.add)
	if err != nil {
		r.add(Decode, "%v", err)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
	pictures.finish()
	if ask.Track > 0 && len(sound) > 0 {
		checkSound(&r, ask, sound, pictures.firsts)
	}
	return r, nil
}

// size is what the output should measure.
func (a Ask) size() (int, int) {
	if a.Width > 0 {
		return a.Width, a.Height
	}
	return a.Clock.Looks[0].Shown()
}

func (a Ask) frames() (n int64) {
	for _, p := range a.Parts {
		n += p[1] - p[0]
	}
	return n
}

func checkStreams(r *Report, s seen, ask Ask) {
	w, h := ask.size()
	if s.video.Width != w || s.video.Height != h {
		r.add(Shape, "%dx%d instead of %dx%d", s.video.Width, s.video.Height, w, h)
	}
	if sar := s.video.SAR; sar != "" && sar != "1:1" && sar != "0:1" && sar != "N/A" {
		r.add(Shape, "pixels of %s", sar)
	}
	if len(s.video.SideData) > 0 && s.video.SideData[0].Rotation != 0 {
		r.add(Shape, "turned by %v", s.video.SideData[0].Rotation)
	}
	for _, c := range []struct{ name, got, want string }{
		{"matrix", s.video.Matrix, ask.Clock.Colour.Matrix},
		{"transfer", s.video.Transfer, ask.Clock.Colour.Transfer},
		{"primaries", s.video.Primaries, ask.Clock.Colour.Primaries},
		{"pixel format", s.video.PixelFormat, ask.Clock.Colour.PixelFormat},
	} {
		if c.want != "" && c.got != c.want {
			r.add(Colour, "%s %q instead of %q", c.name, c.got, c.want)
		}
	}
	want := min(ask.Track, 1)
	if len(s.audio) != want {
		r.add(Tracks, "%d sound streams instead of %d", len(s.audio), want)
	}
	if len(s.audio) == 0 || want == 0 {
		return
	}
	a := s.audio[0]
	if a.SampleRate != "48000" || a.Channels != 2 {
		r.add(Tracks, "sound of %s Hz and %d channels instead of 48000 Hz stereo", a.SampleRate, a.Channels)
	}
	rate := s.video.rate()
	length := float64(ask.frames()) / rate
	if got := s.seconds(a); math.Abs(got-length) > 0.0015 {
		r.add(Sound, "%.3f s long instead of %.3f s", got, length)
	}
}
