// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

func generate(t *testing.T, o match.Options) match.Match {
	t.Helper()
	m, err := match.Generate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func convert(t *testing.T, from, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	if err := ffmpeg.Run(t.Context(),
		ffmpeg.Cmd{Tool: "ffmpeg", Args: append(append(ffmpeg.Input(from), args...), out)}); err != nil {
		t.Fatal(err)
	}
	return out
}

func config(t *testing.T, source string, want probe.Mode) Config {
	t.Helper()
	info, err := probe.Probe(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	d := probe.Decide(info)
	if d.Mode != want {
		t.Fatalf("%s: %+v", source, d)
	}
	return Config{URL: source, Info: info, Decision: d, ChunkSeconds: 4}
}

func ingested(t *testing.T, c Config) *Folder {
	t.Helper()
	f := &Folder{Dir: t.TempDir()}
	if err := Run(t.Context(), c, f); err != nil {
		t.Fatal(err)
	}
	return f
}

// checkUnits proves that the units hold every frame once, that each decodes
// alone and that all decode joined, without a word from FFmpeg.
func checkUnits(t *testing.T, f *Folder, m match.Match, tracks int) {
	t.Helper()
	if !f.Ended || f.Clock.Frames != m.Truth.Frames || f.Clock.Rate.String() != m.Truth.Rate {
		t.Fatalf("timeline %+v, want %d frames at %s", f.Clock, m.Truth.Frames, m.Truth.Rate)
	}
	if f.EndTicks != f.Clock.FrameStartTicks(f.Clock.Frames) {
		t.Errorf("end at %d ticks", f.EndTicks)
	}
	var joined bytes.Buffer
	next := int64(0)
	for _, u := range f.Units {
		if u.FrameStart != next || u.Missing != 0 || u.IDRFrames[0] != next || f.Clock.FrameOfTicks(u.FirstTicks) != next {
			t.Fatalf("unit %+v, want frame %d", u, next)
		}
		next += u.Frames
		data, err := os.ReadFile(f.Path(u.FirstTicks))
		if err != nil {
			t.Fatal(err)
		}
		joined.Write(data)
		numbers := decodeClean(t, bytes.NewReader(data), m, tracks)
		if int64(len(numbers)) != u.Frames || int64(numbers[0]) != u.FrameStart {
			t.Errorf("unit at frame %d has %d frames from %d", u.FrameStart, len(numbers), numbers[0])
		}
	}
	if next != m.Truth.Frames {
		t.Fatalf("units hold %d frames of %d", next, m.Truth.Frames)
	}
	for i, n := range decodeClean(t, &joined, m, tracks) {
		if i != n {
			t.Fatalf("frame %d says %d", i, n)
		}
	}
}

// decodeClean decodes all streams and expects FFmpeg to say nothing.
func decodeClean(t *testing.T, data io.Reader, m match.Match, tracks int) []int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "u.ts")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.ReadFrom(data); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	args := append(ffmpeg.Input(path), "-map", "0:v")
	for range tracks {
		args = append(args, "-map", "0:a")
	}
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", StrictLog: true,
		Args: append(args, "-fps_mode", "passthrough", "-f", "null", "-")}); err != nil {
		t.Error(err)
	}
	numbers, err := match.ReadFrameNumbers(t.Context(), path, m.Layout())
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

func TestCopyEveryFrameOnce(t *testing.T) {
	cases := []struct {
		name   string
		rate   timeline.Rational
		tracks int
		file   string
		args   []string
	}{
		{"25 MP4, two tracks", timeline.Rational{Num: 25, Den: 1}, 2, "x.mp4", nil},
		{"29.97 MP4", timeline.Rational{Num: 30000, Den: 1001}, 1, "x.mp4", nil},
		{"50 MP4, no sound", timeline.Rational{Num: 50, Den: 1}, -1, "x.mp4", nil},
		{"29.97 MKV, 1 ms jitter", timeline.Rational{Num: 30000, Den: 1001}, 1, "x.mkv", []string{"-c", "copy"}},
		{"59.94 FLV, 1 ms jitter", timeline.Rational{Num: 60000, Den: 1001}, 1, "x.flv", []string{"-c", "copy"}},
		{"25 TS over the wrap", timeline.Rational{Num: 25, Den: 1},
			1, "x.ts", []string{"-c", "copy", "-output_ts_offset", "95437"}},
		{"29.97 TS, high PTS", timeline.Rational{Num: 30000, Den: 1001}, 1, "x.ts",
			[]string{"-c", "copy", "-output_ts_offset", "50000"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := generate(t, match.Options{Seconds: 14, Rate: c.rate, Seed: 11, AudioTracks: c.tracks,
				GOPFrames: int(timeline.MulDiv(1, c.rate.Num, c.rate.Den))})
			source := m.Path
			if c.args != nil {
				source = convert(t, source, c.file, append([]string{"-map", "0"}, c.args...)...)
			}
			f := ingested(t, config(t, source, probe.Copy))
			checkUnits(t, f, m, max(c.tracks, 0))
			if len(f.Units) != 4 {
				t.Errorf("%d units of 4 s in 14 s", len(f.Units))
			}
		})
	}
}

func TestMezzanine(t *testing.T) {
	m := generate(t, match.Options{Seconds: 6, Rate: timeline.Rational{Num: 30000, Den: 1001}, Seed: 12, GOPFrames: 1000})
	source := convert(t, m.Path, "x.mkv", "-c:v", "mpeg4", "-q:v", "3", "-c:a", "mp2")
	c := config(t, source, probe.Mezzanine)
	c.ChunkSeconds = 2
	a := ingested(t, c)
	checkUnits(t, a, m, 1)
	if d := cmp.Diff(a.Units, ingested(t, c).Units); d != "" {
		t.Errorf("the second run differs: %s", d)
	}
}

// failing is a sink that dies after some units, as a killed pod does.
type failing struct {
	Folder
	left int
}

var errKilled = errors.New("killed")

func (f *failing) Unit(ctx context.Context, u Unit) error {
	if f.left--; f.left < 0 {
		return errKilled
	}
	return f.Folder.Unit(ctx, u)
}

// TestRestart compares the files of a run that died twice and went on with
// those of a run at one go, over HTTP with a signed query.
func TestRestart(t *testing.T) {
	m := generate(t, match.Options{Seconds: 14, Rate: timeline.Rational{Num: 30000, Den: 1001}, Seed: 11,
		AudioTracks: 1, GOPFrames: 30})
	files := http.FileServer(http.Dir(filepath.Dir(m.Path)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sig") != "SECRET" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer srv.Close()
	c := config(t, srv.URL+"/"+filepath.Base(m.Path)+"?sig=SECRET", probe.Copy)
	whole := ingested(t, c)
	dir := t.TempDir()
	for _, left := range []int{1, 2} {
		f := &failing{Folder: Folder{Dir: dir}, left: left}
		if err := Run(t.Context(), c, f); !errors.Is(err, errKilled) || strings.Contains(err.Error(), "SECRET") {
			t.Fatalf("got %v", err)
		}
	}
	rest := &Folder{Dir: dir}
	if err := Run(t.Context(), c, rest); err != nil {
		t.Fatal(err)
	}
	if len(rest.Units) != len(whole.Units)-3 || !reflect.DeepEqual(rest.Clock, whole.Clock) {
		t.Errorf("the last run made %d of %d units, clock %+v", len(rest.Units), len(whole.Units), rest.Clock)
	}
	for _, u := range whole.Units {
		a, errA := os.ReadFile(whole.Path(u.FirstTicks))
		b, errB := os.ReadFile(rest.Path(u.FirstTicks))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("unit at %d differs: %v %v", u.FirstTicks, errA, errB)
		}
	}
}

// TestCutOffSource ends a file in the middle: what is there is stored, and the
// end says what is missing.
func TestCutOffSource(t *testing.T) {
	m := generate(t, match.Options{Seconds: 14, Rate: timeline.Rational{Num: 30000, Den: 1001}, Seed: 11,
		AudioTracks: 1, GOPFrames: 30})
	for name, options := range map[string][]string{
		"x.mp4": {"-movflags", "+faststart"}, "x.mkv": nil, "fragments.mp4": {"-movflags", "frag_keyframe+empty_moov"},
	} {
		path := filepath.Join(t.TempDir(), name)
		args := append([]string{"-i", "file:" + m.Path, "-map", "0", "-c", "copy"}, options...)
		if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(args, "file:"+path)}); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, whole[:len(whole)*6/10], 0o644); err != nil {
			t.Fatal(err)
		}
		f := ingested(t, config(t, path, probe.Copy))
		if !f.Ended || !strings.Contains(f.Incomplete, "cut off after") || f.Clock.Frames < 150 || f.Clock.Frames > 300 {
			t.Errorf("%s: ended %v after %d frames: %q", name, f.Ended, f.Clock.Frames, f.Incomplete)
		}
	}
}
