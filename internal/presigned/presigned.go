// SPDX-License-Identifier: Apache-2.0

// Package presigned writes and reads objects by presigned URLs. Writes are create-only.
package presigned

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

var (
	// ErrExists says that there is an object under the key already.
	ErrExists = errors.New("the object exists already")
	// ErrAway says that the object store does not answer, or not in time, or that it cannot serve now: no fault of the
	// object or of whoever wants it.
	ErrAway = errors.New("the object store is away")
)

// Away marks an error of the transport, without the signature that it may quote.
func Away(err error) error { return fmt.Errorf("%w: %s", ErrAway, ffmpeg.Redact(err.Error())) }

// InTime marks the error of a call that was cut off with its context: the store had not done it in time.
func InTime(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ErrAway) {
		return err
	}
	return fmt.Errorf("%w: not done in time: %w", ErrAway, err)
}

// awayCodes are of a bucket that is gone, and of keys that are not good for it: both are mended where the data plane's
// bucket and Secret are, and no URL that it signs meanwhile is any better.
var awayCodes = []string{"NoSuchBucket", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}

// Refused is the error of an answer that is no success. It is worth a repeat with the same URL unless it is permanent.
func Refused(resp *http.Response, said []byte) error {
	code := codeOf(said)
	err := fmt.Errorf("the store answered %s", resp.Status)
	if code != "" {
		err = fmt.Errorf("%w (%s)", err, code)
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if slices.Contains(awayCodes, code) {
		err = fmt.Errorf("%w: %w", ErrAway, err)
	}
	return backoff.Permanent(err)
}

const (
	// retryFor bounds the tries of one upload; the caller's task bounds it too.
	retryFor = 2 * time.Minute
	// stall ends a try in which nothing is taken for so long.
	stall = 30 * time.Second
	// answerAfter is how long the store may think once it has all bytes.
	answerAfter = time.Minute
)

// Client is safe for use by many goroutines.
type Client struct{ http *http.Client }

// New makes a client that keeps its connections.
func New() *Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 8
	t.ResponseHeaderTimeout = answerAfter
	return &Client{http: &http.Client{Transport: t}}
}

// Put stores size bytes of body. It repeats itself while the store cannot be
// reached or answers 5xx. A second try may meet what the first one stored,
// which is ErrExists too: only the caller knows what that means.
func (c *Client) Put(ctx context.Context, to api.Upload, body io.ReaderAt, size int64) error {
	steps := backoff.NewExponentialBackOff()
	steps.InitialInterval, steps.MaxInterval = 200*time.Millisecond, 5*time.Second
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		return struct{}{}, c.once(ctx, to, body, size)
	}, backoff.WithBackOff(steps), backoff.WithMaxElapsedTime(retryFor))
	if err != nil {
		return fmt.Errorf("upload %s: %w", to.Key, InTime(ctx, err))
	}
	return nil
}

func (c *Client) once(ctx context.Context, to api.Upload, body io.ReaderAt, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("the store took nothing for %s", stall)) })
	defer watch.Stop()
	from := &touching{Reader: io.NewSectionReader(body, 0, size), watch: watch}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, to.URL, from)
	if err != nil {
		return backoff.Permanent(errors.New("the URL to upload to is not one"))
	}
	if req.ContentLength = size; size == 0 {
		req.Body = http.NoBody
	}
	for name, value := range to.Headers {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if broken := from.broken.Load(); broken != nil {
			return backoff.Permanent(fmt.Errorf("read what is uploaded: %w", *broken))
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return Away(err)
	}
	defer func() { _ = resp.Body.Close() }()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	switch {
	case resp.StatusCode < 300:
		return nil
	case resp.StatusCode == http.StatusPreconditionFailed:
		return backoff.Permanent(ErrExists)
	case resp.StatusCode == http.StatusConflict:
		// S3's answer to one of two racing create-only writes.
		return fmt.Errorf("%w: it answered %s", ErrAway, resp.Status)
	}
	return Refused(resp, said)
}

// Get reads an object of at most limit bytes from a presigned URL.
func (c *Client) Get(ctx context.Context, url string, limit int64) ([]byte, error) {
	steps := backoff.NewExponentialBackOff()
	steps.InitialInterval, steps.MaxInterval = 200*time.Millisecond, 5*time.Second
	body, err := backoff.Retry(ctx, func() ([]byte, error) { return c.read(ctx, url, limit) },
		backoff.WithBackOff(steps), backoff.WithMaxElapsedTime(retryFor))
	return body, InTime(ctx, err)
}

func (c *Client) read(ctx context.Context, url string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, backoff.Permanent(errors.New("the URL to read from is not one"))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, Away(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, Away(err)
	case resp.StatusCode == http.StatusOK && int64(len(body)) <= limit:
		return body, nil
	case resp.StatusCode == http.StatusOK:
		return nil, backoff.Permanent(fmt.Errorf("the object has more than %d bytes", limit))
	}
	return nil, Refused(resp, body)
}

// codeOf is the code in an S3 error document, such as AccessDenied; empty where there is none.
func codeOf(said []byte) string {
	var doc struct{ Code string }
	if xml.Unmarshal(said, &doc) != nil {
		return ""
	}
	return doc.Code
}

// touching puts the stall timer off while bytes go out. After the last byte
// the store may take its time.
type touching struct {
	io.Reader
	watch *time.Timer
	// broken is why there is no more to read, when that is not the end. The transport reads, and may do so yet.
	broken atomic.Pointer[error]
}

func (t *touching) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		t.watch.Stop()
	case err != nil:
		t.broken.Store(&err)
	default:
		t.watch.Reset(stall)
	}
	return n, err
}

// Close implements io.Closer: a request's body must not be wrapped again.
func (t *touching) Close() error { return nil }
