// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"errors"
	"io"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// stereoTrack is a track whose samples for the encoder are counted instead.
func stereoTrack(t *testing.T) (*track, chan int64) {
	t.Helper()
	p := &pipeline{}
	coder, err := p.newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	counted := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, coder.stdin)
		counted <- n / 8
	}()
	return newTrack(audioPID, probe.Sound{Audio: probe.Audio{Channels: 2}}, coder, nil), counted
}

func samples(n int64) []float32 { return make([]float32, 2*n) }

// TestSoundBeforeTheFirstPicture has an hour of it: only the end is kept.
func TestSoundBeforeTheFirstPicture(t *testing.T) {
	tr, counted := stereoTrack(t)
	const full = SoundRate
	for at := range int64(3600) {
		if err := tr.take(block{at * timeline.TickRate, samples(full)}); err != nil {
			t.Fatal(err)
		}
	}
	if kept := len(tr.early); kept < 120 || kept > 200 {
		t.Errorf("%d s of sound are kept", kept)
	}
	if err := tr.begin(3590*timeline.TickRate, 3590*timeline.TickRate); err != nil {
		t.Fatal(err)
	}
	if tr.early != nil || tr.next != 10*full {
		t.Errorf("the sound ends at sample %d, with %d blocks kept", tr.next, len(tr.early))
	}
	if err := tr.finish(0); err != nil {
		t.Fatal(err)
	}
	if n := <-counted; n != 10*full+preroll*aacSamples {
		t.Errorf("%d samples were written", n)
	}
}

// TestSoundOfALongSource goes on after 20 h, where a stamp of the beginning is
// nearer to the one that follows the 33-bit wrap.
func TestSoundOfALongSource(t *testing.T) {
	tr, counted := stereoTrack(t)
	const hour = int64(3600)
	origin := int64(900000)
	if err := tr.begin(origin, origin+20*hour*timeline.TickRate); err != nil {
		t.Fatal(err)
	}
	for at := range 20 * hour / 600 {
		stamp := origin + at*600*timeline.TickRate
		if err := tr.take(block{timeline.Wrap(stamp), samples(1024)}); err != nil {
			t.Fatal(err)
		}
	}
	if tr.next != tr.first {
		t.Fatalf("%d samples from before the part were written", tr.next-tr.first)
	}
	if err := tr.take(block{timeline.Wrap(origin + 20*hour*timeline.TickRate), samples(1024)}); err != nil {
		t.Fatal(err)
	}
	if want := 20*hour*SoundRate + 1024; tr.next != want {
		t.Errorf("the sound ends at sample %d, want %d", tr.next, want)
	}
	_ = tr.encoder.in.Close()
	<-counted
}

// TestEncoderThatDies gives the encoder's own words, not that its pipe broke.
func TestEncoderThatDies(t *testing.T) {
	p := &pipeline{}
	e, err := p.newEncoder()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	go func() { _ = e.run(t.Context(), []string{"-f", "nothing", "-i", "pipe:0"}) }()
	for err == nil {
		err = e.write(make([]byte, 1<<16))
	}
	if said, ok := errors.AsType[*ffmpeg.Error](err); !ok || said.Said == "" {
		t.Errorf("got %v", err)
	}
}
