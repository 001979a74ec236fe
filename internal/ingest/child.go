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
	"github.com/mre-operator/mre-operator/internal/presigned"
)

const (
	// probeTimeout is how long a source may take to show what it is.
	probeTimeout = 30 * time.Second
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
	info, err := look(ctx, spec.URL)
	if err != nil {
		var source *SourceError
		if ctx.Err() == nil && errors.As(err, &source) {
			return Fail(ctx, c, source)
		}
		return err
	}
	decision := probe.Decide(info)
	if spec.Timeline != nil {
		// What is stored decides how to go on.
		decision.Mode = probe.Mode(spec.Timeline.Ingest)
		decision.Reason = spec.Timeline.IngestReason
	}
	c.Log.Info("ingest", "mode", decision.Mode, "reason", decision.Reason, "rate", decision.Rate.String(), "stored", len(spec.Units))

	out := newSink(ctx, c, presigned.New(), spec, info, decision)
	err = ingest.Run(ctx, ingest.Config{URL: spec.URL, Info: info, Decision: decision, ChunkSeconds: int64(spec.ChunkSeconds)}, out)
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
	case errors.Is(err, ingest.ErrIrregular):
		return Fail(ctx, c, &SourceError{Reason: api.FailureReasonIngestFailed, Err: err})
	}
	return classify(err)
}

// look probes the source, more than once when it cannot be reached.
func look(ctx context.Context, url string) (probe.Info, error) {
	for try := 1; ; try++ {
		tryCtx, cancel := context.WithTimeout(ctx, probeTimeout)
		info, err := probe.Probe(tryCtx, url)
		late := tryCtx.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			return info, nil
		case late:
			return info, &SourceError{Reason: api.FailureReasonSourceUnreachable,
				Err: fmt.Errorf("%w (%s did not answer within %s)", ffmpeg.ErrUnreachable, ffmpeg.Redact(url), probeTimeout)}
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
		Err: fmt.Errorf("the source is not the same as when ingest began; start a new Event for it: %w", err)})
}
