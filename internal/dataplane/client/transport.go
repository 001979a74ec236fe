// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxBody bounds what is read of an answer: the largest is a lease with the
// signals of its chunks.
const maxBody = 256 << 20

// transport sends a request with a fresh token and repeats it while that may
// help. It reads each answer whole, so that a connection that breaks in the
// middle of a body counts as a failed try.
type transport struct {
	http      *http.Client
	tokenFile string
	userAgent string
	retryFor  time.Duration
}

type attemptKey struct{}

// withAttempt sets how long one try of a call may take.
func withAttempt(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, attemptKey{}, d)
}

// Do implements api.HttpRequestDoer. An answer of 400 and above is an *Error.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	try := func() (*http.Response, error) {
		resp, body, err := t.once(req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 400 {
			err := refusal(resp, body)
			if !Temporary(err) {
				return nil, backoff.Permanent(err)
			}
			return nil, err
		}
		return resp, nil
	}
	steps := backoff.NewExponentialBackOff()
	steps.InitialInterval, steps.MaxInterval = 100*time.Millisecond, 3*time.Second
	opts := []backoff.RetryOption{backoff.WithBackOff(steps), backoff.WithMaxElapsedTime(t.retryFor)}
	if t.retryFor < 0 {
		opts = []backoff.RetryOption{backoff.WithMaxTries(1)}
	}
	resp, err := backoff.Retry(ctx, try, opts...)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return resp, err
}

func (t *transport) once(req *http.Request) (*http.Response, []byte, error) {
	limit, ok := req.Context().Value(attemptKey{}).(time.Duration)
	if !ok {
		limit = attemptTimeout
	}
	ctx, cancel := context.WithTimeout(req.Context(), limit)
	defer cancel()

	r := req.Clone(ctx)
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, nil, backoff.Permanent(fmt.Errorf("repeat the request's body: %w", err))
		}
		r.Body = body
	}
	r.Header.Set("User-Agent", t.userAgent)
	if t.tokenFile != "" {
		token, err := os.ReadFile(t.tokenFile)
		if err != nil {
			return nil, nil, fmt.Errorf("read the data plane token (is the projected volume mounted?): %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	resp, err := t.http.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the data plane's answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, nil, backoff.Permanent(fmt.Errorf("the data plane's answer is larger than %d MiB", maxBody>>20))
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, body, nil
}
