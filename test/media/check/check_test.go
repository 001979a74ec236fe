// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/test/media/check"
	"github.com/mre-operator/mre-operator/test/media/film"
	"github.com/mre-operator/mre-operator/test/media/kinds"
)

// The clip that is made right once, and wrong in every way: frames [in, out) of 25 a second.
const in, out = 61, 136

// bench makes clips of one source by FFmpeg alone.
type bench struct {
	t      *testing.T
	source kinds.Source
}

func newBench(t *testing.T, kind string) bench {
	t.Helper()
	for _, k := range kinds.All() {
		if k.Name == kind {
			source, err := k.Make(t.Context(), t.TempDir(), 5)
			if err != nil {
				t.Fatal(err)
			}
			return bench{t, source}
		}
	}
	t.Fatalf("no kind is called %s", kind)
	return bench{}
}

// cut makes a clip with the given filters for its pictures and sound; %T in them is where the clip begins.
func (b bench) cut(video, audio string, args ...string) string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "clip.mp4")
	all := append(ffmpeg.Input(b.source.Path), "-vf", video, "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2",
		"-pix_fmt", "yuv420p", "-video_track_timescale", "25000")
	if audio != "" {
		all = append(all, "-af", audio, "-c:a", "aac", "-b:a", "192k", "-ar", "48000")
	} else {
		all = append(all, "-an")
	}
	all = append(append(all, args...), "-movie_timescale", "240000", "-y", "file:"+path)
	if err := ffmpeg.Run(b.t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: all}); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b bench) ask() check.Ask {
	clock := film.NewClock(b.source.Truth, b.source.Truth.Rate, true)
	return check.Ask{Clock: clock, Parts: [][2]int64{{in, out}}, Track: 1, SoundTolerance: 1000}
}

func (b bench) report(path string, ask check.Ask) check.Report {
	b.t.Helper()
	r, err := check.Output(b.t.Context(), path, ask)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// whats are the kinds of findings.
func whats(r check.Report) []string {
	found := []string{}
	for _, f := range r.Findings {
		found = append(found, f.What)
	}
	slices.Sort(found)
	return found
}

func pictures(from, to int) string {
	return fmt.Sprintf("trim=start_frame=%d:end_frame=%d,setpts=N/25/TB", from, to)
}

func sound(shift int, more string) string {
	return fmt.Sprintf("atrim=start_sample=%d:end_sample=%d,asetpts=N/SR/TB%s", in*1920+shift, out*1920+shift, more)
}

// TestPlantedFaults makes a clip right, and then with one fault each, which must be found and nothing else.
func TestPlantedFaults(t *testing.T) {
	b := newBench(t, "25")
	v, a := pictures(in, out), sound(0, "")
	silent := fmt.Sprintf("volume=0:enable='between(t,%d,%d)'", 1, 2)
	cases := []struct {
		name, video, audio string
		want               []string
	}{
		{"right", v, a, []string{}},
		{"one frame late", pictures(in-1, out-1), a, []string{check.Pictures}},
		{"one frame early", pictures(in+1, out+1), a, []string{check.Pictures}},
		{"a picture dropped, the one before shown twice", v + ",fps=25,select='not(eq(n,30))',fps=25,trim=end_frame=75", a,
			[]string{check.Pictures}},
		{"a frame too few at the end", pictures(in, out-1), a, []string{check.Pictures}},
		{"two pictures swapped", v + ",shuffleframes=0 2 1", a, []string{check.Pictures}},
		{"sound 3 ms late", v, sound(-144, ""), []string{check.Sound}},
		{"sound 3 ms early", v, sound(144, ""), []string{check.Sound}},
		{"sound half a second away", v, sound(20000, ""), []string{check.Sound}},
		{"sound drifts by 4 ms", v, fmt.Sprintf("atrim=start_sample=%d:end_sample=%d,asetrate=48064,aresample=48000,"+
			"asetpts=N/SR/TB,apad=whole_len=144000", in*1920, out*1920), []string{check.Level, check.Sound}},
		{"silence in the middle", v, a + "," + silent, []string{check.Sound}},
		{"the first 15 ms are missing", v, a + ",volume=0:enable='lt(t,0.015)'", []string{check.Sound}},
		{"too short sound", v, a + ",atrim=end_sample=142000", []string{check.Sound}},
		{"1 dB too quiet", v, a + ",volume=-1dB", []string{check.Level}},
		{"1 dB too loud", v, a + ",volume=1dB", []string{check.Level}},
		{"channels swapped", v, a + ",pan=stereo|c0=c1|c1=c0", []string{check.Sound}},
		{"both channels on both sides", v, a + ",pan=stereo|c0=c0+c1|c1=c0+c1", []string{check.Level}},
		{"one channel quieter", v, a + ",pan=stereo|c0=c0|c1=0.85*c1", []string{check.Level}},
		{"no sound", v, "", []string{check.Tracks}},
		{"mono", v, a + ",pan=mono|c0=c0", []string{check.Tracks}},
		{"stretched", v + ",scale=180:90,setsar=1", a, []string{check.Shape}},
		{"squeezed within its size", v + ",scale=120:90,pad=160:90:20:0,setsar=1", a, []string{check.Pictures}},
		{"shifted to the side", v + ",pad=162:90:2:0,crop=160:90:0:0,setsar=1", a, []string{check.Pictures, check.Shape}},
		{"pixels that are not square", v + ",setsar=4/3", a, []string{check.Shape}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := bench{t, b.source}
			r := b.report(b.cut(c.video, c.audio), b.ask())
			if d := cmp.Diff(c.want, whats(r)); d != "" {
				t.Errorf("%s%v", d, r)
			}
		})
	}
}

// TestOffsetIsMeasured tells by how much sound is off, both ways.
func TestOffsetIsMeasured(t *testing.T) {
	b := newBench(t, "25")
	for _, shift := range []int{0, 48, -48, 4800, -11000} {
		r := b.report(b.cut(pictures(in, out), sound(shift, "")), b.ask())
		want := -int64(shift) * 1_000_000 / film.SampleRate
		if off := r.SoundOffset - want; off > 50 || off < -50 {
			t.Errorf("sound that was cut %d samples later is said to be %d us late, want %d", shift, r.SoundOffset, want)
		}
	}
}

// TestDamage breaks bytes of a right clip.
func TestDamage(t *testing.T) {
	b := newBench(t, "25")
	path := b.cut(pictures(in, out), sound(0, ""))
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(raw, []byte("mdat")) + 3000
	for i := range 400 {
		raw[at+i] ^= 0xa5
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := b.report(path, b.ask()); !slices.Contains(whats(r), check.Decode) {
		t.Errorf("damage was not found: %v", r)
	}
}

// TestColourFaults tags and levels pictures wrongly.
func TestColourFaults(t *testing.T) {
	b := newBench(t, "matrix-601")
	v, a := pictures(in, out), sound(0, "")
	tags := "colorprim=smpte170m:transfer=smpte170m:colormatrix=smpte170m:fullrange=off"
	for _, c := range []struct {
		name, video, params string
		want                []string
	}{
		{"right", v, tags, []string{}},
		{"another matrix", v, strings.Replace(tags, "matrix=smpte170m", "matrix=bt709", 1), []string{check.Colour}},
		{"tagged as full range", v, strings.Replace(tags, "range=off", "range=on", 1), []string{check.Colour}},
		{"levels of full range, tagged as limited", v + ",lutyuv=y='(val-16)*255/219'", tags, []string{check.Colour}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bench{t, b.source}
			r := b.report(b.cut(c.video, a, "-x264-params", c.params), b.ask())
			if d := cmp.Diff(c.want, whats(r)); d != "" {
				t.Errorf("%s%v", d, r)
			}
		})
	}
}

// TestCombing tells pictures of one moment from those of two.
func TestCombing(t *testing.T) {
	b := newBench(t, "mpeg2-interlaced")
	v := pictures(in, out)
	ask := b.ask()
	ask.Track = 0
	for _, c := range []struct {
		name, video string
		want        []string
	}{
		{"deinterlaced", "bwdif=mode=send_frame:parity=tff," + v, []string{}},
		{"as they are", v, []string{check.Comb}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bench{t, b.source}
			r := b.report(b.cut(c.video, ""), ask)
			if d := cmp.Diff(c.want, whats(r)); d != "" {
				t.Errorf("%s%v", d, r)
			}
		})
	}
}

// TestSurround checks the mix of 5.1, right and with each usual fault.
func TestSurround(t *testing.T) {
	b := newBench(t, "aac-5.1")
	const lo, ro = "FL+0.7071*FC+0.7071*BL", "FR+0.7071*FC+0.7071*BR"
	for _, c := range []struct {
		name, pan string
		want      []string
	}{
		{"right", "stereo|FL=" + lo + "|FR=" + ro, []string{}},
		{"normalised", "stereo|FL=0.4142*FL+0.2929*FC+0.2929*BL|FR=0.4142*FR+0.2929*FC+0.2929*BR",
			[]string{check.Level, check.Sound}},
		{"with low frequency effects", "stereo|FL=" + lo + "+0.5*LFE|FR=" + ro + "+0.5*LFE", []string{check.Level}},
		{"without centre", "stereo|FL=FL+0.7071*BL|FR=FR+0.7071*BR", []string{check.Level}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bench{t, b.source}
			r := b.report(b.cut(pictures(in, out), sound(0, ",pan="+c.pan)), b.ask())
			if d := cmp.Diff(c.want, whats(r)); d != "" {
				t.Errorf("%s%v", d, r)
			}
		})
	}
}

// TestReelParts sees parts in the wrong order, and a crop that is not around the centre.
func TestReelParts(t *testing.T) {
	b := newBench(t, "25")
	two := func(x, y [2]int) (string, string) {
		v := fmt.Sprintf("select='between(n,%d,%d)+between(n,%d,%d)',setpts=N/25/TB", x[0], x[1]-1, y[0], y[1]-1)
		a := fmt.Sprintf("asetnsamples=n=1920,aselect='between(n,%d,%d)+between(n,%d,%d)',asetpts=N/SR/TB",
			x[0], x[1]-1, y[0], y[1]-1)
		return v, a
	}
	ask := b.ask()
	ask.Parts = [][2]int64{{20, 45}, {100, 125}}
	v, a := two([2]int{20, 45}, [2]int{100, 125})
	if r := b.report(b.cut(v, a), ask); len(r.Findings) > 0 {
		t.Errorf("a right reel: %v", r)
	}
	other, otherSound := two([2]int{20, 45}, [2]int{101, 126})
	if d := cmp.Diff([]string{check.Pictures, check.Sound}, whats(b.report(b.cut(other, otherSound), ask))); d != "" {
		t.Error(d)
	}
	ask.Width, ask.Height = 52, 90
	if r := b.report(b.cut(v+",crop=52:90", a), ask); len(r.Findings) > 0 {
		t.Errorf("a right upright reel: %v", r)
	}
	if d := cmp.Diff([]string{check.Pictures}, whats(b.report(b.cut(v+",crop=52:90:51:0", a), ask))); d != "" {
		t.Error(d)
	}
}

// TestLoudMix sees a mix that nothing keeps below full scale.
func TestLoudMix(t *testing.T) {
	b := newBench(t, "aac-5.1-loud")
	const mix = ",pan=stereo|FL=FL+0.7071*FC+0.7071*BL|FR=FR+0.7071*FC+0.7071*BR"
	for _, c := range []struct {
		name, more string
		want       []string
	}{
		{"limited", ",alimiter=limit=0.89:level=0:latency=1", []string{}},
		{"not limited", "", []string{check.Level}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bench{t, b.source}
			r := b.report(b.cut(pictures(in, out), sound(0, mix+c.more)), b.ask())
			if d := cmp.Diff(c.want, whats(r)); d != "" {
				t.Errorf("%s%v", d, r)
			}
		})
	}
}
