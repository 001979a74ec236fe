// SPDX-License-Identifier: Apache-2.0

package chunkfile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/internal/unitcache"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// bucket serves units, and counts how often.
type bucket struct {
	*httptest.Server
	gets  atomic.Int64
	serve http.Handler
}

func serve(t *testing.T, h http.Handler) *bucket {
	b := &bucket{serve: h}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.gets.Add(1)
		b.serve.ServeHTTP(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

// names serves each unit's name as its bytes.
var names = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })

func store(t *testing.T, dir string) *Store {
	t.Helper()
	units, err := unitcache.New(filepath.Join(t.TempDir(), "units"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(dir, units)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bucket) chunk(number int64, keys ...string) api.ChunkMedia {
	m := api.ChunkMedia{Chunk: api.ChunkExtent{Number: number}}
	for _, k := range keys {
		m.Units = append(m.Units, api.UnitRef{Key: k, URL: b.URL + "/" + k})
	}
	return m
}

var event = api.PlanEvent{Program: "Cup Final/é", Name: "semi_1"}

func folders(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "-")
		out = append(out, number)
	}
	return out
}

func TestOneFileOfAllUnits(t *testing.T) {
	dir := t.TempDir()
	b, s := serve(t, names), store(t, dir)
	m, release, err := s.Get(t.Context(), event, b.chunk(7, "a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if m.Name != "Cup-Final--_semi_1_1_00007.ts" || filepath.Base(m.Path) != m.Name ||
		filepath.Dir(filepath.Dir(m.Path)) != dir || m.Bytes != 6 {
		t.Errorf("media %+v", m)
	}
	if got, err := os.ReadFile(m.Path); string(got) != "/a/b/c" {
		t.Errorf("file %q, %v", got, err)
	}
}

func TestNoMedia(t *testing.T) {
	m, release, err := store(t, t.TempDir()).Get(t.Context(), event, api.ChunkMedia{})
	if m != nil || err != nil {
		t.Errorf("got %v, %v", m, err)
	}
	release()
}

// Many plugins ask for the same chunk at the same time: it is fetched once.
func TestFetchedOnce(t *testing.T) {
	b, s := serve(t, names), store(t, t.TempDir())
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			m, release, err := s.Get(t.Context(), event, b.chunk(1, "a", "b"))
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			if got, _ := os.ReadFile(m.Path); string(got) != "/a/b" {
				t.Errorf("file %q", got)
			}
		})
	}
	wg.Wait()
	if n := b.gets.Load(); n != 2 {
		t.Errorf("fetched %d units, want 2", n)
	}
}

// The last two chunks stay, and what is in use.
func TestWhatStays(t *testing.T) {
	dir := t.TempDir()
	b, s := serve(t, names), store(t, dir)
	get := func(n int64, keys ...string) func() {
		_, release, err := s.Get(t.Context(), event, b.chunk(n, keys...))
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	held := get(1, "a")
	for n := int64(2); n <= 5; n++ {
		get(n, "b")()
	}
	if diff := cmp.Diff([]string{"00001", "00004", "00005"}, folders(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	held()
	get(4, "b")()
	get(6, "c")()
	if diff := cmp.Diff([]string{"00004", "00006"}, folders(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Late media makes another file of the same chunk.
	get(6, "c", "d")()
	if diff := cmp.Diff([]string{"00006", "00006"}, folders(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A folder that could not be removed goes later.
	s.stubborn = []string{filepath.Join(dir, "00004-stubborn"), s.chunks[1].folder}
	if err := os.MkdirAll(filepath.Join(s.stubborn[0], "frames"), 0o755); err != nil {
		t.Fatal(err)
	}
	get(6, "c", "d")()
	if diff := cmp.Diff([]string{"00006", "00006"}, folders(t, dir)); diff != "" || len(s.stubborn) > 0 {
		t.Errorf("%v is left (-want +got):\n%s", s.stubborn, diff)
	}
	store(t, dir)
	if left := folders(t, dir); left != nil {
		t.Errorf("the next process finds %v", left)
	}
}

func TestFailureLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	b := serve(t, http.NotFoundHandler())
	s := store(t, dir)
	for range 2 {
		_, _, err := s.Get(t.Context(), event, b.chunk(3, "a"))
		if err == nil || !strings.Contains(err.Error(), "fetch chunk 3") {
			t.Errorf("got %v", err)
		}
	}
	if left := folders(t, dir); left != nil {
		t.Errorf("left %v", left)
	}
	b.serve = names
	if _, _, err := s.Get(t.Context(), event, b.chunk(3, "a")); err != nil {
		t.Errorf("after the store is well again: %v", err)
	}
}

// Who waits for a chunk is not hurt by the end of who fetches it.
func TestMakerGivesUp(t *testing.T) {
	s := store(t, t.TempDir())
	asked, goOn := make(chan struct{}, 10), make(chan struct{})
	b := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-goOn:
			names(w, r)
		case <-r.Context().Done():
		}
	}))
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	get := func(ctx context.Context, done chan error) {
		_, _, err := s.Get(ctx, event, b.chunk(1, "a"))
		done <- err
	}
	go get(ctx, first)
	<-asked
	go get(t.Context(), second)
	for s.users() != 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-first; err == nil {
		t.Error("the first did not give up")
	}
	close(goOn)
	if err := <-second; err != nil {
		t.Errorf("the second: %v", err)
	}
}

func (s *Store) users() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.chunks {
		n += c.users
	}
	return n
}

// The file is one TS: all frames, at their times, from units in a row in the middle of a match.
func TestDecodes(t *testing.T) {
	m, err := match.Generate(t.Context(),
		match.Options{Seconds: 40, Seed: 3, AudioTracks: 2, Rate: timeline.Rational{Num: 30000, Den: 1001}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := probe.Probe(t.Context(), m.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	folder := &ingest.Folder{Dir: dir}
	if err := ingest.Run(t.Context(), ingest.Config{URL: m.Path, Info: info,
		Decision: probe.Decide(info), ChunkSeconds: 20}, folder); err != nil {
		t.Fatal(err)
	}
	if len(folder.Units) < 4 {
		t.Fatalf("%d units", len(folder.Units))
	}
	b := serve(t, http.FileServer(http.Dir(dir)))
	media := b.chunk(2)
	var frames int64
	units := folder.Units[1:4]
	for _, u := range units {
		name := filepath.Base(folder.Path(u.FirstTicks))
		media.Units = append(media.Units, api.UnitRef{Key: name, URL: b.URL + "/" + name, FirstTicks: u.FirstTicks,
			FirstFrame: u.FrameStart, Frames: u.Frames})
		frames += u.Frames
	}
	file, release, err := store(t, t.TempDir()).Get(t.Context(), event, media)
	if err != nil {
		t.Fatal(err)
	}
	defer release()

	stamps := stampsOf(t, file)
	if int64(len(stamps)) != frames {
		t.Fatalf("%d frames decode, want %d", len(stamps), frames)
	}
	for i, pts := range stamps {
		if want := folder.Clock.FrameStartTicks(units[0].FrameStart + int64(i)); pts-want > 1 || want-pts > 1 {
			t.Fatalf("frame %d is at %d, want %d", i, pts, want)
		}
	}
	// Players count from the earliest stream.
	out, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffprobe", Args: append(ffmpeg.Input(file.Path), "-of", "json",
		"-show_entries", "format=start_time:stream=start_time")})
	if err != nil {
		t.Fatal(err)
	}
	var starts struct {
		Format struct {
			Start string `json:"start_time"`
		}
		Streams []struct {
			Start string `json:"start_time"`
		}
	}
	if err := json.Unmarshal(out, &starts); err != nil || len(starts.Streams) != 3 {
		t.Fatalf("%s: %v", out, err)
	}
	first := starts.Streams[0].Start
	for _, s := range starts.Streams {
		first = min(first, s.Start)
	}
	if starts.Format.Start != first {
		t.Errorf("the file starts at %s, its earliest stream at %s", starts.Format.Start, first)
	}
}

// stampsOf decodes every frame, with no complaint allowed.
func stampsOf(t *testing.T, file *invocation.Media) []int64 {
	t.Helper()
	var out bytes.Buffer
	if err := ffmpeg.Run(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", StrictLog: true, Stdout: &out,
		Args: append([]string{"-copyts"}, append(ffmpeg.Input(file.Path),
			"-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "1:90000",
			"-f", "framecrc", "pipe:1")...)}); err != nil {
		t.Fatal(err)
	}
	var stamps []int64
	for line := range strings.Lines(out.String()) {
		var stream, dts, pts int64
		if _, err := fmt.Sscanf(line, "%d,%d,%d,", &stream, &dts, &pts); err == nil {
			stamps = append(stamps, pts)
		}
	}
	return stamps
}
