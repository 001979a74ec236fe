// SPDX-License-Identifier: Apache-2.0

package mpegts

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// TestRoundTrip writes units of awkward sizes and reads them back, over the
// wrap of the time stamps.
func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		first := 3*timeline.WrapTicks - 7200
		u := Unit{Streams: []Stream{
			{PID: 0x100, Type: TypeH264},
			{PID: 0x101, Type: TypeADTS, AudioTrack: 1, Descriptors: []byte{10, 4, 'e', 'n', 'g', 0}},
		}}
		for i := range int64(1 + rng.IntN(20)) {
			video := PES{PID: 0x100, StreamID: 0xe0, PTS: first + i*3600, DTS: first + i*3600 - 3600,
				Data: make([]byte, 20+rng.IntN(70000*(round%2)+400))}
			copy(video.Data, []byte{0, 0, 1, 0x67, 0, 0, 1, 0x68, 0, 0, 1, 0x65})
			audio := PES{PID: 0x101, StreamID: 0xc0, PTS: first + i*1920,
				DTS: first + i*1920, Data: make([]byte, 12+rng.IntN(400))}
			u.Packets = append(u.Packets, video, audio)
		}
		data, err := WriteUnit(u)
		if err != nil {
			t.Fatal(err)
		}
		checkCounters(t, append(append([]byte(nil), data...), data...))
		got, err := ReadUnit(bytes.NewReader(data), first)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(u.Streams, got.Streams); d != "" {
			t.Fatal(d)
		}
		for _, s := range u.Streams {
			if !reflect.DeepEqual(u.of(s.PID), got.of(s.PID)) {
				t.Fatalf("round %d: stream %#x came back changed", round, s.PID)
			}
		}
		if PayloadSHA256(u.Streams, u.Packets) != PayloadSHA256(got.Streams, got.Packets) {
			t.Error("the payload's hash changed")
		}
	}
}

// checkCounters expects gapless continuity counters on every PID.
func checkCounters(t *testing.T, data []byte) {
	t.Helper()
	next := map[uint16]byte{}
	for ; len(data) >= packetSize; data = data[packetSize:] {
		pid := uint16(data[1]&0x1f)<<8 | uint16(data[2])
		cc := data[3] & 15
		if want := next[pid]; cc != want {
			t.Fatalf("PID %#x: counter %d, want %d", pid, cc, want)
		}
		next[pid] = (cc + 1) & 15
	}
	for pid, cc := range next {
		if cc != 0 {
			t.Fatalf("PID %#x ends at counter %d", pid, cc)
		}
	}
}

// TestAgainstFFmpeg remuxes what FFmpeg muxed; FFmpeg must decode it, twice in
// a row, without a word.
func TestAgainstFFmpeg(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 4, Seed: 5, AudioTracks: 2})
	if err != nil {
		t.Fatal(err)
	}
	ts := filepath.Join(t.TempDir(), "x.ts")
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: append(ffmpeg.Input(m.Path),
		"-map", "0", "-c", "copy", "-pes_payload_size", "0", "-f", "mpegts", ts)}); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(ts)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	u, err := ReadUnit(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(u.Video()) != 100 || u.AudioTracks() != 2 || !ScanNALs(u.Video()[0].Data).Entry() {
		t.Fatalf("%d frames, %d audio tracks, first %+v", len(u.Video()), u.AudioTracks(), ScanNALs(u.Video()[0].Data))
	}
	data, err := WriteUnit(u)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "y.ts")
	if err := os.WriteFile(out, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", StrictLog: true,
		Args: append(ffmpeg.Input(out), "-map", "0", "-f", "null", "-")}); err != nil {
		t.Fatal(err)
	}
	numbers, err := match.ReadFrameNumbers(t.Context(), out, m.Layout())
	if err != nil || len(numbers) != 100 {
		t.Fatalf("%d numbers, %v", len(numbers), err)
	}
}
