// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// limits are the times of network sources.
type limits struct {
	// silence is how long a server may send nothing.
	silence time.Duration
	// pauses are made before one try after another that brings no byte.
	pauses []time.Duration
}

var usualLimits = limits{
	silence: 30 * time.Second,
	pauses: []time.Duration{
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second},
}

const (
	// networkWindow bounds what the kernel reads ahead of us at first: the
	// start of a source is looked at more than once. Behind openWindow bytes
	// only speed counts.
	networkWindow = 128 << 10
	openWindow    = 32 << 20
)

// httpReader reads a URL from its start, and goes on where a connection broke.
type httpReader struct {
	ctx    context.Context
	cancel context.CancelFunc
	url    string
	limits limits
	// piece, if not 0, is how many bytes are asked for at once.
	piece int64

	client *http.Client
	conn   atomic.Pointer[net.TCPConn]
	body   io.ReadCloser
	at     int64
	// length is that of the whole, -1 while it is not known. tag names the version.
	length int64
	tag    string
	// skip is how much of an answer that begins at 0 was read before.
	skip  int64
	tries int
}

func openHTTP(ctx context.Context, source string, l limits, piece int64) (*httpReader, error) {
	r := &httpReader{url: source, limits: l, piece: piece, length: -1}
	r.ctx, r.cancel = context.WithCancel(ctx)
	dialer := &net.Dialer{Timeout: l.silence}
	r.client = &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if tcp, ok := c.(*net.TCPConn); ok {
				r.conn.Store(tcp)
				narrow(tcp, networkWindow)
			}
			return &impatientConn{Conn: c, silence: l.silence}, nil
		},
		TLSHandshakeTimeout: l.silence,
		// As the bytes are, or positions mean nothing.
		DisableCompression: true,
	}}
	if err := r.connect(); err != nil {
		r.cancel()
		return nil, err
	}
	return r, nil
}

// narrow bounds the bytes that the other side may send before they are read.
// Where the kernel does not know the option it reads ahead as it likes.
func narrow(c *net.TCPConn, window int) {
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_WINDOW_CLAMP, window)
		})
	}
}

// impatientConn ends a read to which nothing comes. The time in which nobody
// reads does not count.
type impatientConn struct {
	net.Conn
	silence time.Duration
}

// Read reads within the time.
func (c *impatientConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// Read goes on over broken connections.
func (r *httpReader) Read(p []byte) (int, error) {
	for {
		if r.body == nil {
			if r.length >= 0 && r.at >= r.length {
				return 0, io.EOF
			}
			if err := r.connect(); err != nil {
				return 0, err
			}
		}
		n, err := r.read(p)
		if n > 0 {
			return n, nil
		}
		if errors.Is(err, io.EOF) && r.skip == 0 && (r.length < 0 || r.at >= r.length) {
			return 0, io.EOF
		}
		if err == nil {
			continue
		}
		r.closeBody()
		if errors.Is(err, io.EOF) && r.piece > 0 && r.skip == 0 {
			continue // the next piece
		}
		if err := r.again(fmt.Errorf("the connection broke at byte %d: %w", r.at, err)); err != nil {
			return 0, err
		}
	}
}

// read reads from the answer that is open.
func (r *httpReader) read(p []byte) (int, error) {
	for r.skip > 0 {
		n, err := r.body.Read(p[:min(int64(len(p)), r.skip)])
		r.skip -= int64(n)
		if err != nil {
			return 0, err
		}
	}
	n, err := r.body.Read(p)
	if n > 0 {
		r.at += int64(n)
		r.tries = 0
	}
	if conn := r.conn.Load(); conn != nil && r.at > openWindow {
		r.conn.Store(nil)
		narrow(conn, 1<<30)
	}
	return n, err
}

// again waits before another try, or says why there is none.
func (r *httpReader) again(cause error) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.tries >= len(r.limits.pauses) {
		return fmt.Errorf("read %s: %w: %s (tried %d times)",
			ffmpeg.Redact(r.url), ffmpeg.ErrUnreachable, clean(cause), r.tries+1)
	}
	timer := time.NewTimer(r.limits.pauses[r.tries])
	defer timer.Stop()
	r.tries++
	select {
	case <-timer.C:
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// clean is an error's text without the URL that package http puts before it.
func clean(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "nothing came for too long: " + ffmpeg.Redact(err.Error())
	}
	return ffmpeg.Redact(err.Error())
}

// connect asks for the bytes from r.at on.
func (r *httpReader) connect() error {
	for {
		final, err := r.ask()
		if err == nil || final {
			return err
		}
		if err := r.again(err); err != nil {
			return err
		}
	}
}

// ask makes one request. An error that is final is for the caller as it is.
func (r *httpReader) ask() (final bool, err error) {
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return true, fmt.Errorf("%w: %s is no URL", ffmpeg.ErrUnreachable, ffmpeg.Redact(r.url))
	}
	switch {
	case r.piece > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.at, r.at+r.piece-1))
	case r.at > 0:
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.at))
	}
	resp, err := r.client.Do(req)
	if err != nil {
		if r.ctx.Err() != nil {
			return true, r.ctx.Err()
		}
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return true, fmt.Errorf("read %s: %w: %s", ffmpeg.Redact(r.url), ffmpeg.ErrUnreachable, clean(err))
		}
		return false, err
	}
	if final, err := r.accept(resp); err != nil {
		_ = resp.Body.Close()
		return final, err
	}
	r.body = resp.Body
	return true, nil
}

// accept looks at the head of an answer.
func (r *httpReader) accept(resp *http.Response) (final bool, err error) {
	fail := func(kind error) (bool, error) {
		return true, fmt.Errorf("read %s: %w: the server said %s", ffmpeg.Redact(r.url), kind, resp.Status)
	}
	switch s := resp.StatusCode; {
	case s == http.StatusOK:
		r.skip = r.at
		if resp.ContentLength >= 0 {
			r.length = resp.ContentLength
		}
	case s == http.StatusPartialContent:
		first, length, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || first > r.at {
			return true, fmt.Errorf("read %s: %w: the server sent other bytes than it was asked for",
				ffmpeg.Redact(r.url), ffmpeg.ErrUnreachable)
		}
		r.skip = r.at - first
		if length >= 0 {
			r.length = length
		}
	case s == http.StatusRequestedRangeNotSatisfiable && r.at == 0:
		return fail(ffmpeg.ErrEmpty)
	case s == http.StatusRequestedRangeNotSatisfiable:
		return fail(ffmpeg.ErrCorrupt)
	case s == http.StatusNotFound || s == http.StatusGone:
		return fail(ffmpeg.ErrNotFound)
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		return fail(ffmpeg.ErrForbidden)
	case s == http.StatusRequestTimeout || s == http.StatusTooManyRequests || s >= 500:
		return false, fmt.Errorf("the server said %s", resp.Status)
	default:
		return fail(ffmpeg.ErrUnreachable)
	}
	tag := resp.Header.Get("ETag")
	if r.at > 0 && tag != r.tag && tag != "" && r.tag != "" {
		return true, fmt.Errorf("read %s: %w: it was replaced while it was read", ffmpeg.Redact(r.url), ffmpeg.ErrCorrupt)
	}
	r.tag = tag
	return true, nil
}

// contentRange reads "bytes 100-199/1000".
func contentRange(s string) (first, length int64, ok bool) {
	span, whole, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	if !ok {
		return 0, 0, false
	}
	begin, _, _ := strings.Cut(span, "-")
	first, err := strconv.ParseInt(begin, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if length, err = strconv.ParseInt(whole, 10, 64); err != nil {
		length = -1
	}
	return first, length, true
}

func (r *httpReader) closeBody() {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
}

// Close ends the reading, also one that waits.
func (r *httpReader) Close() error {
	r.cancel()
	r.client.CloseIdleConnections()
	return nil
}
