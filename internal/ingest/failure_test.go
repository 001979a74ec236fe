// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
)

// A death by signal is no fault of the source, whatever was said before it.
func TestClassify(t *testing.T) {
	exited := exec.Command("/bin/sh", "-c", "exit 1").Run()
	killed := exec.Command("/bin/sh", "-c", "kill -9 $$").Run()
	tests := map[string]struct {
		err  error
		want api.FailureReason
	}{
		"not found": {&ffmpeg.Error{Tool: "ffprobe", Kind: ffmpeg.ErrNotFound, Cause: exited},
			api.FailureReasonSourceNotFound},
		"forbidden": {&ffmpeg.Error{Tool: "ffprobe", Kind: ffmpeg.ErrForbidden, Cause: exited},
			api.FailureReasonSourceUnreachable},
		"empty":            {fmt.Errorf("open x: %w", ffmpeg.ErrEmpty), api.FailureReasonSourceEmpty},
		"no video":         {ffmpeg.ErrNoVideo, api.FailureReasonNoVideo},
		"ffprobe, unknown": {&ffmpeg.Error{Tool: "ffprobe", Cause: exited}, api.FailureReasonSourceCorrupt},
		"cannot seek": {&ffmpeg.Error{Tool: "ffmpeg", Kind: ffmpeg.ErrNotSeekable},
			api.FailureReasonSourceNotSeekable},
		"no decoder": {&ffmpeg.Error{Tool: "ffmpeg", Kind: ffmpeg.ErrNoDecoder, Cause: exited},
			api.FailureReasonSourceCorrupt},
		"not convertible": {&ffmpeg.Error{Tool: "ffmpeg", Kind: ffmpeg.ErrNotConvertible, Cause: exited},
			api.FailureReasonIngestFailed},
		"broken off":    {fmt.Errorf("%w: reset by peer", ingest.ErrBroken), api.FailureReasonSourceUnreachable},
		"no such track": {fmt.Errorf("%w: stream 7", probe.ErrSelection), api.FailureReasonIngestFailed},
		"refused": {&client.Error{Call: "registerUnit",
			Problem: api.Problem{Code: api.ProblemCodeInvalid, Status: 400}}, api.FailureReasonIngestFailed},
		"data plane away": {&client.Error{Call: "registerUnit",
			Problem: api.Problem{Code: api.ProblemCodeUnavailable, Status: 503}}, ""},
		"ffprobe, killed":       {&ffmpeg.Error{Tool: "ffprobe", Cause: killed}, ""},
		"ffmpeg, killed in bad": {&ffmpeg.Error{Tool: "ffmpeg", Kind: ffmpeg.ErrCorrupt, Cause: killed}, ""},
		"ffmpeg, unknown":       {&ffmpeg.Error{Tool: "ffmpeg", Cause: exited}, ""},
		"no space":              {&ffmpeg.Error{Tool: "ffmpeg", Kind: ffmpeg.ErrNoSpace, Cause: exited}, ""},
		"other":                 {errors.New("disk on fire"), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got *SourceError
			if errors.As(classify(tt.err), &got) != (tt.want != "") || (got != nil && got.Reason != tt.want) {
				t.Fatalf("classify(%v) = %v, want %q", tt.err, got, tt.want)
			}
		})
	}
}

// A child that ignores the order to stop is killed.
func TestChildThatIgnoresTheOrderToStop(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := runChild(ctx, []string{"/bin/sh", "-c",
		`trap "" TERM; echo '{"registered":true}'; while :; do sleep 0.1; done`})
	if err == nil || time.Since(began) > stopGrace+3*time.Second {
		t.Fatalf("err = %v after %s", err, time.Since(began))
	}
}

func TestChildReports(t *testing.T) {
	got, err := runChild(t.Context(), []string{"/bin/sh", "-c", `echo '{"registered":true}'; echo noise; echo ` +
		`'{"registered":true}'; echo '{"error":"x","reason":"NoVideo"}'; exit 3`})
	if err == nil || got.registered != 2 || got.last.Error != "x" || got.last.Reason != api.FailureReasonNoVideo {
		t.Fatalf("got %+v, %v", got, err)
	}
}
