// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const wantFeaturerEvent = `{
  "Plugin": {"Name": "noise", "Class": "Featurer", "ExecutionType": "Sync",
    "DependentPlugins": ["scenes"], "Configuration": {"level": "5"},
    "OutputAttributes": {"Label": {"Description": ""}, "Goal": {"Description": "true on a goal"}}},
  "Profile": {"Name": "soccer", "ChunkSize": 10, "MaxSegmentLengthSeconds": 60, "ProcessingFrameRate": 30,
    "Classifier": {"Name": "moments", "Configuration": {"level": "5"}, "DependentPlugins": [
      {"Name": "noise", "Configuration": {"level": "5"}, "DependentFor": ["moments"], "Level": 1,
        "SupportedMediaType": "Audio"},
      {"Name": "scenes", "Configuration": {"level": "5"}, "DependentFor": ["moments", "noise"], "Level": 2,
        "SupportedMediaType": "Video", "ModelEndpoint": "http://scenes/v2"}]},
    "Optimizer": {"Name": "cutter", "Configuration": {"level": "5"}, "DependentPlugins": [
      {"Name": "scenes", "Configuration": {"level": "5"}, "DependentFor": ["cutter"], "Level": 1,
        "SupportedMediaType": "Video", "ModelEndpoint": "http://scenes/v2"}]},
    "Labeler": {"Name": "namer", "Configuration": {"level": "5"}, "DependentPlugins": [
      {"Name": "noise", "Configuration": {"level": "5"},
        "DependentFor": ["namer"], "Level": 1, "SupportedMediaType": "Audio"},
      {"Name": "scenes", "Configuration": {"level": "5"}, "DependentFor": ["noise"], "Level": 2,
        "SupportedMediaType": "Video", "ModelEndpoint": "http://scenes/v2"}]}},
  "Event": {"Name": "final", "Program": "Open 2026 / Men", "Start": "2026-06-01T14:00:00Z",
    "TimecodeSource": "NOT_EMBEDDED", "AudioTracks": [1, 2],
    "GenerateOrigClips": true, "GenerateOptoClips": false,
      "GenerateOrigThumbNails": true, "GenerateOptoThumbNails": true},
  "Input": {"ExecutionId": "95ee508b-76fb-574d-ae66-4e2301b15714",
    "Media": {"S3Bucket": "mre",
      "S3Key": "7f0c4c52-0000-4000-8000-000000000001/Open 2026 - Men/final/soccer/Open-2026---Men_final_1_00003.ts"},
    "Metadata": {"HLSSegment": {"StartTime": 20, "StartTimeUtc": "00:00:20.000", "StartPtsTime": 21.4,
      "StartPtsTimeUtc": "00:00:21.400", "Duration": 10, "FrameRate": 25}}},
  "TrackNumber": 2,
  "Mre": {"contract": "v1",
    "event": {"uid": "7f0c4c52-0000-4000-8000-000000000001", "namespace": "football",
      "name": "final", "program": "Open 2026 / Men"},
    "task": {"kind": "featurer", "chunk": 3, "attempt": 2, "final": false},
    "chunk": {"number": 3, "startMicros": 20000000, "endMicros": 30000000, "firstFrame": 500, "frames": 250},
    "timeline": {"rate": {"num": 25, "den": 1}, "width": 1920, "height": 1080, "originTicks": 126000, "audioTracks": [
      {"track": 1, "streamIndex": 1, "sampleRate": 48000, "channels": 2, "language": "eng"},
      {"track": 2, "streamIndex": 2, "sampleRate": 48000, "channels": 1, "language": ""}]},
    "media": {"path": "/mre/media/7/x.ts",
      "url": "http://127.0.0.1:9001/mre/v1/media/Open-2026---Men_final_1_00003.ts", "bytes": 99},
    "track": 2, "deadlineMillis": 1800000000000, "processingFrameRate": {"num": 30000, "den": 1001},
      "configuration": {"level": "5"}, "model": null,
    "dependencies": {"scenes": [{"startMicros": 21000000, "endMicros": 22000000,
      "track": 0, "attributes": {"Label": "near"}}]},
    "segments": [], "neighbours": [], "previousEndMicros": 0, "maxSegmentMicros": 60000000}
}`

// The whole event, so that a key that goes missing is seen.
func TestEvent(t *testing.T) {
	run := testRun(t, "noise", 3, func(l *api.Lease) {
		l.Input.Featurer.Track = 2
		l.Input.Featurer.Dependencies = []api.PluginResults{{Plugin: "scenes", Results: []api.Result{
			{Start: frameMark(525), End: frameMark(550), Attributes: map[string]any{"Label": "near"}}}}}
	})
	got, err := run.Event("http://127.0.0.1:9001")
	if err != nil {
		t.Fatal(err)
	}
	compareJSON(t, []byte(wantFeaturerEvent), got)
}

func compareJSON(t *testing.T, want, got []byte) {
	t.Helper()
	var w, g any
	for body, v := range map[*[]byte]*any{&want: &w, &got: &g} {
		if err := json.Unmarshal(*body, v); err != nil {
			t.Fatalf("%v: %s", err, *body)
		}
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// What depends on the class: MRE's word for it, the track, the model, the segments.
func TestEventOfClasses(t *testing.T) {
	type wanted struct {
		class, execution, model string
		track                   any
		segments, neighbours    int
	}
	for name, c := range map[string]struct {
		edit func(*api.Lease)
		want wanted
	}{
		"scenes": {nil, wanted{class: "Featurer", execution: "SyncModel", model: "http://scenes/v2"}},
		"moments": {func(l *api.Lease) { l.Input.Segmenter.Open = new(testSegment("000001-0", 100, 0)) },
			wanted{class: "Classifier", execution: "Sync", segments: 1}},
		"cutter": {func(l *api.Lease) {
			l.Input.Optimizer.Segments = []api.Segment{testSegment("000001-0", 100, 200)}
			l.Input.Optimizer.Neighbours = []api.Segment{testSegment("000002-0", 300, 400)}
		}, wanted{class: "Optimizer", execution: "Sync", track: 1.0, segments: 1, neighbours: 1}},
		"namer": {nil, wanted{class: "Labeler", execution: "Sync"}},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := testRun(t, name, 2, c.edit).Event("http://x")
			if err != nil {
				t.Fatal(err)
			}
			var e struct {
				Plugin      struct{ Class, ExecutionType, ModelEndpoint string }
				TrackNumber any
				Mre         struct{ Segments, Neighbours []any }
			}
			if err := json.Unmarshal(body, &e); err != nil {
				t.Fatal(err)
			}
			got := wanted{e.Plugin.Class, e.Plugin.ExecutionType, e.Plugin.ModelEndpoint,
				e.TrackNumber, len(e.Mre.Segments), len(e.Mre.Neighbours)}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(wanted{})); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Names that a chunk has: the same at every attempt, other ones for other chunks and Events.
func TestExecutionID(t *testing.T) {
	a, b := testPlan(), testPlan()
	b.Event.UID = "another"
	seen := map[string]bool{}
	for _, id := range []string{ExecutionID(a, 1), ExecutionID(a, 2), ExecutionID(b, 1)} {
		if seen[id] {
			t.Errorf("%s stands for two chunks", id)
		}
		seen[id] = true
	}
	if ExecutionID(a, 1) != ExecutionID(testPlan(), 1) {
		t.Error("a second attempt has another ExecutionId")
	}
}

func TestClockTime(t *testing.T) {
	for us, want := range map[int64]string{0: "00:00:00.000", 120_120_400: "00:02:00.120",
		86_400_000_000 + 1_500_000: "00:00:01.500", 3_599_999_600: "01:00:00.000"} {
		if got := clockTime(us); got != want {
			t.Errorf("clockTime(%d) = %s, want %s", us, got, want)
		}
	}
}
