// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// reach counts which bytes of a file were sent, and how far into it.
type reach struct {
	mu   sync.Mutex
	sent map[int64]bool
}

const reachBlock = 64 << 10

func (r *reach) note(from, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for b := from / reachBlock; b <= (from+n-1)/reachBlock; b++ {
		r.sent[b] = true
	}
}

func (r *reach) bytes() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.sent)) * reachBlock
}

// countingFile is a file that notes what of it is read.
type countingFile struct {
	*strings.Reader
	reach *reach
}

// Read implements io.Reader. It gives some six seconds of media a second: what
// comes faster than it is read would wait in the kernel, read by nobody.
func (f countingFile) Read(p []byte) (int, error) {
	p = p[:min(len(p), 32<<10)]
	time.Sleep(5 * time.Millisecond)
	at := f.Size() - int64(f.Len())
	n, err := f.Reader.Read(p)
	if n > 0 {
		f.reach.note(at, int64(n))
	}
	return n, err
}

// firstOnly ends a run at its first unit.
type firstOnly struct{ Folder }

var errFirst = errors.New("the first unit is stored")

// Unit implements Sink.
func (f *firstOnly) Unit(context.Context, Unit) error { return errFirst }

// TestReadsLittleBeforeTheFirstUnit serves films of one second a megabyte, and
// counts what has left the server when the first unit is stored: its index and
// twelve seconds of media, at most.
func TestReadsLittleBeforeTheFirstUnit(t *testing.T) {
	const seconds, second = 90, 1 << 20
	m := generate(t, match.Options{Seconds: seconds, Rate: rate25, Seed: 31, AudioTracks: 1, GOPFrames: 25})
	fill := []string{"-map", "0", "-c:a", "copy", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-b:v",
		"8M", "-minrate", "8M", "-maxrate", "8M", "-bufsize", "2M", "-x264-params", "nal-hrd=cbr:filler=1"}
	for _, name := range []string{"x.mp4", "x.ts", "x.mkv"} {
		t.Run(name, func(t *testing.T) {
			path := convert(t, m.Path, name, append(fill, "-movflags", "+faststart")...)
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(body) < seconds*second*8/10 {
				t.Fatalf("the film has %d bytes", len(body))
			}
			r := &reach{sent: map[int64]bool{}}
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				http.ServeContent(w, req, name, time.Unix(0, 0), countingFile{strings.NewReader(string(body)), r})
			}))
			// What waits in the kernel has not been read by anybody.
			srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
				_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
				return ctx
			}
			srv.Start()
			defer srv.Close()
			url := srv.URL + "/" + filepath.Base(path)
			c := config(t, url, probe.Copy)
			if err := Run(t.Context(), c, &firstOnly{Folder{Dir: t.TempDir()}}); !errors.Is(err, errFirst) {
				t.Fatalf("got %v", err)
			}
			const index = 1 << 20
			if got := r.bytes(); got > 12*second+index {
				t.Errorf("%d bytes were read before the first unit, of %d a second", got, second)
			} else {
				t.Logf("%.1f s of media were read before the first unit", float64(got)/second)
			}
		})
	}
}
