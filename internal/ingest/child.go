// SPDX-License-Identifier: Apache-2.0

// Package ingest is the ingest Job of an Event: it reads the source with
// internal/media, stores the units, and registers them.
//
// A supervisor runs the work in a child process and starts it again within a
// second when it dies. The units of a source do not depend on where a process
// started, so a fresh child passes over what is registered, finds under its
// key what is stored but not registered, and goes on.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

const (
	// probeTries at a source that cannot be reached: a name server or a
	// server that starts may need a moment.
	probeTries = 3
	probePause = 2 * time.Second
)

// Config is one ingest process.
type Config struct {
	Client   *client.Client
	EventUID string
	Log      *slog.Logger
	// Registered is called after each unit that was registered.
	Registered func()
}

// Run ingests the source to its end (nil), or says to the data plane why that
// is not possible (nil too: the Job has done what it can). An error means that
// another try may help; it is a *SourceError when the source is to blame.
func Run(ctx context.Context, c Config) error {
	spec, err := c.Client.Ingest(ctx, c.EventUID)
	switch {
	case client.Is(err, api.ProblemCodeGone):
		c.Log.Info("the Event was deleted; there is nothing to do")
		return nil
	case err != nil:
		return err
	case spec.Ended:
		c.Log.Info("the source has ended or failed already; there is nothing to do")
		return nil
	}
	info, err := look(ctx, spec)
	if err != nil {
		var source *SourceError
		if ctx.Err() == nil && errors.As(err, &source) {
			return Fail(ctx, c, source)
		}
		return err
	}
	job, err := plan(spec, info)
	if err != nil {
		return err
	}
	c.Log.Info("ingest", "mode", job.Decision.Mode, "reason", job.Decision.Reason, "rate",
		job.Decision.Rate.String(), "stored", len(spec.Units))

	out := newSink(ctx, c, presigned.New(), spec, info)
	err = ingest.Run(ctx, job, out)
	// What is still under way must end before this process does.
	if flushErr := out.flush(); flushErr != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = flushErr
	}
	switch {
	case err == nil:
		c.Log.Info("the source has ended", "frames", out.frames)
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case client.Is(err, api.ProblemCodeGone):
		return nil
	case client.Is(err, api.ProblemCodeConflict):
		return conflict(ctx, c, err)
	}
	return classify(err)
}

// plan says how to ingest a source: as it was decided when its first unit was
// stored, from where the stored units end.
func plan(spec api.IngestSpec, info probe.Info) (ingest.Config, error) {
	job := ingest.Config{URL: spec.URL, Info: info, Decision: probe.Decide(info), ChunkSeconds: int64(spec.ChunkSeconds)}
	tl := spec.Timeline
	if tl == nil {
		return job, nil
	}
	if err := same(*tl, info); err != nil {
		return job, &SourceError{Reason: api.FailureReasonIngestFailed, Err: fmt.Errorf("%s: %w", notTheSame, err)}
	}
	rate := timeline.Rational{Num: tl.Rate.Num, Den: tl.Rate.Den}
	now := api.IngestPart{Ingest: api.IngestPartIngest(tl.Ingest), Reason: tl.IngestReason}
	if n := len(tl.Parts); n > 0 {
		now = tl.Parts[n-1]
	}
	switch {
	case now.Ingest == api.IngestPartIngestCopy:
		job.Decision = probe.As(info, probe.Copy, now.Reason)
	case tl.Ingest == api.TimelineIngestCopy:
		job.Decision = ingest.Continue(info, info.Video.Copied(), rate)
	default:
		job.Decision = probe.As(info, probe.Mezzanine, now.Reason)
	}
	job.Decision.Rate, job.Decision.Reason = rate, now.Reason
	if spec.Next != nil {
		clock := tl.Clock()
		job.Resume = &ingest.Position{OriginTicks: tl.OriginTicks, Frame: spec.Next.Frame,
			ShiftTicks: clock.AnchorAt(spec.Next.Frame, spec.Next.Micros).ShiftTicks}
	}
	return job, nil
}

// notTheSame is what becomes of an Event whose source was replaced.
const notTheSame = "the source is not the same as when ingest began; start a new Event for it"

// same compares a source with what was declared of it when ingest began.
func same(tl api.Timeline, info probe.Info) error {
	width, height := info.Video.DisplaySize()
	switch {
	case tl.Ingest == api.TimelineIngestCopy && info.Scan == nil:
		return fmt.Errorf("its video was H.264, and is %s", info.Video.Codec)
	case int32(width) != tl.Width || int32(height) != tl.Height:
		return fmt.Errorf("its pictures had %dx%d, and have %dx%d", tl.Width, tl.Height, width, height)
	case len(info.Audio) != len(tl.AudioTracks):
		return fmt.Errorf("it had %d audio tracks, and has %d", len(tl.AudioTracks), len(info.Audio))
	}
	return nil
}

// options are what the Event asks of its source.
func options(spec api.IngestSpec) probe.Options {
	var o probe.Options
	if spec.Source == nil {
		return o
	}
	o.Mezzanine = spec.Source.Ingest != nil && *spec.Source.Ingest == api.PlanSourceIngestMezzanine
	o.KeepHDR = spec.Source.Hdr != nil && *spec.Source.Hdr == api.PlanSourceHdrKeep
	if spec.Source.Programme != nil {
		o.Programme = int(*spec.Source.Programme)
	}
	for _, a := range spec.Source.Audio {
		s := probe.Selection{Stream: int(a.Stream)}
		for _, c := range a.Channels {
			s.Channels = append(s.Channels, int(c))
		}
		o.Audio = append(o.Audio, s)
	}
	return o
}

// look probes the source, more than once when it cannot be reached. There is
// no bound on how long that takes: a slow server is not one that does not
// answer, and silence ends the reading.
func look(ctx context.Context, spec api.IngestSpec) (probe.Info, error) {
	for try := 1; ; try++ {
		info, err := probe.Open(ctx, spec.URL, options(spec))
		switch {
		case err == nil:
			return info, nil
		case !errors.Is(err, ffmpeg.ErrUnreachable) || try == probeTries:
			return info, classify(err)
		}
		select {
		case <-ctx.Done():
			return info, context.Cause(ctx)
		case <-time.After(probePause):
		}
	}
}

// conflict is a refusal by the data plane: either the Event is over, or the
// source is not the one that it was.
func conflict(ctx context.Context, c Config, err error) error {
	spec, getErr := c.Client.Ingest(ctx, c.EventUID)
	switch {
	case getErr != nil:
		return getErr
	case spec.Ended:
		c.Log.Info("the Event is over", "refusal", err)
		return nil
	}
	return Fail(ctx, c, &SourceError{Reason: api.FailureReasonIngestFailed,
		Err: fmt.Errorf("%s: %w", notTheSame, err)})
}
