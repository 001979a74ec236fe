// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file in testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestEventJSON(t *testing.T) {
	got, err := EventJSON(match())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "event.json", got)
}

func TestEventJSONIgnoresTheOrderOfRows(t *testing.T) {
	e := match()
	want, err := EventJSON(e)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(e.Segments)
	slices.Reverse(e.Clips)
	slices.Reverse(e.Results)
	got, err := EventJSON(e)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

// TestEventJSONOfNothing is an Event that failed before its first frame.
func TestEventJSONOfNothing(t *testing.T) {
	e := match()
	e = Event{Plan: e.Plan}
	e.Plan.Plugins, e.Plan.Optimizer, e.Plan.Labeler = nil, nil, nil
	got, err := EventJSON(e)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "empty.json", got)
}

// TestEventJSONWithoutAudio has MRE's track key for media without audio.
func TestEventJSONWithoutAudio(t *testing.T) {
	e := match()
	e.Timeline.AudioTracks = nil
	for i := range e.Clips {
		e.Clips[i].Track = 0
	}
	got, err := EventJSON(e)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Event    struct{ AudioTracksFound []int }
		Segments []struct {
			OptoStart             map[string]float64
			OptimizedClipLocation map[string]string
		}
	}
	if err := json.Unmarshal(got, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Event.AudioTracksFound) != 0 || doc.Segments[0].OptoStart["1"] != 3.6 ||
		doc.Segments[0].OptimizedClipLocation["1"] == "" {
		t.Errorf("got %+v", doc)
	}
}

func TestOptimizerOfOneTrack(t *testing.T) {
	e := match()
	s := &e.Segments[2]
	s.Optimized = append(s.Optimized, api.SegmentOptimized{Track: 2, In: s.In, Out: *s.Out})
	if in, _, found := optimizedFor(*s, 2); !found || in != s.In {
		t.Errorf("track 2 has the marks %v, %v", in, found)
	}
	if in, _, found := optimizedFor(*s, 1); !found || in.Frame != 90 {
		t.Errorf("track 1 has the marks %v, %v", in, found)
	}
}

func TestSeconds(t *testing.T) {
	for us, want := range map[seconds]string{
		0: "0.000", 222_200_000: "222.200", 33_367: "0.033367", 66_730: "0.06673", 1_000_100: "1.0001", -1_500_000: "-1.500",
		90_000_000_001: "90000.000001",
	} {
		got, err := json.Marshal(us)
		if err != nil || string(got) != want {
			t.Errorf("%d us is written %s, %v; want %s", int64(us), got, err, want)
		}
	}
}

func TestTruthy(t *testing.T) {
	for _, v := range []any{true, "x", 1.5, int64(2), 3, json.Number("0.5")} {
		if !truthy(v) {
			t.Errorf("%v (%T) should count", v, v)
		}
	}
	for _, v := range []any{nil, false, "", 0.0, int64(0), 0, json.Number("0"), []any{"a"}, map[string]any{"a": 1}} {
		if truthy(v) {
			t.Errorf("%v (%T) should not count", v, v)
		}
	}
}
