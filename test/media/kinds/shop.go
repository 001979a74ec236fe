// SPDX-License-Identifier: Apache-2.0

package kinds

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/media/film"
)

// lead is where in the noise the first picture is, so that there is sound before it.
const lead = 10 * film.SampleRate

// shop makes one source. After an error it does nothing more.
type shop struct {
	ctx   context.Context
	dir   string
	seed  uint64
	files int
	err   error
}

// first is the number of the film's first picture: never the frame's own.
func (s *shop) first() int { return 1000 + int(s.seed%61)*97 }

// take is a piece of film.
type take struct {
	look film.Look
	rate string
	// begin is the index of the first picture, by which it is numbered.
	begin, count int
	sounds       []tone
	interlaced   bool
	bottomFirst  bool
}

// tone is one sound track of a take: its begin in microseconds from the film's first picture, and its length.
type tone struct {
	channels int
	layout   string
	at, len  int64
	// loud multiplies the level; 0 means 1.
	loud float64
}

var (
	small = film.Look{Width: 160, Height: 90}
	tiny  = film.Look{Width: 128, Height: 72}
)

// rational reads a rate that is written in this package.
func rational(rate string) timeline.Rational {
	r, err := timeline.ParseRational(rate)
	if err != nil {
		panic(err)
	}
	return r
}

// micros is the time at which a picture of a constant rate begins.
func micros(n int, rate string) int64 {
	r := rational(rate)
	return timeline.MulDiv(int64(n), 1_000_000*r.Den, r.Num)
}

// stereo sound beside the whole of a take.
func (t take) stereo() take {
	return t.with(tone{channels: 2, layout: "stereo"})
}

// with adds sound beside the whole of a take.
func (t take) with(a tone) take {
	a.at = micros(t.begin, t.rate)
	a.len = micros(t.begin+t.count, t.rate) - a.at
	t.sounds = append(slices.Clip(t.sounds), a)
	return t
}

// filmed is a take of some seconds of a rate from the film's begin.
func filmed(look film.Look, rate string, seconds float64) take {
	return take{look: look, rate: rate, count: int(math.Round(seconds * rational(rate).Float()))}
}

// path names a new file.
func (s *shop) path(ext string) string {
	s.files++
	return filepath.Join(s.dir, fmt.Sprintf("%d%s", s.files, ext))
}

// encode shoots a take into a new file.
func (s *shop) encode(t take, ext string, args ...string) string {
	out := s.path(ext)
	cmd := ffmpeg.Cmd{Tool: "ffmpeg", Stdin: film.Pictures{Look: t.look, First: s.first() + t.begin, Count: t.count,
		Interlaced: t.interlaced, BottomFirst: t.bottomFirst}.Reader()}
	cmd.Args = []string{"-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", fmt.Sprintf("%dx%d", t.look.Width, t.look.Height),
		"-framerate", t.rate, "-i", "pipe:0"}
	maps := []string{"-map", "0:v"}
	for i, a := range t.sounds {
		sound := film.Sound{Seed: s.seed, Track: i, Channels: a.channels,
			From: lead + samples(a.at), Samples: samples(a.len), Loud: a.loud}
		cmd.Inputs = append(cmd.Inputs, sound.Reader())
		if off := a.at - micros(t.begin, t.rate); off != 0 {
			cmd.Args = append(cmd.Args, "-itsoffset", seconds(off))
		}
		cmd.Args = append(cmd.Args, "-f", "s16le", "-ar", strconv.Itoa(film.SampleRate))
		if a.layout != "" {
			cmd.Args = append(cmd.Args, "-ch_layout", a.layout)
		} else {
			// FFmpeg would take eight channels for 7.1.
			cmd.Args = append(cmd.Args, "-guess_layout_max", "0", "-ac", strconv.Itoa(a.channels))
		}
		cmd.Args = append(cmd.Args, "-i", "pipe:"+strconv.Itoa(3+i))
		maps = append(maps, "-map", strconv.Itoa(1+i)+":a")
	}
	cmd.Args = append(append(cmd.Args, maps...), args...)
	cmd.Args = append(cmd.Args, "-y", "file:"+out)
	s.run(cmd)
	return out
}

// ffmpeg makes a new file of others.
func (s *shop) ffmpeg(ext string, args ...string) string {
	out := s.path(ext)
	s.run(ffmpeg.Cmd{Tool: "ffmpeg", Args: append(args, "-y", "file:"+out)})
	return out
}

func (s *shop) run(cmd ffmpeg.Cmd) {
	if s.err == nil {
		s.err = ffmpeg.Run(s.ctx, cmd)
	}
}

// edit changes a file's bytes.
func (s *shop) edit(path string, change func([]byte) ([]byte, error)) string {
	if s.err != nil {
		return path
	}
	raw, err := os.ReadFile(path)
	if err == nil {
		raw, err = change(raw)
	}
	out := s.path(filepath.Ext(path))
	if err == nil {
		err = os.WriteFile(out, raw, 0o644)
	}
	s.err = err
	return out
}

// cat joins files.
func (s *shop) cat(paths ...string) string {
	var all []byte
	for _, p := range paths {
		if s.err != nil {
			return ""
		}
		raw, err := os.ReadFile(p)
		s.err = err
		all = append(all, raw...)
	}
	out := s.path(filepath.Ext(paths[0]))
	if s.err == nil {
		s.err = os.WriteFile(out, all, 0o644)
	}
	return out
}

func samples(us int64) int64 { return timeline.MulDiv(us, film.SampleRate, 1_000_000) }

func seconds(us int64) string { return strconv.FormatFloat(float64(us)/1e6, 'f', 6, 64) }

// truth is what is right for a take that is the whole film.
func (s *shop) truth(t take) film.Truth {
	truth := film.Truth{Seed: s.seed, Looks: []film.Look{t.look}, Rate: rational(t.rate)}
	s.show(&truth, t, 0)
	return truth
}

// show adds a take to the film, its first picture at the given time.
func (s *shop) show(truth *film.Truth, t take, at int64) {
	start := micros(t.begin, t.rate)
	for i := range t.count {
		truth.Pictures = append(truth.Pictures, film.Picture{At: at + micros(t.begin+i, t.rate) - start,
			Number: s.first() + t.begin + i, Look: len(truth.Looks) - 1})
	}
	truth.End = at + micros(t.begin+t.count, t.rate) - start
	for i, a := range t.sounds {
		run := film.Run{At: at + a.at - start, Len: a.len, From: lead + samples(a.at), Track: i,
			Gains: mixOf(a.channels, a.layout), Loud: a.loud > 0}
		if i == len(truth.Tracks) {
			truth.Tracks = append(truth.Tracks, film.Track{})
		}
		truth.Tracks[i].Runs = append(truth.Tracks[i].Runs, run)
	}
}

// mixOf is the stereo mix of a layout: mono to both sides, Lo/Ro of ITU-R BS.775 with centre and surrounds at -3 dB and
// without low frequency effects; of channels without a layout, the first two.
func mixOf(channels int, layout string) [][2]float64 {
	const q = math.Sqrt2 / 2
	left, right, both, none := [2]float64{1, 0}, [2]float64{0, 1}, [2]float64{q, q}, [2]float64{0, 0}
	sl, sr := [2]float64{q, 0}, [2]float64{0, q}
	switch layout {
	case "mono":
		return [][2]float64{{1, 1}}
	case "5.1", "5.1(side)":
		return [][2]float64{left, right, both, none, sl, sr}
	case "7.1":
		return [][2]float64{left, right, both, none, sl, sr, sl, sr}
	}
	gains := make([][2]float64, channels)
	gains[0], gains[1] = left, right
	return gains
}

// x264 are options of a quick H.264 encode with a closed group of pictures of a second or so.
func x264(gop int, more ...string) []string {
	g := strconv.Itoa(gop)
	return append([]string{"-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-g", g, "-keyint_min", g,
		"-sc_threshold", "0", "-bf", "2", "-pix_fmt", "yuv420p", "-threads", "2"}, more...)
}

// aac are options of sound that an encoder changes little.
func aac(more ...string) []string { return append([]string{"-c:a", "aac", "-b:a", "192k"}, more...) }

// join appends lists of options.
func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
