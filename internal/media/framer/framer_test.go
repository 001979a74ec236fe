// SPDX-License-Identifier: Apache-2.0

package framer_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/framer"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/signals"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

func makeEvent(t *testing.T, o match.Options) (event.Event, []framer.UnitFile) {
	t.Helper()
	e, err := event.Make(t.Context(), t.TempDir(), o, 3)
	if err != nil {
		t.Fatal(err)
	}
	return e, e.Files(e.Clock.MarkOf(0), e.Clock.End())
}

// frameChunks frames the units in groups of n and joins the signals, through
// their JSON form.
func frameChunks(t *testing.T, e event.Event, files []framer.UnitFile, n int) signals.Signals {
	t.Helper()
	var all signals.Signals
	for i := 0; i < len(files); i += n {
		var prev *framer.UnitFile
		if i > 0 {
			prev = &files[i-1]
		}
		s, err := framer.Frame(t.Context(), files[i:min(i+n, len(files))], prev, e.Clock)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back signals.Signals
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			all = back
		} else if all, err = signals.Join(all, back); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestChunksEqualOnePass is the framer's promise: chunks joined are the same
// as one pass, in every number.
func TestChunksEqualOnePass(t *testing.T) {
	for _, rate := range []timeline.Rational{{Num: 25, Den: 1}, {Num: 30000, Den: 1001}} {
		t.Run(rate.String(), func(t *testing.T) {
			e, files := makeEvent(t, match.Options{Seconds: 20, Rate: rate, Seed: 31,
				AudioTracks: 2, GOPFrames: int(rate.Num / rate.Den)})
			whole := frameChunks(t, e, files, len(files))
			if whole.Frames != e.Clock.Frames || int64(len(whole.Diffs)) != e.Clock.Frames-1 || len(whole.Tracks) != 2 {
				t.Fatalf("%d frames, %d diffs, %d tracks", whole.Frames, len(whole.Diffs), len(whole.Tracks))
			}
			for _, n := range []int{1, 2, 3} {
				if d := cmp.Diff(whole, frameChunks(t, e, files, n)); d != "" {
					t.Errorf("chunks of %d units: %s", n, d)
				}
			}
		})
	}
}

// TestTruth finds the match's cuts and cheers in the signals by the simplest
// rule.
func TestTruth(t *testing.T) {
	e, files := makeEvent(t, match.Options{Seconds: 40, Seed: 32, Moments: []int64{6_300_000, 17_800_000, 29_000_000}})
	s := frameChunks(t, e, files, 2)
	var cuts []int64
	for f := int64(1); f < s.Frames; f++ {
		if d, ok := s.DiffOf(f); ok && d > 27000 {
			cuts = append(cuts, f)
		}
	}
	if d := cmp.Diff(e.Match.Truth.Shots[1:], cuts); d != "" {
		t.Errorf("cuts: %s", d)
	}
	floor := slices.Clone(s.Tracks[0].Levels)
	slices.Sort(floor)
	threshold := floor[len(floor)/2] + 800
	for _, m := range e.Match.Truth.Moments {
		k := m.Us / signals.WindowMicros
		if before, _, ok := s.Tracks[0].LevelOf(k - 3); !ok || before > threshold {
			t.Errorf("moment %v: loud before it: %d", m, before)
		}
		if after, peak, ok := s.Tracks[0].LevelOf(k + 7); !ok || after < threshold || peak < after {
			t.Errorf("moment %v: level %d, peak %d, threshold %d", m, after, peak, threshold)
		}
	}
}

// TestJoinOverHole keeps every frame and window in its place when a chunk is
// missing in between.
func TestJoinOverHole(t *testing.T) {
	e, files := makeEvent(t, match.Options{Seconds: 20, Rate: timeline.Rational{Num: 25, Den: 1}, Seed: 31,
		AudioTracks: 2, GOPFrames: 25})
	whole := frameChunks(t, e, files, len(files))
	a, errA := framer.Frame(t.Context(), files[:2], nil, e.Clock)
	b, errB := framer.Frame(t.Context(), files[4:], &files[3], e.Clock)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	s, err := signals.Join(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if s.Frames != whole.Frames || len(s.Diffs) != len(whole.Diffs) || len(s.Luma) != len(whole.Luma) ||
		len(s.Tracks[0].Levels) != len(whole.Tracks[0].Levels) {
		t.Fatalf("%d frames, %d diffs, %d windows", s.Frames, len(s.Diffs), len(s.Tracks[0].Levels))
	}
	last := s.Frames - 1
	x, _ := s.DiffOf(last)
	if y, _ := whole.DiffOf(last); x != y {
		t.Errorf("frame %d moved: %d, %d", last, x, y)
	}
}

// damaged rewrites the packets of a unit's stream: track 0 is the picture.
func damaged(t *testing.T, e event.Event, unit, track int, damage func(n int, p *mpegts.PES)) {
	t.Helper()
	err := e.Change(unit, func(u *mpegts.Unit) {
		n := 0
		for i := range u.Packets {
			for _, s := range u.Streams {
				if s.PID == u.Packets[i].PID && s.AudioTrack == track {
					damage(n, &u.Packets[i])
					n++
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamagedSoundKeepsThePicture damages one track, from a few frames to all of
// it: neither the picture's signals nor the other track's levels change, and
// what is lost is silent.
func TestDamagedSoundKeepsThePicture(t *testing.T) {
	o := match.Options{Seconds: 12, Rate: timeline.Rational{Num: 25, Den: 1}, Seed: 31, AudioTracks: 2, GOPFrames: 25}
	e, files := makeEvent(t, o)
	want := frameChunks(t, e, files, len(files))
	for _, c := range []struct {
		name   string
		damage func(n int, p *mpegts.PES)
	}{
		{"four frames cut off", func(n int, p *mpegts.PES) {
			if n >= 50 && n < 54 {
				p.Data = p.Data[:30]
			}
		}},
		{"no frame whole", func(_ int, p *mpegts.PES) { p.Data = p.Data[:30] }},
		{"nothing decodes", func(_ int, p *mpegts.PES) {
			p.Data = append(append([]byte(nil), p.Data[:7]...), bytes.Repeat([]byte{0xff}, len(p.Data)-7)...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, files := makeEvent(t, o)
			damaged(t, e, 1, 1, c.damage)
			got := frameChunks(t, e, files, 2)
			if d := cmp.Diff(want.Diffs, got.Diffs); d != "" {
				t.Errorf("picture: %s", d)
			}
			if d := cmp.Diff(want.Tracks[1], got.Tracks[1]); d != "" {
				t.Errorf("other track: %s", d)
			}
			if len(got.Tracks) != 2 || len(got.Tracks[0].Levels) != len(want.Tracks[0].Levels) {
				t.Fatalf("%d windows instead of %d", len(got.Tracks[0].Levels), len(want.Tracks[0].Levels))
			}
			last := len(want.Tracks[0].Levels) - 2
			if got.Tracks[0].Levels[last] != want.Tracks[0].Levels[last] {
				t.Error("levels after the damage changed")
			}
		})
	}
}

// TestDamagedPicturesCountAsUnchanged takes slices out of pictures: the frames
// stay in their places, and later groups of pictures are as they were.
func TestDamagedPicturesCountAsUnchanged(t *testing.T) {
	o := match.Options{Seconds: 12, Rate: timeline.Rational{Num: 25, Den: 1}, Seed: 31, GOPFrames: 25}
	e, files := makeEvent(t, o)
	want := frameChunks(t, e, files, len(files))
	e, files = makeEvent(t, o)
	damaged(t, e, 1, 0, func(n int, p *mpegts.PES) {
		if n >= 30 && n < 40 {
			p.Data = p.Data[:12]
		}
	})
	got := frameChunks(t, e, files, len(files))
	if got.Frames != want.Frames || len(got.Diffs) != len(want.Diffs) {
		t.Fatalf("%d frames, %d differences", got.Frames, len(got.Diffs))
	}
	hurt := int(e.Units[1].FrameStart)
	for i := range want.Diffs {
		if (i < hurt+20 || i > hurt+60) && want.Diffs[i] != got.Diffs[i] {
			t.Fatalf("frame %d: %d instead of %d", i+1, got.Diffs[i], want.Diffs[i])
		}
	}
	damaged(t, e, 1, 0, func(_ int, p *mpegts.PES) { p.Data = p.Data[:12] })
	if _, err := framer.Frame(t.Context(), files[1:2], nil, e.Clock); err == nil ||
		!strings.Contains(err.Error(), "no picture") {
		t.Errorf("a chunk without a picture: %v", err)
	}
}

// TestSizeChangesInTheMiddle compares pictures of different sizes.
func TestSizeChangesInTheMiddle(t *testing.T) {
	e, files := makeEvent(t, match.Options{Seconds: 12, Rate: timeline.Rational{Num: 25, Den: 1}, Seed: 31, GOPFrames: 25})
	if err := e.Encode(t.Context(), 1, "-vf", "scale=640:360"); err != nil {
		t.Fatal(err)
	}
	s := frameChunks(t, e, files, len(files))
	if s.Frames != e.Clock.Frames || int64(len(s.Diffs)) != s.Frames-1 {
		t.Errorf("%d frames, %d differences", s.Frames, len(s.Diffs))
	}
}
