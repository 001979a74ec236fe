// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// codecs of the tests.
var codecs = map[string][]string{
	"mpeg2": {"-c:v", "mpeg2video", "-g", "12", "-bf", "0", "-q:v", "8", "-c:a", "mp2", "-b:a", "64k"},
	"mpeg2b": {"-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-flags", "+cgop", "-sc_threshold", "1000000000",
		"-q:v", "8", "-c:a", "mp2", "-b:a", "64k"},
	"h264": {"-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "0", "-c:a", "aac", "-b:a", "64k"},
	"h264b": {"-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-bf", "3",
		"-x264-params", "b-pyramid=normal:b-adapt=0", "-c:a", "aac", "-b:a", "64k"},
	"ac3":  {"-c:v", "mpeg2video", "-bf", "0", "-q:v", "8", "-c:a", "ac3", "-ar", "44100", "-b:a", "128k"},
	"eac3": {"-c:v", "mpeg2video", "-bf", "0", "-q:v", "8", "-c:a", "eac3", "-b:a", "128k"},
	"vp9": {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8",
		"-g", "25", "-c:a", "libopus", "-b:a", "64k"},
	"mp3": {"-c:v", "mpeg2video", "-bf", "0", "-q:v", "8", "-c:a", "libmp3lame", "-ar", "44100", "-b:a", "128k"},
}

// film is a generated source: 25 pictures in a second and a tone.
type film struct {
	codec   string
	seconds int
	// start is the first time stamp, in seconds.
	start int
	// picture and sound are filters that leave something out.
	picture, sound string
	format         string
	options        string
	// file says that the film is written to a file: then its container knows
	// sizes and lengths.
	file bool
}

var (
	films   = map[film][]byte{}
	filmsMu sync.Mutex
)

func (f film) bytes(t *testing.T) []byte {
	t.Helper()
	filmsMu.Lock()
	defer filmsMu.Unlock()
	if b := films[f]; b != nil {
		return b
	}
	length := strconv.Itoa(f.seconds)
	format := f.format
	if format == "" {
		format = "mpegts"
	}
	args := []string{"-f", "lavfi", "-i", "testsrc=s=160x90:r=25:d=" + length,
		"-f", "lavfi", "-i", "sine=f=440:r=48000:d=" + length, "-fps_mode", "passthrough"}
	if f.picture != "" {
		args = append(args, "-vf", f.picture)
	}
	if f.sound != "" {
		args = append(args, "-af", f.sound)
	}
	args = append(append(args, "-pix_fmt", "yuv420p"), codecs[f.codec]...)
	out := "pipe:1"
	if f.file {
		out = "file:" + filepath.Join(t.TempDir(), "film")
	}
	args = append(append(args, strings.Fields(f.options)...), "-threads", "1", "-muxdelay", "0", "-muxpreload", "0",
		"-output_ts_offset", strconv.Itoa(f.start), "-f", format, out)
	b, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: args})
	if err == nil && f.file {
		b, err = os.ReadFile(strings.TrimPrefix(out, "file:"))
	}
	if err != nil {
		t.Fatal(err)
	}
	films[f] = b
	return b
}

func write(t *testing.T, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, slices.Concat(parts...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// reading is what FFmpeg gets of a source.
type reading struct {
	data   []byte
	format string
	joins  []Join
}

func read(t *testing.T, url string, o Options) reading {
	t.Helper()
	var r reading
	o.Joined = func(j Join) { r.joins = append(r.joins, j) }
	s, err := Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	args, in, err := s.Input(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if in == nil {
		t.Fatalf("FFmpeg opens it itself: %v", args)
	}
	defer in.Close()
	r.format = args[slices.Index(args, "-f")+1]
	if r.data, err = io.ReadAll(in); err != nil {
		t.Fatal(err)
	}
	return r
}

// readParts reads films that are joined byte after byte.
func readParts(t *testing.T, name string, films []film) reading {
	t.Helper()
	var parts [][]byte
	for _, f := range films {
		parts = append(parts, f.bytes(t))
	}
	return read(t, write(t, name, parts...), Options{})
}

// jumped wants joins with jumps of some seconds.
func (r reading) jumped(t *testing.T, seconds []int64) {
	t.Helper()
	if len(r.joins) != len(seconds) {
		t.Fatalf("joins %v, want jumps of %v s", r.joins, seconds)
	}
	for i, j := range r.joins {
		if d := j.Jump - seconds[i]*tickRate; d < -9000 || d > 9000 {
			t.Errorf("join %d took out %d ticks, want %d s", i, j.Jump, seconds[i])
		}
	}
}

// survived wants so many pictures of a damaged file, without a join or a long hole.
func (r reading) survived(t *testing.T, name string, pictures int) {
	t.Helper()
	shown := r.decode(t, false)
	if len(shown) < pictures || len(r.joins) > 0 {
		t.Errorf("%s: %d pictures, want %d; joins %v", name, len(shown), pictures, r.joins)
	}
	for step, n := range gaps(shown) {
		if step > 30*testPeriod {
			t.Errorf("%s: %d holes of %d ticks", name, n, step)
		}
	}
}

// packet is one of ffprobe's.
type packet struct {
	Kind     string `json:"codec_type"`
	PTS, DTS int64
}

func (r reading) packets(t *testing.T) map[string][]packet {
	t.Helper()
	b, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffprobe", Stdin: bytes.NewReader(r.data), Args: []string{
		"-f", r.format, "-show_entries", "packet=codec_type,pts,dts", "-of", "json", "-i", "pipe:0"}})
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Packets []packet }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string][]packet{}
	for _, p := range all.Packets {
		out[p.Kind] = append(out[p.Kind], p)
	}
	return out
}

// decode proves that all decodes, without a word from FFmpeg, and returns the
// times of the pictures that are shown.
func (r reading) decode(t *testing.T, strict bool) []int64 {
	t.Helper()
	args := []string{"-loglevel", "level+error", "-copyts", "-f", r.format, "-i", "pipe:0",
		"-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "1/90000", "-f", "framecrc", "pipe:1",
		"-map", "0:a?", "-f", "null", "-"}
	if strict {
		args = append([]string{"-xerror"}, args...)
	}
	b, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{
		Tool: "ffmpeg", Stdin: bytes.NewReader(r.data), Args: args, StrictLog: strict})
	if err != nil && strict {
		t.Errorf("decode: %v", err)
	}
	var out []int64
	for line := range strings.Lines(string(b)) {
		if f := strings.Split(line, ","); !strings.HasPrefix(line, "#") && len(f) > 2 {
			pts, err := strconv.ParseInt(strings.TrimSpace(f[2]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, pts)
		}
	}
	return out
}

// gaps counts the distances between sorted times.
func gaps(times []int64) map[int64]int {
	s := slices.Sorted(slices.Values(times))
	out := map[int64]int{}
	for i := 1; i < len(s); i++ {
		out[s[i]-s[i-1]]++
	}
	return out
}

func times(p []packet) []int64 {
	var out []int64
	for _, v := range p {
		out = append(out, v.PTS)
	}
	return out
}
