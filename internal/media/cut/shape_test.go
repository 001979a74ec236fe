// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// look is what a player is told about a file's picture.
type look struct {
	Width     int    `json:"width"`
	Height    int    `json:"height"`
	SAR       string `json:"sample_aspect_ratio"`
	Pixels    string `json:"pix_fmt"`
	Range     string `json:"color_range"`
	Matrix    string `json:"color_space"`
	Transfer  string `json:"color_transfer"`
	Primaries string `json:"color_primaries"`
}

func lookAt(t *testing.T, path string) look {
	t.Helper()
	out, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffprobe",
		Args: append([]string{"-of", "json", "-select_streams", "v", "-show_streams"}, ffmpeg.Input(path)...)})
	if err != nil {
		t.Fatal(err)
	}
	var seen struct{ Streams []look }
	if err := json.Unmarshal(out, &seen); err != nil || len(seen.Streams) != 1 {
		t.Fatalf("%s: %v", out, err)
	}
	return seen.Streams[0]
}

// encoded is an Event of whose units some are encoded anew.
func encoded(t *testing.T, args map[int][]string) event.Event {
	t.Helper()
	e := makeEvent(t, pal)
	for i, a := range args {
		if err := e.Encode(t.Context(), i, a...); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// TestPixelsAreSquare keeps height and shape of pictures with pixels that are
// not square, in clips and thumbnails.
func TestPixelsAreSquare(t *testing.T) {
	cases := []struct {
		name, filter                  string
		width, height, thumbW, thumbH int
	}{
		{"square", "null", 320, 180, 320, 180},
		{"wide SD", "scale=352:288,setsar=16/11", 512, 288, 512, 288},
		{"4:3 DV", "scale=720:576,setsar=16/15", 768, 576, 640, 480},
		{"high pixels", "setsar=2/3", 214, 180, 214, 180},
		{"odd width", "scale=322:180,setsar=10/11", 292, 180, 292, 180},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := encoded(t, map[int][]string{0: {"-vf", c.filter}})
			p := e.Part(10, 30)
			mp4 := filepath.Join(t.TempDir(), "clip.mp4")
			if _, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock}, mp4,
				mp4+".jpg"); err != nil {
				t.Fatal(err)
			}
			got, thumb := lookAt(t, mp4), lookAt(t, mp4+".jpg")
			if got.Width != c.width || got.Height != c.height || got.SAR != "1:1" {
				t.Errorf("%+v", got)
			}
			if thumb.Width != c.thumbW || thumb.Height != c.thumbH {
				t.Errorf("thumbnail %+v", thumb)
			}
			if numbers, err := match.ReadFrameNumbers(t.Context(), mp4,
				match.Layout{SourceWidth: c.width, SourceHeight: c.height}); err != nil || numbers[0] != 10 || len(numbers) != 20 {
				t.Errorf("%v: %v", numbers, err)
			}
		})
	}
}

// TestSizeChanges keeps every frame where the size changes between units, in the
// first one's size and with the shape of each.
func TestSizeChanges(t *testing.T) {
	e := encoded(t, map[int][]string{
		1: {"-vf", "scale=640:360"},                     // another size
		2: {"-vf", "scale=240:180,setsar=1"},            // another shape
		3: {"-vf", "scale=352:288,setsar=16/11,fps=25"}, // other pixels, the same shape
	})
	border := func(i int) int64 { return e.Units[i].FrameStart }
	p := e.Part(border(1)-30, border(3)+20)
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	if _, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock,
		AudioTrack: 1}, mp4, mp4+".jpg"); err != nil {
		t.Fatal(err)
	}
	if got := lookAt(t, mp4); got.Width != 320 || got.Height != 180 {
		t.Errorf("%+v", got)
	}
	// The code of the narrow unit is between black bars: 240 wide in 320.
	narrow := filepath.Join(t.TempDir(), "narrow.mp4")
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(ffmpeg.Input(mp4), "-vf",
		"select='between(n,130,229)',crop=240:180", "-fps_mode", "passthrough", "-qp", "0", narrow)}); err != nil {
		t.Fatal(err)
	}
	check := func(path string, l match.Layout, ranges ...[2]int64) {
		t.Helper()
		var want []int
		for _, r := range ranges {
			for f := r[0]; f < r[1]; f++ {
				want = append(want, int(f))
			}
		}
		got, err := match.ReadFrameNumbers(t.Context(), path, l)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v: %s", err, d)
		}
	}
	check(narrow, match.Layout{SourceWidth: 240, SourceHeight: 180}, [2]int64{border(2), border(3)})
	wide := filepath.Join(t.TempDir(), "wide.mp4")
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(ffmpeg.Input(mp4), "-vf",
		"select='not(between(n,130,229))'", "-fps_mode", "passthrough", "-qp", "0", wide)}); err != nil {
		t.Fatal(err)
	}
	check(wide, e.Match.Layout(), [2]int64{border(1) - 30, border(2)}, [2]int64{border(3), border(3) + 20})
}

// TestColourIsCarried passes tags of matrix, transfer and primaries on; full
// range becomes limited, and is still the same colour.
func TestColourIsCarried(t *testing.T) {
	tags := func(r, m string) []string {
		return []string{"-color_range", r, "-colorspace", m, "-color_primaries", m, "-color_trc", m}
	}
	for _, c := range []struct {
		name, filter, rng, matrix string
	}{
		{"BT.709", "scale=out_color_matrix=bt709", "tv", "bt709"},
		{"BT.601", "scale=out_color_matrix=bt601", "tv", "smpte170m"},
		{"full range", "scale=out_color_matrix=bt709:out_range=full,format=yuvj420p", "pc", "bt709"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := encoded(t, map[int][]string{0: append([]string{"-vf", "format=rgb24,drawbox=c=0xC08040:t=fill," + c.filter +
				",format=" + map[string]string{"tv": "yuv420p", "pc": "yuvj420p"}[c.rng]}, tags(c.rng, c.matrix)...)})
			p := e.Part(10, 30)
			mp4 := filepath.Join(t.TempDir(), "clip.mp4")
			if _, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock}, mp4,
				mp4+".jpg"); err != nil {
				t.Fatal(err)
			}
			got := lookAt(t, mp4)
			want := look{320, 180, "1:1", "yuv420p", "tv", c.matrix, c.matrix, c.matrix}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			for _, path := range []string{mp4, mp4 + ".jpg"} {
				rgb, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg",
					Args: append(ffmpeg.Input(path), "-frames:v", "1", "-vf", "scale=1:1,format=rgb24", "-f", "rawvideo", "pipe:1")})
				if err != nil {
					t.Fatal(err)
				}
				for i, x := range []int{0xC0, 0x80, 0x40} {
					if d := int(rgb[i]) - x; d > 7 || d < -7 {
						t.Errorf("%s: %x", filepath.Base(path), rgb)
					}
				}
			}
		})
	}
}

// TestHighDynamicRangeIsKept keeps the depth and the tags of units that have one,
// while the thumbnail is made for all screens.
func TestHighDynamicRangeIsKept(t *testing.T) {
	e := encoded(t, map[int][]string{0: {"-pix_fmt", "yuv420p10le", "-color_range", "tv", "-colorspace", "bt2020nc",
		"-color_primaries", "bt2020", "-color_trc", "smpte2084"}})
	p := e.Part(10, 30)
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	if _, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock}, mp4,
		mp4+".jpg"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(look{320, 180, "1:1", "yuv420p10le", "tv", "bt2020nc", "smpte2084", "bt2020"},
		lookAt(t, mp4)); d != "" {
		t.Error(d)
	}
	if thumb := lookAt(t, mp4+".jpg"); thumb.Pixels != "yuvj420p" || thumb.Transfer == "smpte2084" {
		t.Errorf("thumbnail %+v", thumb)
	}
}

// TestNoThumbnail makes none where none is wanted.
func TestNoThumbnail(t *testing.T) {
	e := makeEvent(t, pal)
	p := e.Part(10, 30)
	dir := t.TempDir()
	if _, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock},
		filepath.Join(dir, "clip.mp4"), ""); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}
