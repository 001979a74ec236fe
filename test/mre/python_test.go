// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// start runs a Python handler as a process of its own, with the environment that the operator gives containers.
func (p *port) start(t *testing.T, name string) {
	t.Helper()
	dir, err := filepath.Abs("python")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "python3", filepath.Join(dir, "bootstrap.py"), "handlers."+name)
	home := t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PYTHONPATH=" + dir, "PYTHONDONTWRITEBYTECODE=1", "HOME=" + home,
		"TMPDIR=" + home, "AWS_LAMBDA_RUNTIME_API=" + strings.TrimPrefix(p.url, "http://"), "AWS_ENDPOINT_URL_SSM=" + p.url,
		"AWS_ENDPOINT_URL=" + p.url, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=mre",
		"AWS_SECRET_ACCESS_KEY=mre", "FRAMEWORK_VERSION=2.10.1"}
	cmd.Stderr = logged{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
}

type logged struct{ t *testing.T }

func (l logged) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// TestPythonPlugins runs an Event with handlers of all classes, each a process of its own. Its chunks come one after
// the other, so that a segment stays open over all three.
func TestPythonPlugins(t *testing.T) {
	w := newWorld(t, testPlan())
	if err := os.Mkdir(filepath.Join(w.prompts, "describe"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.prompts, "describe", "v1"),
		[]byte("{count} volleys from {start}"), 0o644); err != nil {
		t.Fatal(err)
	}
	handlers := map[string]handler{}
	for name, p := range w.ports {
		handlers[name] = process
		p.start(t, name)
	}
	var states []api.SegmentState
	for chunk := int64(1); chunk <= 3; chunk++ {
		w.ingest(t, eventUID, chunk, chunk, 3)
		w.work(handlers)
		segments, err := w.manager.Segments(t.Context(), eventUID)
		if err != nil {
			t.Fatal(err)
		}
		if len(segments) != 0 {
			states = append(states, segments[0].State)
		}
	}
	if len(w.failures) > 0 {
		t.Fatal(w.failures)
	}
	if len(states) == 0 {
		t.Fatal("no segment was ever seen")
	}
	// A chunk closes when the next one begins, so the first state is seen after the second chunk has come.
	if states[len(states)-1] != api.SegmentStateComplete || states[0] != api.SegmentStateOpen {
		t.Errorf("the segment was %v", states)
	}

	segments, err := w.manager.Segments(t.Context(), eventUID)
	if err != nil || len(segments) != 1 {
		t.Fatalf("%d segments (%v)", len(segments), err)
	}
	type marks struct {
		Track            int32
		In, Out          int64
		StartCode, EndAt string
	}
	type wanted struct {
		In, Out, Opened, Closed int64
		Label                   string
		Attributes              map[string]any
		Optimized               []marks
	}
	s := segments[0]
	got := wanted{In: s.In.Frame, Out: s.Out.Frame, Opened: s.OpenedChunk,
		Closed: *s.ClosedChunk, Label: s.Label, Attributes: s.Attributes}
	for _, o := range s.Optimized {
		got.Optimized = append(got.Optimized, marks{o.Track, o.In.Frame, o.Out.Frame, o.StartCode, o.EndCode})
	}
	// Units 1 to 4 are far: the volleys are at 6, 11, 16 and 21 s, and the first row without one is at 26 s.
	want := wanted{In: 150, Out: 650, Opened: 1, Closed: 3, Label: "4 volleys from 6",
		Attributes: map[string]any{"tracks": []any{"1", "2"}, "named by": "namer", "Score": 4.0},
		Optimized: []marks{
			// Track 1: the noise from 2 to 3 s ends just 3 s before the start; at the end there is none, and none follows.
			{1, 50, 650, "Opto succeeded", "Unsuccessful"},
			{2, 50, 650, "Opto succeeded", "Unsuccessful"},
		}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the segment (-want +got):\n%s", diff)
	}

	variables, err := w.agent(t, eventUID).Variables(t.Context(), eventUID)
	if err != nil {
		t.Fatal(err)
	}
	// Three chunks and the final pass.
	if diff := cmp.Diff(map[string]any{"Last_Theme": "volley", "runs": 4.0}, variables); diff != "" {
		t.Errorf("the context variables (-want +got):\n%s", diff)
	}
	results, err := w.manager.Results(t.Context(), eventUID, "")
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range results {
		count[r.Plugin]++
	}
	if diff := cmp.Diff(map[string]int{"scenes": 6, "volley": 6, "noise": 6}, count); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// TestPythonFailures: what a plugin says, and what it raises, is what a person reads.
func TestPythonFailures(t *testing.T) {
	w := newWorld(t, testPlan())
	w.ports["scenes"].start(t, "raising")
	w.ports["noise"].start(t, "failing")
	w.ingest(t, eventUID, 1, 1, 1)
	others := says(nil)
	w.work(map[string]handler{"scenes": process, "noise": process, "volley": others,
		"moments": others, "cutter": others, "namer": others})
	all := strings.Join(w.failures, "\n")
	for _, part := range []string{"no ball in sight", "ValueError", `plugin noise returned Output.Status "Error"`} {
		if !strings.Contains(all, part) {
			t.Errorf("the failures lack %q: %s", part, all)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		e, err := w.manager.Event(t.Context(), eventUID)
		if err != nil {
			t.Fatal(err)
		}
		if e.State == api.EventStateStateComplete {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the Event is %s", e.State)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
