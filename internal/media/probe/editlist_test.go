// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// TestEditList finds pictures that a trim without re-encoding only hides, and no
// others.
func TestEditList(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 10, Seed: 1, AudioTracks: 1, GOPFrames: 50})
	if err != nil {
		t.Fatal(err)
	}
	film := func(name string, before, after []string) string {
		t.Helper()
		out := filepath.Join(t.TempDir(), name)
		args := append(ffmpeg.Input(m.Path, before...), append(after, out)...)
		if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: args}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	copied := []string{"-c", "copy"}
	cases := []struct{ path, want string }{
		{film("whole.mp4", nil, copied), ""},
		{film("b-frames.mp4", nil, []string{"-c:v", "libx264", "-preset", "ultrafast",
			"-g", "50", "-bf", "3", "-c:a", "copy"}), ""},
		{film("fragmented.mp4", nil, append(copied, "-movflags", "frag_keyframe+empty_moov")), ""},
		{film("trimmed.mp4", []string{"-ss", "2.6"}, copied), "the edit list hides the first 0.60 s"},
	}
	for _, c := range cases {
		info, err := Probe(t.Context(), c.path)
		if err != nil {
			t.Fatal(err)
		}
		d := Decide(info)
		if info.EditList != c.want || (d.Mode == Copy) != (c.want == "") || !strings.Contains(d.Reason, c.want) {
			t.Errorf("%s: %q, %s: %s", filepath.Base(c.path), info.EditList, d.Mode, d.Reason)
		}
	}
}
