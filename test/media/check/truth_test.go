// SPDX-License-Identifier: Apache-2.0

//go:build media

package check

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/media/film"
	"github.com/mre-operator/mre-operator/test/media/kinds"
)

var only = flag.String("media.kind", "", "regular expression: the kinds to try")

// beyondPlayers are kinds in which a plain decoder shows something else: another stream, what it makes of clocks that
// jump, or pictures that are not cropped.
var beyondPlayers = map[string]string{
	"aac-rate-change":    "the old rate is taken for the new one's time stamps",
	"second-service":     "the first one is shown",
	"two-videos-default": "the larger one is shown",
	"join-ahead-h264":    "sound and pictures are closed up one by one",
	"join-ahead-mpeg2":   "sound and pictures are closed up one by one",
	"join-back-h264":     "sound and pictures are closed up one by one",
	"join-back-mpeg2":    "sound and pictures are closed up one by one",

	"join-mkv":                     "the second file's times begin anew",
	"join-webm":                    "the second file's times begin anew",
	"join-three-mkv-streams":       "each file's times begin anew",
	"join-fragmented-mp4":          "the second file's times begin anew, and its first samples are lost",
	"join-fragmented-mp4-relative": "the second file's times begin anew, and its first samples are lost",
	"clusters-swapped":             "the clusters have their own times, which go back",
	"cluster-time-wild":            "the cluster has its own time",

	"clean-aperture":         "the container's crop is not obeyed",
	"clean-aperture-left":    "the container's crop is not obeyed",
	"rotated-clean-aperture": "the container's crop is not obeyed",
	"pixel-crop":             "the container's crop is not obeyed",
	"pixel-crop-anamorphic":  "the container's crop is not obeyed",
	"stream-crop-left":       "a crop at the left is rounded",
}

// TestTruth decodes the sources themselves: what FFmpeg shows of them is what is held to be right.
func TestTruth(t *testing.T) {
	match := regexp.MustCompile(*only)
	for _, k := range kinds.All() {
		if !match.MatchString(k.Name) || beyondPlayers[k.Name] != "" {
			continue
		}
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			s, err := k.Make(t.Context(), t.TempDir(), 3)
			if err != nil {
				t.Fatal(err)
			}
			p := play(t, s)
			zero := p.pictures(t, s.Truth)
			for i := range s.Truth.Tracks {
				p.sound(t, s, i, zero)
			}
		})
	}
}

// played is what FFmpeg makes of a source.
type played struct {
	numbers []int
	// shown are the times of the pictures, and heard those of the samples, both in microseconds.
	shown []int64
	heard [][]chunk
}

// chunk is a piece of sound of the first channel.
type chunk struct {
	at      int64
	samples []float64
}

func play(t *testing.T, s kinds.Source) played {
	dir := t.TempDir()
	look := s.Truth.Looks[0]
	w, h := look.Shown()
	video := largest(t, s.Path)
	stamps := filepath.Join(dir, "v.crc")
	args := append(ffmpeg.Input(s.Path), "-map", video, "-fps_mode", "passthrough", "-enc_time_base", "1/90000",
		"-c:v", "rawvideo", "-f", "framecrc",
		"file:"+stamps, "-map", video, "-vf", fmt.Sprintf("scale=%d:%d,format=gray", w, h), "-fps_mode", "passthrough",
		"-f", "rawvideo", "pipe:1")
	for i := range s.Truth.Tracks {
		track := fmt.Sprintf("0:a:%d", i)
		args = append(args, "-map", track, "-af", "aresample=48000", "-c:a", "pcm_f32le", "-f", "framecrc",
			"file:"+filepath.Join(dir, fmt.Sprintf("a%d.crc", i)),
			"-map", track, "-af", "aresample=48000", "-f", "f32le", "file:"+filepath.Join(dir, fmt.Sprintf("a%d.raw", i)))
	}
	var p played
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: args, Stdout: pw})) }()
	in := bufio.NewReaderSize(pr, 1<<16)
	luma := make([]byte, w*h)
	for {
		if _, err := io.ReadFull(in, luma); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		c := Canvas{Luma: luma, Width: w, Height: h}
		n, err := c.Number(c.Whole())
		if err != nil {
			t.Fatalf("picture %d of the source: %v", len(p.numbers), err)
		}
		p.numbers = append(p.numbers, n)
	}
	for _, f := range readFrames(t, stamps) {
		p.shown = append(p.shown, f.at)
	}
	for i, track := range s.Truth.Tracks {
		channels := len(track.Runs[0].Gains)
		raw, err := readSound(filepath.Join(dir, fmt.Sprintf("a%d.raw", i)), channels)
		if err != nil {
			t.Fatal(err)
		}
		var heard []chunk
		next := 0
		for _, f := range readFrames(t, filepath.Join(dir, fmt.Sprintf("a%d.crc", i))) {
			n := min(f.bytes/4/channels, len(raw[0])-next)
			heard = append(heard, chunk{f.at, raw[0][next : next+n]})
			next += n
		}
		p.heard = append(p.heard, heard)
	}
	return p
}

// largest is the widest video stream that is no cover, as FFmpeg names it.
func largest(t *testing.T, path string) string {
	out, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffprobe", Args: append([]string{"-select_streams", "V",
		"-show_entries", "stream=index,width", "-of", "csv=p=0"}, ffmpeg.Input(path)...)})
	if err != nil {
		t.Fatal(err)
	}
	widest, stream := 0, ""
	for line := range strings.FieldsSeq(string(out)) {
		index, rest, _ := strings.Cut(line, ",")
		width, err := strconv.Atoi(strings.Trim(rest, ","))
		if err == nil && width > widest {
			widest, stream = width, "0:"+index
		}
	}
	return stream
}

type frameLine struct {
	at    int64
	bytes int
}

// readFrames reads what the framecrc muxer writes.
func readFrames(t *testing.T, path string) []frameLine {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	base := timeline.Rational{Num: 1, Den: 1}
	var out []frameLine
	for line := range strings.Lines(string(raw)) {
		if _, tb, ok := strings.Cut(line, "#tb 0: "); ok {
			if base, err = timeline.ParseRational(strings.TrimSpace(tb)); err != nil {
				t.Fatal(err)
			}
		}
		f := strings.Split(line, ",")
		if strings.HasPrefix(line, "#") || len(f) < 5 {
			continue
		}
		pts, errP := strconv.ParseInt(strings.TrimSpace(f[2]), 10, 64)
		size, errS := strconv.Atoi(strings.TrimSpace(f[4]))
		if errP != nil || errS != nil {
			t.Fatalf("%q is no line of framecrc", line)
		}
		out = append(out, frameLine{timeline.MulDiv(pts, 1_000_000*base.Num, base.Den), size})
	}
	return out
}

// pictures compares numbers and times, and returns the time of the first picture.
func (p played) pictures(t *testing.T, truth film.Truth) int64 {
	truth.Pictures = slices.DeleteFunc(slices.Clone(truth.Pictures), func(p film.Picture) bool { return p.Optional })
	if len(p.numbers) != len(truth.Pictures) || len(p.shown) != len(truth.Pictures) {
		t.Fatalf("%d pictures at %d times instead of %d, from %d to %d", len(p.numbers), len(p.shown), len(truth.Pictures),
			p.numbers[0], p.numbers[len(p.numbers)-1])
	}
	worst := int64(0)
	for i, want := range truth.Pictures {
		if p.numbers[i] != want.Number {
			t.Fatalf("picture %d has number %d instead of %d", i, p.numbers[i], want.Number)
		}
		if off := p.shown[i] - p.shown[0] - want.At; abs(off) > abs(worst) {
			worst = off
		}
	}
	if abs(worst) > 1_100 {
		t.Errorf("a picture is shown %.1f ms late", float64(worst)/1000)
	}
	return p.shown[0]
}

// sound looks at all sound of the first channel, a quarter of a second at a time.
func (p played) sound(t *testing.T, s kinds.Source, track int, zero int64) {
	var worst int64
	looked := 0
	for at := int64(0); at+window <= s.Truth.End; at += 2 * window {
		part := soundPart{track: s.Truth.Tracks[track]}
		span, run, ok := part.judge(film.Span{From: at, To: at + window})
		if !ok || run == nil {
			continue
		}
		if run.SlowPPM != 0 {
			span.To = span.From + shortest
		}
		out := make([]float64, samplesOf(span.To-span.From))
		for _, c := range p.heard[track] {
			begin := int(samplesOf(c.at - zero - span.From))
			for i, v := range c.samples {
				if k := begin + i; k >= 0 && k < len(out) {
					out[k] = v
				}
			}
		}
		first := *run
		first.Gains = [][2]float64{{1, 0}}
		ref := newReference(s.Truth.Seed, first, span.From, len(out))
		lag, likeness := ref.find([2][]float64{out, make([]float64, len(out))})
		enough := 0.9
		if run.SlowPPM != 0 || len(run.Gains) != len(s.Truth.Tracks[track].Runs[0].Gains) {
			// Blurred, or mixed with other channels.
			enough = 0.5
		} else if s.Slack > 0 {
			// Put together from pieces whose times are rounded.
			enough = 0.65
		}
		if likeness < enough {
			t.Errorf("track %d at %.3f s: likeness %.2f at %+.1f ms", track+1, float64(span.From)/1e6, likeness,
				float64(micros(int64(lag)))/1000)
			return
		}
		looked++
		if off := -micros(int64(lag)); abs(off) > abs(worst) {
			worst = off
		}
	}
	if looked == 0 {
		t.Errorf("nothing of track %d was looked at", track+1)
	}
	if abs(worst) > 500+s.Slack+s.CopySlack {
		t.Errorf("track %d is heard %.1f ms late", track+1, float64(worst)/1000)
	}
}
