// SPDX-License-Identifier: Apache-2.0

package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

func TestRedact(t *testing.T) {
	cases := []struct{ in, want string }{
		{"https://b.s3/x.mp4?X-Amz-Signature=abc: Server returned 404", "https://b.s3/x.mp4?REDACTED: Server returned 404"},
		{"rtmp://user:pw@host/live/key", "rtmp://host/live/key?REDACTED"},
		{"[https @ 0x1] 'http://h/p'", "[https @ 0x1] 'http://h/p'"},
		{"http://%zz", "http://REDACTED"},
		{"plain: text", "plain: text"},
	}
	for _, c := range cases {
		if got := Redact(c.in); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// TestLongWords keeps no half of a URL, wherever what a program says is cut.
func TestLongWords(t *testing.T) {
	line := "[warning] https://example.org/x.mp4?sig=" + strings.Repeat("SECRET", 20) + " is slow\n"
	for n := range 200 {
		var tail tailBuffer
		said := strings.Repeat("x", n) + "\n" + strings.Repeat(line, n)
		if _, err := io.Copy(&tail, iotest.HalfReader(strings.NewReader(said))); err != nil {
			t.Fatal(err)
		}
		if got := Redact(tail.String()); strings.Contains(got, "SECRET") || n > 0 && !strings.HasSuffix(got, "is slow\n") {
			t.Fatalf("after %d lines: %s", n, got)
		}
	}
}

// TestInputThatBreaksOff does not make damage of the source out of an input
// whose end did not come.
func TestInputThatBreaksOff(t *testing.T) {
	in := io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(ErrUnreachable))
	err := Run(t.Context(), Cmd{Tool: "ffmpeg",
		Args: []string{"-f", "mpegts", "-i", "pipe:0", "-f", "null", "-"}, Stdin: in})
	if said, ok := errors.AsType[*Error](err); !errors.Is(err, ErrUnreachable) || ok {
		t.Errorf("got %v, %+v", err, said)
	}
}

func TestKinds(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/forbidden":
			w.WriteHeader(http.StatusForbidden)
		case "/broken":
			_, _ = w.Write(bytes.Repeat([]byte("no media "), 4000))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer srv.Close()
	cases := []struct {
		source string
		want   error
	}{
		{srv.URL + "/missing?sig=SECRET", ErrNotFound},
		{srv.URL + "/forbidden?sig=SECRET", ErrForbidden},
		{srv.URL + "/broken?sig=SECRET", ErrCorrupt},
		{"http://127.0.0.1:1/x?sig=SECRET", ErrUnreachable},
		{filepath.Join(t.TempDir(), "none.mp4"), ErrNotFound},
	}
	for _, c := range cases {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := Run(ctx, Cmd{Tool: "ffprobe", Args: Input(c.source)})
		cancel()
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want kind %v", c.source, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: the signature is in the error: %v", c.source, err)
		}
	}
}

// film is a generated MP4 with its index at the end.
func film(t *testing.T, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "film.mp4")
	all := append([]string{"-f", "lavfi", "-i", "testsrc=s=64x64:r=25:d=4", "-f", "lavfi", "-i", "anoisesrc=d=4"}, args...)
	if err := Run(t.Context(), Cmd{Tool: "ffmpeg", Args: append(all, file)}); err != nil {
		t.Fatal(err)
	}
	return file
}

// An index at the end of the file needs a server that can seek. FFmpeg itself takes such a file for an empty one, and
// ends well.
func TestServerThatCannotSeek(t *testing.T) {
	// Longer than what FFmpeg keeps to go back in.
	file := film(t, "-vf", "scale=320:180,noise=alls=60:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/whole": // whatever part is asked for
			_, _ = w.Write(body)
		case "/flushed": // and of a length that nobody knows
			w.(http.Flusher).Flush()
			_, _ = w.Write(body)
		case "/cut": // parts of a file that is cut off
			http.ServeContent(w, r, "film.mp4", time.Time{}, bytes.NewReader(body[:len(body)/2]))
		default:
			http.ServeFile(w, r, file)
		}
	}))
	defer srv.Close()
	for path, want := range map[string]error{"/whole": ErrNotSeekable,
		"/flushed": ErrNotSeekable, "/cut": ErrCorrupt, "/parts": nil} {
		for _, codec := range []string{"copy", "mpeg2video"} {
			args := append(Input(srv.URL+path+"?sig=SECRET"), "-map", "0:v", "-c", codec, "-f", "mpegts", "pipe:1")
			_, err := Output(t.Context(), Cmd{Tool: "ffmpeg", Args: args})
			if !errors.Is(err, want) {
				t.Errorf("%s, %s: %v, want %v", path, codec, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%s: the signature is in the error: %v", path, err)
			}
		}
	}
}

// What cannot be decoded or converted is neither damaged nor a fault of FFmpeg's, and it is the same the next time.
func TestStreamsThatCannotBeUsed(t *testing.T) {
	whole, err := os.ReadFile(film(t, "-c:v", "libx264", "-c:a", "aac"))
	if err != nil {
		t.Fatal(err)
	}
	unknown := filepath.Join(t.TempDir(), "apac.mp4")
	if err := os.WriteFile(unknown, bytes.ReplaceAll(bytes.ReplaceAll(whole, []byte("mp4a"), []byte("apac")),
		[]byte("esds"), []byte("free")), 0o600); err != nil {
		t.Fatal(err)
	}
	discrete := filepath.Join(t.TempDir(), "discrete.mov")
	if err := Run(t.Context(), Cmd{Tool: "ffmpeg",
		Args: []string{"-f", "lavfi", "-i", "aevalsrc=0|0|0|0|0|0|0|0|0|0:d=1", "-c:a", "pcm_s16le", discrete}}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]error{unknown: ErrNoDecoder, discrete: ErrNotConvertible} {
		err := Run(t.Context(), Cmd{Tool: "ffmpeg",
			Args: append(Input(file), "-map", "0:a", "-ac", "2", "-c:a", "aac", "-f", "null", "-")})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", filepath.Base(file), err, want)
		}
	}
}

func TestContextKills(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := Run(ctx, Cmd{Tool: "ffmpeg", Args: []string{"-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"}})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %s", err, time.Since(start))
	}
}

func TestExtraInputs(t *testing.T) {
	pcm := func() *bytes.Reader { return bytes.NewReader(make([]byte, 96000)) }
	out, err := Output(t.Context(), Cmd{Tool: "ffmpeg", Stdin: pcm(), Inputs: []io.Reader{pcm()}, Args: []string{
		"-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "pipe:0", "-f", "s16le", "-ar", "48000", "-ac", "1", "-i", "pipe:3",
		"-filter_complex", "[0][1]concat=n=2:v=0:a=1", "-f", "s16le", "pipe:1"}})
	if err != nil || len(out) != 2*96000 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// TestNoOrphan kills a process that runs ffmpeg through this package with
// SIGKILL and expects the ffmpeg to die with it.
func TestNoOrphan(t *testing.T) {
	if os.Getenv("MRE_TEST_ORPHAN") != "" {
		_ = Run(t.Context(), Cmd{Tool: "ffmpeg", Args: []string{"-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"},
			Inputs: []io.Reader{strings.NewReader("")}})
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoOrphan$")
	cmd.Env = append(os.Environ(), "MRE_TEST_ORPHAN=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := waitChild(t, cmd.Process.Pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for range 100 {
		if err := syscall.Kill(child, 0); errors.Is(err, syscall.ESRCH) || isZombie(child) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Kill(child, syscall.SIGKILL)
	t.Errorf("ffmpeg %d outlived its parent", child)
}
