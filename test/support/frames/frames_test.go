// SPDX-License-Identifier: Apache-2.0

package frames_test

import (
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
	"github.com/mre-operator/mre-operator/test/support/frames"
)

func decode(t *testing.T, path string) frames.Media {
	t.Helper()
	m, err := frames.Decode(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestDigest sees one changed picture and one missing sample, and does not see another container.
func TestDigest(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 2, Rate: timeline.Rational{Num: 25, Den: 1}})
	if err != nil {
		t.Fatal(err)
	}
	variant := func(name string, args ...string) frames.Media {
		t.Helper()
		out := t.TempDir() + "/" + name
		all := append(ffmpeg.Input(m.Path), append(args, out)...)
		if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: all}); err != nil {
			t.Fatal(err)
		}
		return decode(t, out)
	}
	whole := decode(t, m.Path)
	if len(whole.Video) != 50 || whole.AudioSamples == 0 || whole.SampleRate == 0 {
		t.Fatalf("got %d pictures and %d samples at %d Hz", len(whole.Video), whole.AudioSamples, whole.SampleRate)
	}
	if other := variant("same.mov", "-c", "copy"); other.Digest() != whole.Digest() {
		t.Error("another container changed the digest")
	}
	lossless := []string{"-c:v", "libx264", "-qp", "0", "-c:a", "copy"}
	if other := variant("same.mp4", lossless...); other.Digest() != whole.Digest() {
		t.Error("a lossless copy changed the digest")
	}
	changed := variant("changed.mp4",
		append(lossless, "-vf", "drawbox=x=0:y=0:w=2:h=2:color=red:t=fill:enable='eq(n,30)'")...)
	if changed.Digest() == whole.Digest() {
		t.Error("a changed picture did not change the digest")
	}
	if silent := variant("silent.mp4", "-c:v", "copy", "-an"); silent.AudioSamples != 0 ||
		silent.Digest() == whole.Digest() {
		t.Errorf("a copy without sound has %d samples", silent.AudioSamples)
	}
}
