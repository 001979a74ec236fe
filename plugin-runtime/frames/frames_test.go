// SPDX-License-Identifier: Apache-2.0

package frames

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// chunk is a TS of four seconds at 25 frames a second, that starts late on its clock.
func chunk(t *testing.T) string {
	t.Helper()
	m, err := match.Generate(t.Context(), match.Options{Seconds: 4, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "Cup_Final_1_00003.ts")
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg",
		Args: append(ffmpeg.Input(m.Path), "-c", "copy", "-output_ts_offset", "3601.3", path)}); err != nil {
		t.Fatal(err)
	}
	return path
}

// numbers reads the frame numbers in the pictures.
func numbers(t *testing.T, s Set) []int {
	t.Helper()
	b, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	if size := int64(s.Width*s.Height) * s.Format.bytes(); int64(len(b)) != s.Frames*size {
		t.Fatalf("%d bytes are not %d pictures of %d", len(b), s.Frames, size)
	}
	video := filepath.Join(t.TempDir(), "lossless.mkv")
	if err := ffmpeg.Run(t.Context(),
		ffmpeg.Cmd{Tool: "ffmpeg", Args: []string{"-f", "rawvideo", "-pix_fmt", string(s.Format),
			"-s", fmt.Sprintf("%dx%d", s.Width, s.Height), "-i", s.Path, "-c:v", "ffv1", video}}); err != nil {
		t.Fatal(err)
	}
	out, err := match.ReadFrameNumbers(t.Context(), video,
		match.Layout{SourceWidth: 320, SourceHeight: 180, Width: s.Width, Height: s.Height})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGet(t *testing.T) {
	media := chunk(t)
	tests := map[string]struct {
		p      Params
		height int
		frames int
		// number is the frame that picture k shows.
		number func(k int) int
	}{
		"all, gray": {Params{Width: 320, Format: Gray}, 180, 100, func(k int) int { return k }},
		"all, rgb":  {Params{Width: 160, Format: RGB}, 90, 100, func(k int) int { return k }},
		"higher rate": {Params{Width: 320, Format: Gray, Rate: timeline.Rational{Num: 50, Den: 1}}, 180,
			100, func(k int) int { return k }},
		"5 a second": {Params{Width: 320, Format: Gray, Rate: timeline.Rational{Num: 5, Den: 1}}, 180,
			20, func(k int) int { return 5 * k }},
		"10 a second": {Params{Width: 320, Format: Gray, Rate: timeline.Rational{Num: 10, Den: 1}},
			180, 40, func(k int) int { return k * 5 / 2 }},
		"one in 2 s": {Params{Width: 320, Format: Gray, Rate: timeline.Rational{Num: 1, Den: 2}}, 180,
			2, func(k int) int { return 50 * k }},
		"odd dimensions": {Params{Width: 321, Format: Gray, Rate: timeline.Rational{Num: 5, Den: 1}}, 181,
			20, func(k int) int { return 5 * k }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := Get(t.Context(), media, tt.p)
			if err != nil {
				t.Fatal(err)
			}
			if s.Height != tt.height || s.Frames != int64(tt.frames) || filepath.Dir(s.Path) != filepath.Dir(media) {
				t.Fatalf("got %+v", s)
			}
			for k, n := range numbers(t, s) {
				if n != tt.number(k) {
					t.Fatalf("picture %d shows frame %d, want %d", k, n, tt.number(k))
				}
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	media := chunk(t)
	tests := map[string]struct {
		p    Params
		want string
	}{
		"no width":     {Params{Format: Gray}, "width is 0"},
		"large width":  {Params{Width: 10000, Format: Gray}, "width is 10000"},
		"other format": {Params{Width: 10, Format: "yuv420p"}, `format is "yuv420p"`},
		"bad rate":     {Params{Width: 10, Format: Gray, Rate: timeline.Rational{Num: 1}}, "rate is 1/0"},
		"endless rate": {Params{Width: 10, Format: Gray, Rate: timeline.Rational{Num: 1, Den: 1 << 58}},
			"both must be at most 1000000"},
		"too much": {Params{Width: 7680, Format: RGB}, "more than the 512 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Get(t.Context(), media, tt.p)
			var r *RefusedError
			if !errors.As(err, &r) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What a chunk's pictures take is bounded in all, not for each request.
func TestRoomIsShared(t *testing.T) {
	media := chunk(t)
	other := filepath.Join(filepath.Dir(media), "frames-other.raw")
	f, err := os.Create(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(MaxBytes-1<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Get(t.Context(), media, Params{Width: 320, Format: Gray}); err == nil ||
		!strings.Contains(err.Error(), "of which 511 MiB are used") {
		t.Errorf("got %v", err)
	}
	if _, err := Get(t.Context(), media, Params{Width: 64, Format: Gray}); err != nil {
		t.Errorf("what has room: %v", err)
	}
}

// A decode whose size was guessed too small is ended where the room ends.
func TestRoomEndsADecode(t *testing.T) {
	media := chunk(t)
	path := filepath.Join(t.TempDir(), "frames.raw")
	full := errors.New("full")
	if _, err := write(t.Context(), media, "format=gray", path, 100_000, full); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(path + "*"); left != nil {
		t.Errorf("left %v", left)
	}
}

func TestDecodedOnce(t *testing.T) {
	media := chunk(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := Get(t.Context(), media, Params{Width: 320, Format: Gray}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// Without the chunk's file nothing can be decoded; what was is found by its name.
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(media), "frames-*"))
	if len(files) != 1 {
		t.Errorf("files %v", files)
	}
	if len(flights) != 0 {
		t.Errorf("flights %v", flights)
	}
	before, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Get(t.Context(), media, Params{Width: 320, Format: Gray}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(files[0]); err != nil || !os.SameFile(before, after) {
		t.Error("decoded again")
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Get(ctx, chunk(t), Params{Width: 320, Format: Gray}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestOfOtherKinds decodes a chunk that has lost pictures, is seen in another shape than it is stored in, and changes
// its size: picture k still is the one that is shown k/Rate after the start.
func TestOfOtherKinds(t *testing.T) {
	e, err := event.Make(t.Context(), t.TempDir(), match.Options{Seconds: 8, Seed: 5, GOPFrames: 25}, 4)
	if err != nil {
		t.Fatal(err)
	}
	for i, filter := range []string{"scale=352:288,setsar=16/11", "scale=640:360"} {
		if err := e.Encode(t.Context(), i, "-vf", filter); err != nil {
			t.Fatal(err)
		}
	}
	const lost = 10
	err = e.Change(0, func(u *mpegts.Unit) {
		var kept []mpegts.PES
		left := len(u.Video()) - lost
		for _, p := range u.Packets {
			if p.PID == u.Video()[0].PID {
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
	media := filepath.Join(t.TempDir(), "chunk.ts")
	var all []byte
	for i := range e.Units {
		b, err := os.ReadFile(e.File(i).Path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if err := os.WriteFile(media, all, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Get(t.Context(), media, Params{Width: 320, Format: Gray})
	if err != nil {
		t.Fatal(err)
	}
	if s.Height != 180 || s.Frames != 200 {
		t.Fatalf("got %+v", s)
	}
	for k, n := range numbers(t, s) {
		hole := k >= 100-lost && k < 100
		if n != k && !hole || hole && (n < 100-lost-3 || n > k) {
			t.Errorf("picture %d shows frame %d", k, n)
		}
	}
}
