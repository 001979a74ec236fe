// SPDX-License-Identifier: Apache-2.0

// Package signals holds what detectors need of a chunk, a few kilobytes: how
// much each frame differs from the one before, how bright it is, and how loud
// each track is. Package framer makes them.
//
// Signals of neighbouring chunks join to exactly the signals of one pass over
// both.
package signals

import (
	"errors"
	"fmt"
	"math"
)

// Version of the JSON form.
const Version = 1

// Size of the thumbnails on which frames are compared.
const (
	ThumbWidth  = 64
	ThumbHeight = 36
)

// WindowMicros is the length of a level window. Window k of the Event covers
// [k, k+1) times this.
const WindowMicros = 100_000

// Silence is the level, in hundredths of a decibel, of no sound at all.
const Silence = -12000

// Signals of a chunk, or of several chunks that were joined.
type Signals struct {
	Version int `json:"version"`
	// FirstFrame and Frames count on the Event's frame grid.
	FirstFrame int64 `json:"firstFrame"`
	Frames     int64 `json:"frames"`
	// Diffs are thousandths of the mean absolute difference of luma (0 to
	// 255000) between a frame and the one before: Diffs[i] belongs to frame
	// FirstFrame+1+i. The first frame's comes by Join.
	Diffs []int32 `json:"diffs"`
	// Luma is each frame's mean brightness.
	Luma []byte `json:"luma"`
	// FirstThumb and LastThumb are gray pictures, row by row.
	FirstThumb []byte  `json:"firstThumb"`
	LastThumb  []byte  `json:"lastThumb"`
	Tracks     []Track `json:"tracks"`
}

// Track is the loudness of an audio track.
type Track struct {
	// Track counts from 1.
	Track int `json:"track"`
	// FirstWindow is the window of the first level.
	FirstWindow int64 `json:"firstWindow"`
	// Levels are root mean squares, Peaks the loudest sample, both in
	// hundredths of a decibel of full scale. The first and the last window may
	// reach into the neighbouring chunks; Join completes them.
	Levels []int32 `json:"levels"`
	Peaks  []int32 `json:"peaks"`
	// Head and Tail are the exact sums behind the first and the last window.
	Head Window `json:"head"`
	Tail Window `json:"tail"`
}

// FullScale is what a sample of 1 is in the sums of windows.
const FullScale = 32768

// Window is what is known of a level window.
type Window struct {
	Samples int64 `json:"samples"`
	Squares int64 `json:"squares"`
	// Loudest is the largest sample, by its amount.
	Loudest int32 `json:"peak"`
}

// Level is the root mean square, in hundredths of a decibel of full scale.
func (w Window) Level() int32 {
	if w.Samples == 0 || w.Squares == 0 {
		return Silence
	}
	return max(Silence, int32(math.Round(1000*math.Log10(float64(w.Squares)/float64(w.Samples)/(FullScale*FullScale)))))
}

// Peak is the loudest sample, in hundredths of a decibel of full scale.
func (w Window) Peak() int32 {
	if w.Loudest == 0 {
		return Silence
	}
	return int32(math.Round(2000 * math.Log10(float64(w.Loudest)/FullScale)))
}

func (w Window) plus(o Window) Window {
	return Window{Samples: w.Samples + o.Samples, Squares: w.Squares + o.Squares, Loudest: max(w.Loudest, o.Loudest)}
}

// DiffOf returns a frame's difference to the frame before it.
func (s Signals) DiffOf(frame int64) (int32, bool) {
	i := frame - s.FirstFrame - 1
	if i < 0 || i >= int64(len(s.Diffs)) {
		return 0, false
	}
	return s.Diffs[i], true
}

// LevelOf returns the level and peak of a window.
func (t Track) LevelOf(window int64) (level, peak int32, ok bool) {
	i := window - t.FirstWindow
	if i < 0 || i >= int64(len(t.Levels)) {
		return 0, 0, false
	}
	return t.Levels[i], t.Peaks[i], true
}

// Join appends the signals of a later chunk. Frames and windows between them
// that nobody has are filled as unchanged and silent.
func Join(prev, cur Signals) (Signals, error) {
	if prev.Version != Version || cur.Version != Version {
		return Signals{}, fmt.Errorf("signals have versions %d and %d, this program reads %d: run the framer again",
			prev.Version, cur.Version, Version)
	}
	gap := cur.FirstFrame - (prev.FirstFrame + prev.Frames)
	if gap < 0 {
		return Signals{}, fmt.Errorf("signals overlap: frames up to %d, then from %d",
			prev.FirstFrame+prev.Frames, cur.FirstFrame)
	}
	if len(prev.LastThumb) != len(cur.FirstThumb) || len(prev.Luma) == 0 {
		return Signals{}, errors.New("signals are damaged: thumbnails are missing or of different size")
	}
	out := Signals{Version: Version, FirstFrame: prev.FirstFrame, Frames: prev.Frames + gap + cur.Frames,
		FirstThumb: prev.FirstThumb, LastThumb: cur.LastThumb}
	out.Diffs = append(append([]int32{}, prev.Diffs...), make([]int32, gap)...)
	out.Diffs = append(append(out.Diffs, Difference(prev.LastThumb, cur.FirstThumb)), cur.Diffs...)
	out.Luma = append([]byte{}, prev.Luma...)
	for range gap {
		out.Luma = append(out.Luma, prev.Luma[len(prev.Luma)-1])
	}
	out.Luma = append(out.Luma, cur.Luma...)
	for _, t := range prev.Tracks {
		for _, u := range cur.Tracks {
			if u.Track == t.Track {
				t = t.join(u)
			}
		}
		out.Tracks = append(out.Tracks, t)
	}
	return out, nil
}

func (t Track) join(u Track) Track {
	switch {
	case len(u.Levels) == 0:
		return t
	case len(t.Levels) == 0:
		return u
	}
	out := Track{Track: t.Track, FirstWindow: t.FirstWindow, Head: t.Head, Tail: u.Tail,
		Levels: append([]int32{}, t.Levels...), Peaks: append([]int32{}, t.Peaks...)}
	last := t.FirstWindow + int64(len(t.Levels)) - 1
	for w := last + 1; w < u.FirstWindow; w++ {
		out.Levels, out.Peaks = append(out.Levels, Silence), append(out.Peaks, Silence)
	}
	levels, peaks := u.Levels, u.Peaks
	if u.FirstWindow == last {
		both := t.Tail.plus(u.Head)
		n := len(out.Levels) - 1
		out.Levels[n], out.Peaks[n] = both.Level(), both.Peak()
		if len(t.Levels) == 1 {
			out.Head = both
		}
		if len(u.Levels) == 1 {
			out.Tail = both
		}
		levels, peaks = levels[1:], peaks[1:]
	}
	out.Levels, out.Peaks = append(out.Levels, levels...), append(out.Peaks, peaks...)
	return out
}

// Difference is the mean absolute difference of two thumbnails in thousandths.
func Difference(a, b []byte) int32 {
	sum := 0
	for i := range a {
		d := int(a[i]) - int(b[i])
		if d < 0 {
			d = -d
		}
		sum += d
	}
	return int32(sum * 1000 / len(a))
}
