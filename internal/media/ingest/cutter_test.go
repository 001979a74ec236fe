// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"errors"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// second is one, in ticks.
const second = int64(timeline.TickRate)

// copying is a cutter of 25 pictures a second that are copied, with a track.
func copying(t *testing.T) (*cutter, *Folder) {
	t.Helper()
	d := probe.Decision{Mode: probe.Copy, Rate: rate25, Sound: []probe.Sound{{Audio: probe.Audio{Track: 1}, Copy: true}}}
	f := &Folder{Dir: t.TempDir()}
	return newCutter(Config{Decision: d, ChunkSeconds: 6}, f, unitStreams(d)), f
}

// picture is an access unit that looks like one of H.264.
func picture(pts int64, entry bool) mpegts.PES {
	data := append([]byte{0, 0, 1, 1}, make([]byte, 100)...)
	if entry {
		data = append([]byte{0, 0, 1, 7, 0, 0, 1, 8, 0, 0, 1, 5}, make([]byte, 100)...)
	}
	return mpegts.PES{PID: videoPID, StreamID: 0xe0, PTS: pts, DTS: pts, Data: data}
}

// sound is an access unit of the track.
func sound(pts int64) mpegts.PES {
	return mpegts.PES{PID: audioPID, StreamID: audioStreamID, PTS: pts, DTS: pts, Data: make([]byte, 100)}
}

// TestCopyEndsInTime gives sources that cannot be copied to their end without
// units that the data plane refuses, or without keeping hours of sound.
func TestCopyEndsInTime(t *testing.T) {
	cases := []struct {
		name string
		// at is the k-th access unit.
		at  func(k int64) mpegts.PES
		why string
	}{
		{"a slow clock", func(k int64) mpegts.PES {
			return picture(900000+k*3609, k%25 == 0)
		}, "the frame rate is not 25 any more"},
		{"a fast clock", func(k int64) mpegts.PES {
			return picture(900000+k*3591, k%25 == 0)
		}, "the frame rate is not 25 any more"},
		{"many holes", func(k int64) mpegts.PES {
			if k < 500 {
				return picture(900000+k*3600, k%25 == 0)
			}
			return picture(900000+500*3600+(k-500)*9*second, k%25 == 0)
		}, "too many pictures are missing"},
		{"sound without pictures", func(k int64) mpegts.PES {
			if k < 500 {
				return picture(900000+k*3600, k%25 == 0)
			}
			return sound(900000 + (k-500)*1920)
		}, "pictures are missing for more than 10 s"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cut, f := copying(t)
			var err error
			for k := int64(0); k < 100_000 && err == nil; k++ {
				err = cut.add(t.Context(), c.at(k))
			}
			irregular, ok := errors.AsType[*Irregular](err)
			if !ok || !strings.Contains(irregular.Reason, c.why) || irregular.At == nil {
				t.Fatalf("got %v", err)
			}
			if err := cut.emitReady(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			last := f.Units[len(f.Units)-1]
			if irregular.At.Frame != last.FrameStart+last.Frames {
				t.Errorf("units end at frame %d, copying at %d", last.FrameStart+last.Frames, irregular.At.Frame)
			}
			for _, u := range f.Units {
				nominal := f.Clock.FrameStartMicros(u.FrameStart)
				if off := u.StartMicros - nominal; max(off, -off) > 20_000+nominal/1000 {
					t.Errorf("the unit at frame %d is %d µs off the nominal grid", u.FrameStart, off)
				}
				if u.EndMicros-u.StartMicros > 40_000_000 {
					t.Errorf("the unit at frame %d lasts %d µs", u.FrameStart, u.EndMicros-u.StartMicros)
				}
			}
		})
	}
}

// TestSoundBeforePictures has an hour of it.
func TestSoundBeforePictures(t *testing.T) {
	cut, _ := copying(t)
	for at := int64(0); at < 3600*second; at += 1920 {
		if err := cut.add(t.Context(), sound(at)); err != nil {
			t.Fatal(err)
		}
	}
	if kept := int64(len(cut.audio)); kept > soundAhead/1920+1 {
		t.Errorf("%d frames of sound are kept", kept)
	}
}
