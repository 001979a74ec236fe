// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestClock(t *testing.T) {
	for micros, want := range map[int64]string{0: "00:00.000", 59_999_400: "00:59.999",
		61_033_333: "01:01.033", 3_600_000_000: "60:00.000"} {
		if got := clock(micros); got != want {
			t.Errorf("%d: got %s, want %s", micros, got, want)
		}
	}
}

// TestToTry: the demo ends with three commands, behind what points a shell at its cluster.
func TestToTry(t *testing.T) {
	d := &demo{options: options{events: "mre-demo", out: "demo/out", setup: `eval "$(env)"`},
		runs: []*eventRun{{name: "match"}, {name: "film"}}}
	want := []string{"Look at it yourself:", `  eval "$(env)"`, "  bin/kubectl-mre status match -n mre-demo",
		"  bin/kubectl-mre explain match 1 -n mre-demo",
		"  bin/kubectl-mre download match -n mre-demo -d demo/out/match-download"}
	if diff := cmp.Diff(want, d.toTry()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.setup = ""
	if got := d.toTry(); len(got) != 4 {
		t.Errorf("on a cluster of one's own: %q", got)
	}
}

func TestOwnVideo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Mine.MKV")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ video, file, location string }{
		{file, file, ""},
		{"https://example.com/a.mp4?token=1", "", "https://example.com/a.mp4?token=1"},
		{"s3://mre/inputs/a.mp4", "", "s3://mre/inputs/a.mp4"},
	} {
		in, err := ownVideo(c.video)
		if err != nil || in.file != c.file || in.location != c.location {
			t.Errorf("%s: got %+v, %v", c.video, in, err)
		}
	}
	for _, bad := range []string{"/no/such/file.mp4", t.TempDir()} {
		if _, err := ownVideo(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestReplayOutcome(t *testing.T) {
	for _, c := range []struct {
		name     string
		rendered metav1.Condition
		problem  string
		done     bool
	}{
		{"rendered", metav1.Condition{Status: metav1.ConditionTrue, Reason: "Rendered"}, "", true},
		{"nothing to render", metav1.Condition{Status: metav1.ConditionFalse, Reason: "NoMatch"}, "", true},
		{"at work", metav1.Condition{Status: metav1.ConditionFalse, Reason: "Rendering"}, "", false},
		{"failed", metav1.Condition{Status: metav1.ConditionFalse, Reason: "RenderFailed", Message: "608x1080"},
			"RenderFailed: 608x1080", true},
	} {
		c.rendered.Type = "Rendered"
		problem, done := replayOutcome([]metav1.Condition{c.rendered})
		if problem != c.problem || done != c.done {
			t.Errorf("%s: got %q, %t", c.name, problem, done)
		}
	}
	if _, done := replayOutcome(nil); done {
		t.Error("a Replay without conditions is done")
	}
}

func TestSpent(t *testing.T) {
	var f spentFlag
	for _, value := range []string{"cluster=12", "image=3"} {
		if err := f.Set(value); err != nil {
			t.Fatal(err)
		}
	}
	all := times(f)
	want := map[string]float64{"cluster": 12, "image": 3, "total": 15}
	if diff := cmp.Diff(want, all.seconds()); diff != "" {
		t.Error(diff)
	}
	if all.total() != 15*time.Second {
		t.Errorf("total is %s", all.total())
	}
	for _, bad := range []string{"cluster", "=3", "cluster=2.5"} {
		if f.Set(bad) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
