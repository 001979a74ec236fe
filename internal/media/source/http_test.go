// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// quick are limits for tests.
var quick = limits{
	silence: 10 * time.Second,
	pauses:  []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond},
}

// server gives a file and breaks each answer after some bytes.
type server struct {
	data []byte
	// breaks, if not 0, is after how many bytes a connection breaks.
	breaks int
	// ranges: requests for parts are answered. bare: no length is told.
	ranges, bare bool
	// status, if not 0, is what the n-th request and those behind it get.
	status, from int
	// silent: after the break nothing comes, and the connection stays.
	silent bool

	requests, sent atomic.Int64
}

// ServeHTTP answers as the fields say.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	if s.status != 0 && int(n) >= s.from {
		w.WriteHeader(s.status)
		return
	}
	data, status := s.data, http.StatusOK
	if first, last, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"); ok && s.ranges {
		from, _ := strconv.Atoi(first)
		to := len(data) - 1
		if v, err := strconv.Atoi(last); err == nil {
			to = min(v, to)
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
		data, status = data[from:to+1], http.StatusPartialContent
	}
	if !s.bare {
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	}
	w.WriteHeader(status)
	end := len(data)
	if s.breaks > 0 {
		end = min(end, s.breaks)
	}
	for at := 0; at < end; at += 4096 {
		k, err := w.Write(data[at:min(at+4096, end)])
		s.sent.Add(int64(k))
		if err != nil {
			return
		}
	}
	if end < len(data) {
		w.(http.Flusher).Flush()
		if s.silent {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}
}

func (s *server) start(t *testing.T) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(s)
	// What the kernel holds back would be counted as read.
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := c.(*net.TCPConn).SetWriteBuffer(16 << 10); err != nil {
			t.Error(err)
		}
		return ctx
	}
	srv.Start()
	t.Cleanup(srv.CloseClientConnections)
	t.Cleanup(srv.Close)
	return srv.URL + "/a.ts?signature=SECRET"
}

func TestHTTP(t *testing.T) {
	data := film{codec: "mpeg2", seconds: 4, start: 5}.bytes(t)
	for len(data) < 1<<20 {
		data = append(data, data...)
	}
	cases := []struct {
		name   string
		server *server
	}{
		{"whole", &server{ranges: true}},
		{"no ranges", &server{}},
		{"no length", &server{bare: true}},
		{"connections break", &server{ranges: true, breaks: 300_000}},
		{"connections break, no length", &server{ranges: true, breaks: 300_000, bare: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.server.data = data
			r, err := openHTTP(t.Context(), c.server.start(t), quick, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
			}
		})
	}
}

// TestHTTPResumeWithoutRanges: the server sends all again, and what was read is
// skipped.
func TestHTTPResumeWithoutRanges(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdefg"), 50_000)
	s := &server{data: data, breaks: 300_000}
	url := s.start(t)
	r, err := openHTTP(t.Context(), url, quick, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, 250_000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	s.breaks = 0
	rest, err := io.ReadAll(r)
	if got := append(head, rest...); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
	}
}

func TestHTTPErrors(t *testing.T) {
	data := bytes.Repeat([]byte{syncByte, 1}, 200_000)
	cases := []struct {
		name   string
		server *server
		want   error
	}{
		{"missing", &server{status: 404}, ffmpeg.ErrNotFound},
		{"forbidden", &server{status: 403}, ffmpeg.ErrForbidden},
		{"not signed", &server{status: 401}, ffmpeg.ErrForbidden},
		{"broken", &server{status: 500}, ffmpeg.ErrUnreachable},
		{"empty", &server{}, ffmpeg.ErrEmpty},
		{"empty, ranges", &server{status: 416}, ffmpeg.ErrEmpty},
		{"always breaks", &server{data: data, breaks: 100_000}, ffmpeg.ErrUnreachable},
		{"forbidden later", &server{data: data, breaks: 100_000, ranges: true, status: 403, from: 2}, ffmpeg.ErrForbidden},
	}
	for _, c := range cases {
		url := c.server.start(t)
		s, err := open(t.Context(), url, Options{}, quick)
		if err == nil {
			var in io.ReadCloser
			if in, err = s.reader(t.Context(), 0); err == nil {
				_, err = io.Copy(io.Discard, in)
				in.Close()
			}
		}
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: the signature is in the error: %v", c.name, err)
		}
	}
	_, err := open(t.Context(), "http://127.0.0.1:1/a?signature=SECRET", Options{}, quick)
	if !errors.Is(err, ffmpeg.ErrUnreachable) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("refused: %v", err)
	}
}

// TestHTTPFeedsFFmpeg: FFmpeg notices nothing of connections that break, and
// is told where they break for good.
func TestHTTPFeedsFFmpeg(t *testing.T) {
	data := film{codec: "mpeg2", seconds: 4, start: 5}.bytes(t)
	for _, ranges := range []bool{true, false} {
		s := &server{data: data, breaks: sniffBytes + 10, ranges: ranges}
		src, err := open(t.Context(), s.start(t), Options{}, quick)
		if err != nil {
			t.Fatal(err)
		}
		args, in, err := src.Input(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		out, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Stdin: in,
			Args: append(args, "-map", "0:v", "-f", "framecrc", "pipe:1")})
		lines := strings.Count(string(out), "\n0,")
		if ranges && (err != nil || lines != 100) || !ranges && !errors.Is(err, ffmpeg.ErrUnreachable) {
			t.Errorf("ranges %t: %d pictures, %v", ranges, lines, err)
		}
	}
}

func TestHTTPSWithoutATrustedCertificate(t *testing.T) {
	srv := httptest.NewTLSServer(&server{data: make([]byte, 1000)})
	defer srv.Close()
	_, err := open(t.Context(), srv.URL+"/a?signature=SECRET", Options{}, usualLimits)
	if !errors.Is(err, ffmpeg.ErrUnreachable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
}

func TestHTTPSilence(t *testing.T) {
	s := &server{data: make([]byte, 400_000), breaks: 100_000, ranges: true, silent: true}
	impatient := limits{silence: 300 * time.Millisecond, pauses: quick.pauses}
	r, err := openHTTP(t.Context(), s.start(t), impatient, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	// Each silence ends a connection, and the next goes on.
	if n, err := io.Copy(io.Discard, r); err != nil || n != 400_000 || s.requests.Load() != 4 {
		t.Errorf("%d bytes in %d requests, %v", n, s.requests.Load(), err)
	}

	s.breaks = 1
	s.ranges = false
	r, err = openHTTP(t.Context(), s.start(t), impatient, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	if !errors.Is(err, ffmpeg.ErrUnreachable) || !strings.Contains(err.Error(), "nothing came") {
		t.Errorf("silence: %v", err)
	}
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	s := &server{data: make([]byte, 400_000), breaks: 100_000, silent: true}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := openHTTP(ctx, s.start(t), usualLimits, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestHTTPReadsNoMoreThanIsNeeded: FFmpeg reads a part, and little more is fetched.
func TestHTTPReadsNoMoreThanIsNeeded(t *testing.T) {
	data := film{codec: "mpeg2", seconds: 4, start: 5}.bytes(t)
	for len(data) < 16<<20 {
		data = append(data, data...)
	}
	for _, ranges := range []bool{true, false} {
		s := &server{data: data, ranges: ranges}
		src, err := open(t.Context(), s.start(t), Options{}, quick)
		if err != nil {
			t.Fatal(err)
		}
		opened := s.sent.Load()
		if most := int64(sniffBytes); ranges && opened > most || opened > 400<<10 {
			t.Errorf("ranges %t: opening took %d bytes", ranges, opened)
		}
		_, in, err := src.Input(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(in, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		if n := s.sent.Load() - opened; n < 1<<20 || n > 1<<20+256<<10 {
			t.Errorf("ranges %t: %d bytes were sent for 1 MiB", ranges, n)
		}
		in.Close()
	}
}
