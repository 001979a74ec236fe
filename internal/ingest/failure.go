// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"os/exec"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// SourceError is a source that cannot be read, in the data plane's words.
type SourceError struct {
	Reason api.FailureReason
	Err    error
}

// Error is what people read in the Event's status.
func (e *SourceError) Error() string { return ffmpeg.Redact(e.Err.Error()) }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

var reasons = []struct {
	kind   error
	reason api.FailureReason
}{
	{ffmpeg.ErrNotFound, api.FailureReasonSourceNotFound},
	{ffmpeg.ErrForbidden, api.FailureReasonSourceUnreachable},
	{ffmpeg.ErrUnreachable, api.FailureReasonSourceUnreachable},
	{ffmpeg.ErrEmpty, api.FailureReasonSourceEmpty},
	{ffmpeg.ErrNoVideo, api.FailureReasonNoVideo},
	{ffmpeg.ErrCorrupt, api.FailureReasonSourceCorrupt},
}

// classify makes a *SourceError of what FFmpeg says about a source. Other
// errors stay as they are.
func classify(err error) error {
	// A program that was killed says nothing about the source.
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Exited() {
		return err
	}
	for _, r := range reasons {
		if errors.Is(err, r.kind) {
			return &SourceError{Reason: r.reason, Err: err}
		}
	}
	var said *ffmpeg.Error
	if errors.As(err, &said) && said.Kind == nil && said.Tool == "ffprobe" {
		return &SourceError{Reason: api.FailureReasonSourceCorrupt, Err: err}
	}
	return err
}

// maxMessage is what the API takes.
const maxMessage = 2048

// Fail tells the data plane that the source cannot be read.
func Fail(ctx context.Context, c Config, why *SourceError) error {
	message := strings.ToValidUTF8(why.Error(), "?")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage-4], "") + "…"
	}
	c.Log.Error("the source cannot be ingested", "reason", why.Reason, "message", message)
	err := c.Client.FailSource(ctx, c.EventUID, api.Failure{Reason: why.Reason, Message: message})
	if client.Is(err, api.ProblemCodeGone) {
		return nil
	}
	return err
}
