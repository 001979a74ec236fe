// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/presigned"
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
	{ffmpeg.ErrNotSeekable, api.FailureReasonSourceNotSeekable},
	{ffmpeg.ErrUnreachable, api.FailureReasonSourceUnreachable},
	{ffmpeg.ErrEmpty, api.FailureReasonSourceEmpty},
	{ffmpeg.ErrNoVideo, api.FailureReasonNoVideo},
	{ffmpeg.ErrCorrupt, api.FailureReasonSourceCorrupt},
	{ffmpeg.ErrNoDecoder, api.FailureReasonSourceCorrupt},
	{ingest.ErrBroken, api.FailureReasonSourceUnreachable},
	{probe.ErrSelection, api.FailureReasonIngestFailed},
	{ffmpeg.ErrNotConvertible, api.FailureReasonIngestFailed},
}

// passing says whether an error passes by itself: somebody is away, and no
// fault of the source or of ingest has shown.
func passing(err error) bool {
	if ffmpeg.Killed(err) {
		return true
	}
	switch client.Code(err) {
	case api.ProblemCodeUnauthenticated, api.ProblemCodeForbidden: // such as of a token that is being renewed
		return true
	}
	return client.Passing(err) || errors.Is(err, presigned.ErrAway) || errors.Is(err, ffmpeg.ErrUnreachable) ||
		errors.Is(err, ingest.ErrBroken)
}

// classify makes a *SourceError of what FFmpeg says about a source. Other
// errors stay as they are.
func classify(err error) error {
	if ffmpeg.Killed(err) {
		return err
	}
	for _, r := range reasons {
		if errors.Is(err, r.kind) {
			return &SourceError{Reason: r.reason, Err: err}
		}
	}
	// The data plane will say the same of the same call.
	if code := client.Code(err); code == api.ProblemCodeInvalid || code == api.ProblemCodeTooLarge {
		return &SourceError{Reason: api.FailureReasonIngestFailed, Err: err}
	}
	var said *ffmpeg.Error
	if errors.As(err, &said) && said.Kind == nil && said.Tool == "ffprobe" {
		return &SourceError{Reason: api.FailureReasonSourceCorrupt, Err: err}
	}
	return err
}

// maxMessage is what the API takes.
const maxMessage = 2048

// short makes a message of an error that the API takes.
func short(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage-4], "") + "…"
	}
	return text
}

// Fail tells the data plane that the source cannot be read.
func Fail(ctx context.Context, c Config, why *SourceError) error {
	message := short(why.Error())
	c.Log.Error("the source cannot be ingested", "reason", why.Reason, "message", message)
	err := c.Client.FailSource(ctx, c.EventUID, api.Failure{Reason: why.Reason, Message: message})
	if client.Is(err, api.ProblemCodeGone) {
		return nil
	}
	return err
}
