// SPDX-License-Identifier: Apache-2.0

package unitcache

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

type store struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[string]int
}

func newStore(t *testing.T) *store {
	s := &store{calls: map[string]int{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls[r.URL.Path]++
		n := s.calls[r.URL.Path]
		s.mu.Unlock()
		switch {
		case r.URL.Path == "/missing":
			http.NotFound(w, r)
		case r.URL.Path == "/torn" && n == 1:
			// The connection breaks: fewer bytes than announced.
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("half"))
		case r.URL.Path == "/slow":
			<-r.Context().Done()
		case r.URL.Path == "/away", r.URL.Path == "/busy" && n < 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = w.Write([]byte(strings.Repeat(r.URL.Path[1:2], 100)))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *store) refs(names ...string) []api.UnitRef {
	var out []api.UnitRef
	for _, n := range names {
		out = append(out, api.UnitRef{Key: n, URL: s.URL + "/" + n + "?signature=secret"})
	}
	return out
}

func (s *store) asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls["/"+name]
}

func newCache(t *testing.T, room int64) (*Cache, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "units")
	c, err := New(dir, room)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func get(t *testing.T, c *Cache, refs []api.UnitRef) func() {
	t.Helper()
	paths, release, err := c.Get(t.Context(), refs)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil || len(b) != 100 || b[0] != refs[i].Key[0] {
			t.Fatalf("unit %s: %q, %v", refs[i].Key, b, err)
		}
	}
	return release
}

func TestFetchesOnce(t *testing.T) {
	s := newStore(t)
	c, _ := newCache(t, 1000)
	get(t, c, s.refs("a", "b", "c", "a"))()
	get(t, c, s.refs("b", "c"))()
	for _, n := range []string{"a", "b", "c"} {
		if s.asked(n) != 1 {
			t.Errorf("%s was fetched %d times", n, s.asked(n))
		}
	}
}

func TestDropsTheLeastRecentButNotWhatIsRead(t *testing.T) {
	s := newStore(t)
	c, dir := newCache(t, 250)
	release := get(t, c, s.refs("a"))
	get(t, c, s.refs("b", "c"))()
	get(t, c, s.refs("d"))()
	release()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 2 {
		t.Fatalf("%d files are left, %v", len(files), err)
	}
	get(t, c, s.refs("a"))()
	get(t, c, s.refs("b"))()
	if s.asked("a") != 1 || s.asked("b") != 2 {
		t.Errorf("a was fetched %d times, b %d", s.asked("a"), s.asked("b"))
	}
}

func TestRetriesTornAndBusy(t *testing.T) {
	s := newStore(t)
	c, _ := newCache(t, 1000)
	get(t, c, s.refs("torn", "busy"))()
	if s.asked("torn") != 2 || s.asked("busy") != 3 {
		t.Errorf("torn %d, busy %d", s.asked("torn"), s.asked("busy"))
	}
}

func TestMissingIsAnErrorWithoutSecrets(t *testing.T) {
	s := newStore(t)
	c, dir := newCache(t, 1000)
	_, _, err := c.Get(t.Context(), s.refs("a", "missing"))
	if err == nil || !strings.Contains(err.Error(), "404") || strings.Contains(err.Error(), "secret") ||
		s.asked("missing") != 1 || errors.Is(err, presigned.ErrAway) {
		t.Fatalf("err = %v, asked %d times", err, s.asked("missing"))
	}
	s.Close()
	_, _, err = c.Get(t.Context(), s.refs("z"))
	if !errors.Is(err, presigned.ErrAway) || strings.Contains(err.Error(), "secret") {
		t.Fatalf("err = %v", err)
	}
	if parts, _ := filepath.Glob(dir + "/*.part"); len(parts) > 0 {
		t.Errorf("left behind: %v", parts)
	}
}

// That the disk is full, or a plugin filled it, is no fault of the store.
func TestBlamesTheStoreOnlyForWhatItDoes(t *testing.T) {
	s := newStore(t)
	c, dir := newCache(t, 1000)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Get(t.Context(), s.refs("a")); err == nil || errors.Is(err, presigned.ErrAway) {
		t.Errorf("no folder: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Get(t.Context(), s.refs("away")); !errors.Is(err, presigned.ErrAway) || s.asked("away") != attempts {
		t.Errorf("a store that is overloaded for long: %v, asked %d times", err, s.asked("away"))
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("timed out"))
	defer cancel()
	if _, _, err := c.Get(ctx, s.refs("slow")); !errors.Is(err, presigned.ErrAway) {
		t.Errorf("a store that takes too long: %v", err)
	}
}

func TestEmptiesTheFolderOfAnEarlierProcess(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "units", "old.ts")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(filepath.Dir(old), 10); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("it is still there")
	}
}
