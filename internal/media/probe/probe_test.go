// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// convert runs ffmpeg over a match into a file of the given name.
func convert(t *testing.T, m match.Match, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	if err := ffmpeg.Run(t.Context(),
		ffmpeg.Cmd{Tool: "ffmpeg", Args: append(append(ffmpeg.Input(m.Path), args...), out)}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDecide(t *testing.T) {
	pal, err := match.Generate(t.Context(), match.Options{Seconds: 10, Seed: 1, AudioTracks: 2})
	if err != nil {
		t.Fatal(err)
	}
	ntsc, err := match.Generate(t.Context(),
		match.Options{Seconds: 10, Seed: 1, Rate: timeline.Rational{Num: 30000, Den: 1001}})
	if err != nil {
		t.Fatal(err)
	}
	x264 := []string{"-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy"}
	with := func(more ...string) []string { return append(append([]string{}, x264...), more...) }
	cases := []struct {
		name string
		from match.Match
		args []string
		mode Mode
		rate string
		why  string
	}{
		{"plain.mp4", pal, []string{"-map", "0", "-c", "copy"}, Copy, "25", "copied"},
		{"ntsc.mkv", ntsc, []string{"-c", "copy"}, Copy, "30000/1001", "copied"},
		{"ntsc.flv", ntsc, []string{"-c", "copy"}, Copy, "30000/1001", "copied"},
		{"high.ts", ntsc, []string{"-c", "copy", "-output_ts_offset", "95440"}, Copy, "30000/1001", "copied"},
		{"silent.mp4", pal, []string{"-an", "-c", "copy"}, Copy, "25", "copied"},
		{"gop.mp4", pal, with("-g", "200", "-sc_threshold", "0"), Mezzanine, "25", "8.0 s apart"},
		{"opengop.mp4", pal, with("-bf", "2", "-x264-params", "open-gop=1:keyint=25:scenecut=0"), Mezzanine, "25", "apart"},
		{"tenbit.mp4", pal, with("-pix_fmt", "yuv420p10le"), Mezzanine, "25", "8-bit"},
		{"mpeg2.ts", pal, []string{"-c:v", "mpeg2video"}, Mezzanine, "25", "mpeg2video"},
		{"ac3.mp4", pal, []string{"-c:v", "copy", "-c:a", "ac3"}, Copy, "25", "copied"},
		{"interlaced.mp4", pal, with("-g", "25", "-flags", "+ildct+ilme"), Mezzanine, "25", "progressive"},
		{"missing.mp4", pal, with("-g", "25", "-vf", "select='not(between(mod(n,20),7,9))'", "-fps_mode", "vfr"),
			Copy, "25", "copied"},
		{"vfr.mp4", pal, with("-g", "25", "-vf", "setpts='PTS+mod(N*7,5)*0.004/TB'",
			"-fps_mode", "passthrough", "-enc_time_base", "1/90000"),
			Mezzanine, "", "not constant"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			info, err := Probe(t.Context(), convert(t, c.from, c.name, c.args...))
			if err != nil {
				t.Fatal(err)
			}
			got := Decide(info)
			if got.Mode != c.mode || !strings.Contains(got.Reason, c.why) || c.rate != "" && got.Rate.String() != c.rate {
				t.Errorf("%+v; scan %+v; video %+v", got, info.Scan, info.Video)
			}
			if c.name == "plain.mp4" && (len(info.Audio) != 2 || info.Audio[1].Track != 2 || info.Audio[1].Index != 2) {
				t.Errorf("audio %+v", info.Audio)
			}
		})
	}
}

// TestURL reads a source through a URL that only its query opens, and gives
// the kinds of what goes wrong without telling the signature.
func TestURL(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 10, Seed: 1, AudioTracks: 2})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sound := convert(t, m, "sound.m4a", "-vn", "-c", "copy")
	whole, err := os.ReadFile(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("match.mp4", whole)
	write("empty.mp4", nil)
	write("cut.mp4", whole[:400])
	if data, err := os.ReadFile(sound); err == nil {
		write("sound.m4a", data)
	}
	files := http.FileServer(http.Dir(dir))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("X-Amz-Signature") != "SECRET" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		// S3 has no range of an empty object to give.
		if r.URL.Path == "/empty.mp4" && r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer srv.Close()
	cases := []struct {
		source string
		want   error
	}{
		{srv.URL + "/match.mp4?X-Amz-Signature=SECRET&X-Amz-Expires=60", nil},
		{srv.URL + "/none.mp4?X-Amz-Signature=SECRET", ffmpeg.ErrNotFound},
		{srv.URL + "/match.mp4?X-Amz-Signature=SECRETSTALE", ffmpeg.ErrForbidden},
		{srv.URL + "/empty.mp4?X-Amz-Signature=SECRET", ffmpeg.ErrEmpty},
		{srv.URL + "/cut.mp4?X-Amz-Signature=SECRET", ffmpeg.ErrCorrupt},
		{srv.URL + "/sound.m4a?X-Amz-Signature=SECRET", ffmpeg.ErrNoVideo},
		{filepath.Join(dir, "empty.mp4"), ffmpeg.ErrEmpty},
		{filepath.Join(dir, "none.mp4"), ffmpeg.ErrNotFound},
		{filepath.Join(dir, "match.mp4"), nil},
	}
	for _, c := range cases {
		_, err := Probe(t.Context(), c.source)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.source, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the signature is in %v", err)
		}
	}
}

// TestRateOf gives stamps as containers write them.
func TestRateOf(t *testing.T) {
	r := func(num, den int64) timeline.Rational { return timeline.Rational{Num: num, Den: den} }
	every := func(rate timeline.Rational, n int, keep func(i int) bool, round int64) []int64 {
		var out []int64
		for i := range int64(n) {
			if keep == nil || keep(int(i)) {
				at := timeline.MulDiv(i, timeline.TickRate*rate.Den, rate.Num)
				out = append(out, timeline.MulDiv(at, 1, round)*round)
			}
		}
		return out
	}
	slides := []int64{0, 7 * 90000, 14 * 90000}
	bursts := every(r(60, 1), 600, func(i int) bool { return i%120 < 40 || i%7 == 0 }, 1)
	cases := []struct {
		name     string
		stamps   []int64
		nominal  timeline.Rational
		want     string
		constant bool
	}{
		{"25", every(r(25, 1), 250, nil, 1), r(25, 1), "25", true},
		{"30.001 is 30", every(r(30001, 1000), 300, nil, 1), r(30001, 1000), "30", true},
		{"29.9706 is 29.97", every(r(299706, 10000), 300, nil, 90), r(1000, 1), "30000/1001", true},
		{"60.0018 in milliseconds", every(r(600018, 10000), 600, nil, 90), r(0, 0), "60", true},
		{"23.976 in milliseconds", every(r(24000, 1001), 240, nil, 90), r(24000, 1001), "24000/1001", true},
		{"30 with four dropped", every(r(30, 1), 300, func(i int) bool { return i%70 != 5 }, 1), r(30, 1), "30", true},
		{"23.976 with a third dropped", every(r(24000, 1001), 240, func(i int) bool { return i%3 != 2 }, 1),
			r(24000, 1001), "24000/1001", true},
		{"field rate named", every(r(25, 1), 250, nil, 1), r(50, 1), "25", true},
		{"17", every(r(17, 1), 170, nil, 1), r(17, 1), "17", true},
		{"slides", slides, r(25, 1), "25", true},
		{"slides, odd rate", slides, r(25, 146), "25", false},
		{"bursts of 60", bursts, r(60, 1), "60", true},
		{"120", every(r(120, 1), 1200, nil, 1), r(120, 1), "120", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, constant := RateOf(c.stamps, c.nominal)
			if got.String() != c.want || constant != c.constant {
				t.Errorf("%s, constant %v; want %s, %v", got, constant, c.want, c.constant)
			}
		})
	}
	for in, want := range map[timeline.Rational]string{r(120, 1): "60", r(120000, 1001): "60000/1001",
		r(100, 1): "50", r(60, 1): "60", r(240, 1): "60"} {
		if got := MezzanineRate(in).String(); got != want {
			t.Errorf("mezzanine of %s: %s, want %s", in, got, want)
		}
	}
}

func TestSnapRate(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"2997/100", "30000/1001"}, {"30000/1001", "30000/1001"}, {"30", "30"}, {"59940/1000", "60000/1001"},
		{"23976/1000", "24000/1001"}, {"24", "24"}, {"17", "17"}, {"50", "50"}, {"2500/100", "25"},
	} {
		r, err := timeline.ParseRational(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := SnapRate(r).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}
