// SPDX-License-Identifier: Apache-2.0

package cut_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/assemble"
	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/test/fixtures/event"
)

// sounding is an Event whose sound FFmpeg makes: an expression for each channel.
func sounding(t *testing.T, layout, expression string, args ...string) event.Event {
	t.Helper()
	m := makeEvent(t, pal).Match
	source := filepath.Join(t.TempDir(), "source.mp4")
	all := append(ffmpeg.Input(m.Path), "-f", "lavfi", "-i", "aevalsrc="+expression+":c="+layout+":s=48000:d=14",
		"-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", "-b:a", "320k")
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(append(all, args...), source)}); err != nil {
		t.Fatal(err)
	}
	e, err := event.Ingest(t.Context(), t.TempDir(), m, source, 4)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func cutSound(t *testing.T, e event.Event, in, out int64, channels assemble.Channels) string {
	t.Helper()
	p := e.Part(in, out)
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	proof, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out, Timeline: e.Clock,
		AudioTrack: 1, AudioChannels: channels}, mp4, "")
	if err != nil {
		t.Fatal(err)
	}
	if want := e.Clock.SamplesAt(0, out-in, 48000); proof.AudioSamples != want {
		t.Errorf("%d samples instead of %d", proof.AudioSamples, want)
	}
	clean(t, mp4)
	return mp4
}

// heard decodes all channels of a clip.
func heard(t *testing.T, mp4 string) (samples []float32, layout string) {
	t.Helper()
	raw, err := ffmpeg.Output(t.Context(),
		ffmpeg.Cmd{Tool: "ffmpeg", Args: append(ffmpeg.Input(mp4), "-map", "0:a", "-f", "f32le", "pipe:1")})
	if err != nil {
		t.Fatal(err)
	}
	samples = make([]float32, len(raw)/4)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, samples); err != nil {
		t.Fatal(err)
	}
	text, err := ffmpeg.Output(t.Context(),
		ffmpeg.Cmd{Tool: "ffprobe", Args: append([]string{"-of", "csv=p=0", "-select_streams", "a",
			"-show_entries", "stream=channel_layout,sample_rate"}, ffmpeg.Input(mp4)...)})
	if err != nil {
		t.Fatal(err)
	}
	return samples, string(bytes.TrimSpace(text))
}

// level is a channel's level in decibels of a sine of full scale.
func level(samples []float32, channels, c int) float64 {
	var sum float64
	n := 0
	for i := c; i < len(samples); i += channels {
		sum += float64(samples[i]) * float64(samples[i])
		n++
	}
	return 10 * math.Log10(2*sum/float64(max(n, 1))+1e-12)
}

// TestLevels gives each channel of each layout a tone and checks both sides, and
// the channels where they are kept.
func TestLevels(t *testing.T) {
	const silent = -70
	tone := func(hz int) string { return "0.25*sin(2*PI*t*" + strconv.Itoa(hz) + ")" }
	cases := []struct {
		name, layout, expression string
		left, right              float64
		kept                     string
	}{
		{"mono", "mono", tone(400), -12.04, -12.04, "48000,mono"},
		{"stereo", "stereo", tone(400) + "|0", -12.04, silent, "48000,stereo"},
		{"voice in the centre", "5.1", "0|0|" + tone(400) + "|0|0|0", -15.05, -15.05, "48000,5.1"},
		{"effects", "5.1", "0|0|0|" + tone(60) + "|0|0", silent, silent, "48000,5.1"},
		{"surround", "5.1", "0|0|0|0|0|" + tone(400), silent, -15.05, "48000,5.1"},
		{"7.1", "7.1", "0|0|0|0|0|0|" + tone(400) + "|0", -15.05, silent, "48000,7.1"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := sounding(t, c.layout, c.expression)
			samples, kind := heard(t, cutSound(t, e, 30, 80, ""))
			l, r := level(samples, 2, 0), level(samples, 2, 1)
			off := func(got, want float64) bool {
				if want == silent {
					return got > silent
				}
				return math.Abs(got-want) > 0.3
			}
			if kind != "48000,stereo" || off(l, c.left) || off(r, c.right) {
				t.Errorf("%s: %.2f and %.2f dB instead of %.2f and %.2f", kind, l, r, c.left, c.right)
			}
			if _, kind := heard(t, cutSound(t, e, 30, 80, assemble.Source)); kind != c.kept {
				t.Errorf("kept as %s instead of %s", kind, c.kept)
			}
		})
	}
}

// TestLoudMixIsLimited keeps five loud channels from clipping.
func TestLoudMixIsLimited(t *testing.T) {
	loud := "0.7*sin(2*PI*t*400)"
	e := sounding(t, "5.1", loud+"|"+loud+"|"+loud+"|0|"+loud+"|"+loud)
	samples, _ := heard(t, cutSound(t, e, 30, 80, assemble.Stereo))
	peak := float32(0)
	for _, x := range samples {
		peak = max(peak, x, -x)
	}
	if peak > 0.95 || peak < 0.8 {
		t.Errorf("peak is %.3f", peak)
	}
}

// TestSoundThatEnds makes a track of silence where the Event's track has none: it
// ended early, or never sounded in the clip.
func TestSoundThatEnds(t *testing.T) {
	e := sounding(t, "stereo", "0.25*sin(2*PI*t*400)|0.25*sin(2*PI*t*400)", "-af", "atrim=end=5")
	for _, r := range [][2]int64{{100, 200}, {200, 300}} {
		samples, kind := heard(t, cutSound(t, e, r[0], r[1], assemble.Source))
		if kind != "48000,stereo" {
			t.Errorf("%v: %s", r, kind)
		}
		tail := samples[len(samples)-48000:]
		if l := level(tail, 2, 0); l > -70 {
			t.Errorf("%v: the end is at %.1f dB", r, l)
		}
	}
}

// TestDamagedSound loses audio frames in the ways that recorders, IPTV and HLS
// captures do: the clip is there, with silence for them and all else in place.
func TestDamagedSound(t *testing.T) {
	e := makeEvent(t, pal)
	n := 0
	err := e.Change(0, func(u *mpegts.Unit) {
		sound, _ := u.Audio(1)
		for i, p := range u.Packets {
			if p.PID != sound[0].PID {
				continue
			}
			switch n++; {
			case n >= 80 && n < 84:
				u.Packets[i].Data = p.Data[:len(p.Data)/2]
			case n == 100:
				u.Packets[i].Data = append([]byte(nil), p.Data...)
				u.Packets[i].Data[2] ^= 0x10
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	in, out := int64(25), int64(75)
	p := e.Part(in, out)
	mp4 := filepath.Join(t.TempDir(), "clip.mp4")
	if _, err := cut.Clip(t.Context(), cut.ClipSpec{Units: p.Units, In: p.In, Out: p.Out,
		Timeline: e.Clock, AudioTrack: 1}, mp4, ""); err != nil {
		t.Fatal(err)
	}
	source, got := samplesOf(t, e.Match.Path, 1), samplesOf(t, mp4, 1)
	// Frames 80 to 83 are 1.64 to 1.72 s into the Event, give or take the first.
	for _, at := range []int64{0, 40000, 90000} {
		if lag, r := bestLag(source, got[at:at+4800], 48000+at); lag != 0 || r < 0.9 {
			t.Errorf("at %d: %d samples off, correlation %.3f", at, lag, r)
		}
	}
	quiet := 0
	for _, x := range got[24000:40000] {
		if x < 8 && x > -8 {
			quiet++
		}
	}
	if quiet < 3000 || quiet > 6500 {
		t.Errorf("%d quiet samples instead of some 4096", quiet)
	}
}

// TestWarmUpIsTime cuts shortly behind a unit's border at a low sample rate, where
// two AAC frames are longer than what lies between: the first 10 ms must be loud.
func TestWarmUpIsTime(t *testing.T) {
	e := sounding(t, "mono", "0.25*sin(2*PI*t*400)", "-ar", "16000")
	in := e.Units[1].FrameStart + 1
	samples, _ := heard(t, cutSound(t, e, in, in+25, ""))
	if l := level(samples[:2*480], 2, 0); math.Abs(l+12.04) > 0.7 {
		t.Errorf("the first 10 ms are at %.2f dB", l)
	}
}
