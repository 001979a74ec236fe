// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

// How often a source is read depends on whether another try can end otherwise.
func TestTries(t *testing.T) {
	said := func(reason api.FailureReason, text string) outcome {
		return outcome{last: report{Reason: reason, Error: text}}
	}
	passing := func(reason api.FailureReason) outcome {
		return outcome{last: report{Reason: reason, Error: "nobody answers", Passing: true}}
	}
	for name, tc := range map[string]struct {
		// nth is what became of the n-th child, from 1.
		nth    func(n int) outcome
		tries  int
		reason api.FailureReason
		says   string
	}{
		"the same words": {func(int) outcome { return said("", "the filters cannot be built") },
			2, api.FailureReasonIngestFailed, "the filters cannot be built"},
		"the same words, but for numbers": {func(n int) outcome {
			return said("", fmt.Sprintf("[aac @ 0x7f%x] no room at %d.5 s", n, n))
		}, 2,
			api.FailureReasonIngestFailed, "0x7f2"},
		"the source, in any words": {func(n int) outcome {
			return said(api.FailureReasonSourceCorrupt, strings.Repeat("x", n))
		}, 2, api.FailureReasonSourceCorrupt, "xx"},
		"the same words after new units": {func(n int) outcome {
			o := said("", "cut off")
			if n < 5 {
				o.registered = 3
			}
			return o
		}, 5, api.FailureReasonIngestFailed, "cut off"},
		"a crash in between": {func(n int) outcome {
			if n%2 == 0 {
				return outcome{}
			}
			return said("", "cut off")
		}, 21, api.FailureReasonIngestFailed, "died 21 times"},
		"without a word": {func(int) outcome {
			return outcome{}
		}, 21, api.FailureReasonIngestFailed, "signal: killed"},
		"somebody is away": {func(int) outcome {
			return passing("")
		}, 21, api.FailureReasonIngestFailed, "nobody answers"},
		"the source is away": {func(int) outcome { return passing(api.FailureReasonSourceUnreachable) },
			3, api.FailureReasonSourceUnreachable, "nobody answers"},
		"other words each time": {func(n int) outcome {
			return said("", strings.Repeat("x", n))
		}, 21, api.FailureReasonIngestFailed, "died 21 times"},
		"a source that comes back": {func(n int) outcome {
			if n == 2 {
				return outcome{registered: 1,
					last: report{Reason: api.FailureReasonSourceUnreachable, Error: "reset", Passing: true}}
			}
			return passing(api.FailureReasonSourceUnreachable)
		}, 4, api.FailureReasonSourceUnreachable, "nobody answers"},
	} {
		t.Run(name, func(t *testing.T) {
			var all tries
			for n := 1; n <= 100; n++ {
				why := all.after(tc.nth(n), errors.New("signal: killed"))
				if why == nil {
					continue
				}
				if n != tc.tries || why.Reason != tc.reason || !strings.Contains(why.Error(), tc.says) {
					t.Errorf("after %d tries: %s: %v; want %d tries, %s with %q", n, why.Reason, why, tc.tries, tc.reason, tc.says)
				}
				return
			}
			t.Error("it is tried without end")
		})
	}
}

// What the child says of an error tells its supervisor whether it passes.
func TestReporterTellsWhatPasses(t *testing.T) {
	killed := exec.Command("/bin/sh", "-c", "kill -9 $$").Run()
	c, err := client.New(client.Options{BaseURL: "http://127.0.0.1:1", RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, away := c.Ingest(t.Context(), "x")
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"the data plane does not answer": {away, true},
		"it is not available": {
			&client.Error{Problem: api.Problem{Code: api.ProblemCodeUnavailable, Status: 503}}, true,
		},
		"it refuses the token": {&client.Error{Problem: api.Problem{Code: api.ProblemCodeUnauthenticated,
			Status: 401}}, true},
		"it refuses the unit":   {&client.Error{Problem: api.Problem{Code: api.ProblemCodeInvalid, Status: 400}}, false},
		"the bucket is away":    {presigned.Away(&net.OpError{Op: "dial", Err: errors.New("refused")}), true},
		"the source is away":    {classify(&ffmpeg.Error{Kind: ffmpeg.ErrUnreachable}), true},
		"the connection broke":  {classify(fmt.Errorf("%w: reset", ingest.ErrBroken)), true},
		"the source is damaged": {classify(&ffmpeg.Error{Kind: ffmpeg.ErrCorrupt}), false},
		"FFmpeg was killed":     {&ffmpeg.Error{Cause: killed}, true},
		"anything else":         {errors.New("disk on fire"), false},
	} {
		var line bytes.Buffer
		NewReporter(&line).Failed(tc.err)
		var got report
		if err := json.Unmarshal(line.Bytes(), &got); err != nil || got.Passing != tc.want {
			t.Errorf("%s: %s, want passing %t", name, line.String(), tc.want)
		}
	}
}
