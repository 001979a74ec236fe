// SPDX-License-Identifier: Apache-2.0

package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/ingest"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// A source that cannot be read ends in a reason, not in restarts.
func TestSourceFailures(t *testing.T) {
	dir := t.TempDir()
	m, err := match.Generate(t.Context(), match.Options{Seconds: 20, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, body []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("empty.mp4", nil)
	write("noise.mp4", []byte(strings.Repeat("this is not media. ", 5000)))
	write("cut-off.mp4", whole[:len(whole)/2])
	if out, err := exec.Command("ffmpeg", "-v", "error", "-i", m.Path, "-vn", "-c", "copy",
		filepath.Join(dir, "sound.mp4")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String() + "/x.mp4?token=secret"
	_ = closed.Close()
	forbidden := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(forbidden.Close)

	p := start(t)
	base := serve(t, dir)
	tests := map[string]struct {
		url    string
		reason api.FailureReason
	}{
		"not-found":      {base + "/none.mp4", api.FailureReasonSourceNotFound},
		"s3-not-found":   {p.bucket.Location("inputs/none.mp4"), api.FailureReasonSourceNotFound},
		"empty":          {base + "/empty.mp4", api.FailureReasonSourceEmpty},
		"noise":          {base + "/noise.mp4", api.FailureReasonSourceCorrupt},
		"no-video":       {base + "/sound.mp4", api.FailureReasonNoVideo},
		"nobody-listens": {nobody, api.FailureReasonSourceUnreachable},
		"forbidden":      {forbidden.URL + "/x.mp4", api.FailureReasonSourceUnreachable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := p.manager.PutPlan(t.Context(), name, plan(t, name, tt.url, 6)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := p.ingest(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			e, err := p.manager.Event(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if e.State != api.EventStateStateFailed || e.Reason == nil || *e.Reason != string(tt.reason) ||
				e.Message == nil || strings.Contains(*e.Message, "secret") {
				t.Fatalf("the Event is %s, %v, %v; want Failed with %s", e.State, deref(e.Reason), deref(e.Message), tt.reason)
			}
			if took := time.Since(began); took > 3*time.Minute {
				t.Errorf("it was tried for %s, as if the failure could pass", took)
			}
			t.Logf("%s: %s", *e.Reason, *e.Message)
		})
	}
	// What is there of a file that is cut off is ingested, and the Event says that there is no more.
	t.Run("cut-off", func(t *testing.T) {
		if _, err := p.manager.PutPlan(t.Context(), "cut-off", plan(t, "cut-off", base+"/cut-off.mp4", 6)); err != nil {
			t.Fatal(err)
		}
		if err := p.ingest(t.Context(), "cut-off"); err != nil {
			t.Fatal(err)
		}
		e, err := p.manager.Event(t.Context(), "cut-off")
		if err != nil {
			t.Fatal(err)
		}
		if e.State != api.EventStateStateDraining || e.Timeline == nil ||
			!strings.Contains(deref(e.Timeline.Incomplete), "is cut off after") {
			t.Fatalf("the Event is %s, its timeline %+v", e.State, e.Timeline)
		}
	})
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Killing the child or FFmpeg at any moment leaves the units of an undisturbed
// run: no gap, no twin.
func TestIngestSurvivesKills(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 60, Seed: 11})
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	// The source comes slowly, so that there is time to kill.
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(&throttled{ResponseWriter: w}, r, "match.mp4", time.Unix(0, 0), strings.NewReader(string(body)))
	}))
	t.Cleanup(slow.Close)
	p := start(t)
	units := map[string][]api.Unit{}
	for _, name := range []string{"calm", "killed"} {
		if _, err := p.manager.PutPlan(t.Context(), name, plan(t, name, slow.URL+"/match.mp4", 6)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		kills := make(chan int, 1)
		store := childrenOf(os.Getpid())
		go func() {
			n := 0
			if name == "killed" {
				n = killChildren(ctx, 6, store)
			}
			kills <- n
		}()
		if err := p.ingest(ctx, name); err != nil {
			t.Fatal(err)
		}
		cancel()
		if n := <-kills; name == "killed" && n < 3 {
			t.Fatalf("only %d kills hit", n)
		}
		e, err := p.manager.Event(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if e.SourceEnded == nil || !*e.SourceEnded {
			t.Fatalf("%s: the source has not ended: %s %s", name, deref(e.Reason), deref(e.Message))
		}
		list, err := p.manager.Units(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list {
			list[i].Key = strings.Replace(list[i].Key, name, "uid", 1)
		}
		units[name] = list
	}
	if diff := cmp.Diff(units["calm"], units["killed"]); diff != "" || len(units["calm"]) < 8 {
		t.Fatalf("units differ (-calm +killed), %d of them:\n%s", len(units["calm"]), diff)
	}
}

// What a process that was killed left under a unit's key is kept when it is the
// unit's twin, and stepped aside for when it is not.
func TestIngestComparesWhatIsStored(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 20, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	base := serve(t, filepath.Dir(m.Path))
	ingested := func(uid string, before func()) []api.Unit {
		if _, err := p.manager.PutPlan(t.Context(), uid, plan(t, uid, base+"/"+filepath.Base(m.Path), 6)); err != nil {
			t.Fatal(err)
		}
		before()
		if err := p.ingest(t.Context(), uid); err != nil {
			t.Fatal(err)
		}
		units, err := p.manager.Units(t.Context(), uid)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(units, func(a, b api.Unit) int { return int(a.FirstTicks - b.FirstTicks) })
		return units
	}
	calm := ingested("calm", func() {})
	disturbed := ingested("disturbed", func() {
		for i, n := range map[int]int64{0: calm[0].Bytes, 1: calm[1].Bytes / 2} { // a twin, and a torso
			body, err := p.bucket.Get(t.Context(), calm[i].Key)
			if err != nil {
				t.Fatal(err)
			}
			part, err := io.ReadAll(io.LimitReader(body, n))
			body.Close()
			if err == nil {
				err = p.bucket.Put(t.Context(), strings.Replace(calm[i].Key, "calm", "disturbed", 1), "video/mp2t", part)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	want := slices.Clone(calm)
	want[1].Epoch = 1
	for i := range want {
		want[i].Key = keys.Unit("football", "disturbed", want[i].Epoch, want[i].FirstTicks)
	}
	if diff := cmp.Diff(want, disturbed); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
}

// throttled lets a quarter of a megabyte a second through.
type throttled struct{ http.ResponseWriter }

func (w *throttled) Write(b []byte) (int, error) {
	sent := 0
	for len(b) > 0 {
		n := min(len(b), 16<<10)
		if _, err := w.ResponseWriter.Write(b[:n]); err != nil {
			return sent, err
		}
		if f, ok := w.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		sent, b = sent+n, b[n:]
		time.Sleep(60 * time.Millisecond)
	}
	return sent, nil
}

// ReadFrom keeps net/http from going around Write.
func (w *throttled) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// killChildren kills this process's child or grandchild (FFmpeg), in turn, at
// random moments; the object store is a child too, and spared.
func killChildren(ctx context.Context, times int, spared []int) int {
	rng := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for i := 0; i < times && ctx.Err() == nil; {
		time.Sleep(time.Duration(300+rng.IntN(900)) * time.Millisecond)
		victims := slices.DeleteFunc(childrenOf(os.Getpid()), func(pid int) bool { return slices.Contains(spared, pid) })
		if i%2 == 1 {
			var next []int
			for _, v := range victims {
				next = append(next, childrenOf(v)...)
			}
			victims = next
		}
		for _, pid := range victims {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				hits++
				i++
				break
			}
		}
	}
	return hits
}

func childrenOf(pid int) []int {
	var out []int
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		for word := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

func TestSupervisorGivesUp(t *testing.T) {
	p := start(t)
	if _, err := p.manager.PutPlan(t.Context(), "crash", plan(t, "crash", "http://127.0.0.1:1/x", 6)); err != nil {
		t.Fatal(err)
	}
	err := ingest.Supervise(t.Context(), ingest.Config{Client: p.agent("crash"), EventUID: "crash", Log: discard()},
		[]string{"/bin/sh", "-c", `echo '{"reason":"SourceCorrupt","error":"torn at byte 7"}'; exit 1`})
	if err != nil {
		t.Fatal(err)
	}
	e, err := p.manager.Event(t.Context(), "crash")
	if err != nil || e.State != api.EventStateStateFailed || deref(e.Reason) != "SourceCorrupt" ||
		!strings.Contains(deref(e.Message), "torn at byte 7") {
		t.Fatalf("the Event is %+v, %v", e, err)
	}
}

// A failure that is sure to come again is tried twice, and the Event says what it is meanwhile.
func TestSureFailureIsTriedTwice(t *testing.T) {
	p := start(t)
	if _, err := p.manager.PutPlan(t.Context(), "sure", plan(t, "sure", "http://127.0.0.1:1/x", 6)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ended := make(chan error, 1)
	go func() {
		ended <- ingest.Supervise(t.Context(), ingest.Config{Client: p.agent("sure"), EventUID: "sure", Log: discard()},
			[]string{"/bin/sh", "-c",
				`echo run >>"$1/runs"; [ $(wc -l <"$1/runs") -lt 2 ] || until [ -e "$1/go" ]; do sleep 0.05; done
			echo "{\"error\":\"[fc @ 0x$$] the filters cannot be built\"}"; exit 1`, "sh", dir})
	}()
	deadline := time.Now().Add(time.Minute)
	for {
		e, err := p.manager.Event(t.Context(), "sure")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(deref(e.IngestProblem), "the filters cannot be built") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the Event says %q of its ingest", deref(e.IngestProblem))
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	runs, err := os.ReadFile(filepath.Join(dir, "runs"))
	if err != nil || strings.Count(string(runs), "run") != 2 {
		t.Errorf("runs %q, %v", runs, err)
	}
	e, err := p.manager.Event(t.Context(), "sure")
	if err != nil || e.State != api.EventStateStateFailed || deref(e.Reason) != string(api.FailureReasonIngestFailed) ||
		!strings.Contains(deref(e.Message), "the filters cannot be built") || e.IngestProblem != nil {
		t.Errorf("the Event is %+v, %v", e, err)
	}
}

func TestSupervisorStops(t *testing.T) {
	p := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := ingest.Supervise(ctx, ingest.Config{Client: p.agent("x"), EventUID: "x", Log: discard()},
		[]string{"/bin/sleep", "60"})
	if !errors.Is(err, ingest.ErrStopped) || time.Since(began) > 5*time.Second {
		t.Fatalf("err = %v after %s", err, time.Since(began))
	}
}
