// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

const (
	// inFlight is how many units are uploaded at a time. Each is a few
	// megabytes of memory.
	inFlight = 3
	// mints is how often a new URL is asked for when an upload is refused: a
	// URL may have expired while the store was away.
	mints = 3
	// maxEpochs bounds how many broken objects a unit steps aside for.
	maxEpochs = 16
	// maxUnitBytes is far more than 6 s of video have.
	maxUnitBytes = 1 << 30
)

// errTaken says that another payload is stored under a unit's key.
var errTaken = errors.New("another object has the unit's key")

// sink stores units: uploads run beside each other, registrations follow in
// order, so that the data plane never sees a hole that is about to be filled.
type sink struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	config  Config
	uploads *presigned.Client
	info    probe.Info
	stored  map[int64]bool

	slots chan struct{}
	wg    sync.WaitGroup
	// last is closed when the unit before the next one is registered.
	last   chan struct{}
	frames int64
	began  bool
}

func newSink(ctx context.Context, c Config, uploads *presigned.Client, spec api.IngestSpec, info probe.Info) *sink {
	s := &sink{config: c, uploads: uploads, info: info, stored: map[int64]bool{},
		slots: make(chan struct{}, inFlight), last: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	close(s.last)
	for _, u := range spec.Units {
		s.stored[u.FirstTicks] = true
	}
	return s
}

// Timeline implements the Sink of package media/ingest. The data plane takes
// the same timeline again.
func (s *sink) Timeline(ctx context.Context, tl timeline.Timeline, d probe.Decision) error {
	codec := "h264"
	width, height := s.info.Video.DisplaySize()
	out := api.Timeline{
		OriginTicks: tl.OriginTicks, Rate: api.Rational{Num: tl.Rate.Num, Den: tl.Rate.Den},
		Width: int32(width), Height: int32(height),
		Ingest: api.TimelineIngest(d.Mode), IngestReason: clip(d.Reason, maxReason), VideoCodec: &codec,
		AudioTracks: []api.AudioTrack{}, LeftOut: bounded(s.info.LeftOut),
	}
	for _, a := range d.Sound {
		track := api.AudioTrack{Track: int32(a.Track), StreamIndex: int32(a.Index), Codec: "aac",
			SampleRate: int32(a.SampleRate), Channels: int32(a.Stored())}
		if !a.Copy {
			track.SampleRate = ingest.SoundRate
		}
		if a.Language != "" {
			track.Language = &a.Language
		}
		out.AudioTracks = append(out.AudioTracks, track)
	}
	return s.config.Client.PutTimeline(ctx, s.config.EventUID, out)
}

// Bounds of the reason for a mode, and of the list of streams that are left out.
const (
	maxReason      = 1024
	maxLeftOut     = 32
	maxLeftOutText = 256
)

func bounded(list []string) []string {
	var out []string
	for _, text := range list[:min(len(list), maxLeftOut)] {
		out = append(out, clip(text, maxLeftOutText))
	}
	return out
}

// clip cuts a text that is too long, at the border of a character.
func clip(text string, bytes int) string {
	return strings.ToValidUTF8(text[:min(len(text), bytes)], "")
}

// Part implements Sink. What was stored before belongs to the part before it.
func (s *sink) Part(ctx context.Context, p ingest.Part) error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.config.Client.AddIngestPart(ctx, s.config.EventUID, api.IngestPart{
		FirstFrame: p.Frame, Ingest: api.IngestPartIngest(p.Mode), Reason: clip(p.Reason, maxReason)})
}

// Already implements Sink.
func (s *sink) Already(firstTicks int64) bool { return s.stored[firstTicks] }

// Unit implements Sink. It returns when there is room for the next unit; an
// error of an earlier one comes back here.
func (s *sink) Unit(_ context.Context, u ingest.Unit) error {
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	before, done := s.last, make(chan struct{})
	s.last = done
	if first := !s.began; first {
		// Reading on does not matter before somebody can work on the first unit.
		s.began = true
		defer func() {
			select {
			case <-done:
			case <-s.ctx.Done():
			}
		}()
	}
	s.wg.Go(func() {
		defer func() { <-s.slots }()
		if err := s.store(u, before); err != nil {
			s.cancel(err)
			return
		}
		close(done)
	})
	return nil
}

// End implements Sink.
func (s *sink) End(ctx context.Context, e ingest.End) error {
	if err := s.flush(); err != nil {
		return err
	}
	s.frames = e.Frames
	end := api.SourceEnd{Frames: e.Frames}
	if e.Incomplete != "" {
		end.Incomplete = &e.Incomplete
	}
	return s.config.Client.EndSource(ctx, s.config.EventUID, end)
}

// flush waits for the units under way and returns what went wrong with them.
func (s *sink) flush() error {
	s.wg.Wait()
	return context.Cause(s.ctx)
}

// store uploads a unit and registers it after the one before.
func (s *sink) store(u ingest.Unit, before <-chan struct{}) error {
	key, err := s.putSomewhere(&u)
	if err != nil {
		return err
	}
	select {
	case <-before:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	idr := u.IDRFrames
	if idr == nil {
		idr = []int64{}
	}
	var dropped *int64
	if u.Dropped > 0 {
		dropped = &u.Dropped
	}
	if err := s.config.Client.RegisterUnit(s.ctx, s.config.EventUID, api.Unit{
		Epoch: int32(u.Epoch), FirstTicks: u.FirstTicks, Key: key,
		StartMicros: u.StartMicros, EndMicros: u.EndMicros, FirstFrame: u.FrameStart, Frames: u.Frames,
		IdrFrames: idr, Discontinuity: int32(u.Discontinuity), PayloadSHA256: u.PayloadSHA256,
		Bytes: int64(len(u.Data)), PicturesDropped: dropped,
	}); err != nil {
		return err
	}
	if s.config.Registered != nil {
		s.config.Registered()
	}
	return nil
}

// putSomewhere uploads a unit and returns its key. Where an object with
// another payload is in the way, the unit goes into the next epoch.
func (s *sink) putSomewhere(u *ingest.Unit) (string, error) {
	for range maxEpochs {
		key, err := s.put(*u)
		if !errors.Is(err, errTaken) {
			return key, err
		}
		s.config.Log.Warn("what is stored under the unit's key is not the unit; storing it in a new epoch", "unit",
			u.FirstTicks, "epoch", u.Epoch+1)
		u.Epoch++
	}
	return "", fmt.Errorf("store unit %d: %w in %d epochs", u.FirstTicks, errTaken, maxEpochs)
}

// put uploads a unit and returns its key. An object that is there was stored
// by an earlier process that died before it could register it. The cut does
// not depend on the process, so it should be a twin; but a store may also keep
// what came of an upload whose process was killed. So the payloads decide.
func (s *sink) put(u ingest.Unit) (string, error) {
	for try := 1; ; try++ {
		to, err := s.config.Client.MintUnitURL(s.ctx, s.config.EventUID,
			api.UnitKey{Epoch: int32(u.Epoch), FirstTicks: u.FirstTicks})
		if err != nil {
			return "", err
		}
		err = s.uploads.Put(s.ctx, to, bytes.NewReader(u.Data), int64(len(u.Data)))
		if errors.Is(err, presigned.ErrExists) {
			err = s.compare(u, to)
		}
		switch {
		case err == nil, errors.Is(err, errTaken):
			return to.Key, err
		case s.ctx.Err() != nil:
			return "", context.Cause(s.ctx)
		case try == mints:
			return "", fmt.Errorf("store unit %d: %w", u.FirstTicks, err)
		}
		s.config.Log.Warn("upload", "unit", u.FirstTicks, "error", err)
	}
}

// compare says whether the object under a unit's key is its twin; errTaken
// when it is not.
func (s *sink) compare(u ingest.Unit, to api.Upload) error {
	body, err := s.uploads.Get(s.ctx, *to.Existing, maxUnitBytes)
	if err != nil {
		return fmt.Errorf("compare with what is stored at %s: %w", to.Key, err)
	}
	there, err := mpegts.ReadUnit(bytes.NewReader(body), u.FirstTicks)
	if err != nil || mpegts.PayloadSHA256(there.Streams, there.Packets) != u.PayloadSHA256 {
		return errTaken
	}
	return nil
}
