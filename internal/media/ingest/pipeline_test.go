// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// TestSourceThatIsGone is taken away between the look at it and its ingest:
// nothing stays open or runs on.
func TestSourceThatIsGone(t *testing.T) {
	m := generate(t, match.Options{Seconds: 6, Rate: rate25, Seed: 22, AudioTracks: 1, GOPFrames: 25})
	path := convert(t, m.Path, "x.ts", "-map", "0", "-c:v", "copy", "-c:a", "ac3")
	var gone atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone.Load() {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusNotFound)
			return
		}
		http.ServeFile(w, r, path)
	}))
	defer srv.Close()
	for _, mezzanine := range []bool{false, true} {
		gone.Store(false)
		c := config(t, srv.URL+"/x.ts", probe.Copy)
		if mezzanine {
			c.Info.Options.Mezzanine = true
			c.Decision = probe.Decide(c.Info)
		}
		gone.Store(true)
		srv.CloseClientConnections()
		try := func() {
			if err := Run(t.Context(), c, &Folder{Dir: t.TempDir()}); !errors.Is(err, ffmpeg.ErrNotFound) {
				t.Fatalf("got %v", err)
			}
		}
		try()
		before := openPipes(t)
		try()
		if after := openPipes(t); after > before {
			t.Errorf("%d ends of pipes stay open", after-before)
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if strings.Contains(string(stacks), "(*track)") {
			t.Errorf("a track still runs: %s", stacks)
		}
	}
}

// TestBrokenConnection tells a connection that was lost from one that was made again.
func TestBrokenConnection(t *testing.T) {
	again := "[https @ 0x1] [warning] Will reconnect at 100 in 1 second(s), error=Connection reset by peer.\n"
	damage := "[h264 @ 0x2] [error] error while decoding MB 1 2\n"
	lost := "[error] https://example.org/x.mp4?REDACTED: Input/output error\n"
	for _, c := range []struct {
		said   string
		broken bool
	}{{"", false}, {again, false}, {again + damage, false}, {again + lost + damage, true}} {
		p := &pipeline{said: c.said}
		if err := p.broken(); errors.Is(err, ErrBroken) != c.broken ||
			c.broken && !strings.HasSuffix(err.Error(), strings.TrimSpace(lost)) {
			t.Errorf("%q: got %v", c.said, err)
		}
	}
}

// openPipes counts this process's ends of pipes.
func openPipes(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range list {
		// A file that was closed meanwhile is none.
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}
