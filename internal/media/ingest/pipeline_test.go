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
		before := openFiles(t)
		try()
		if after := openFiles(t); after > before {
			t.Errorf("%d files stay open", after-before)
		}
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if strings.Contains(string(stacks), "(*track)") {
			t.Errorf("a track still runs: %s", stacks)
		}
	}
}

// openFiles counts this process's open files.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
