// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/sdk"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// pluginVariable makes this test program one of the plugins below.
const pluginVariable = "TESTKIT_PLUGIN"

func TestMain(m *testing.M) {
	if name := os.Getenv(pluginVariable); name != "" {
		plugins[name]()
		return
	}
	os.Exit(m.Run())
}

func featurer(f func(ctx context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error)) func() {
	return func() { sdk.Run(sdk.Featurer(f)) }
}

func at(in *sdk.FeaturerInput, attributes map[string]any) []sdk.Result {
	return []sdk.Result{sdk.Point(in.Chunk.Start+500_000, attributes)}
}

var declared = map[string]any{"Known": true}

// plugins are the good one of each class, and one for each thing that can be wrong.
var plugins = map[string]func(){
	"good": featurer(func(ctx context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
		var c struct{ Frames, Dependencies int }
		if err := in.Configure(&c); err != nil {
			return nil, err
		}
		n, last := 0, sdk.Micros(0)
		for f, err := range in.Frames(ctx, 64, sdk.RGB) {
			if err != nil {
				return nil, err
			}
			if len(f.Pixels) != 64*f.Height*3 || f.Start < last {
				return nil, fmt.Errorf("frame %d: %d bytes, %d high, at %d", n, len(f.Pixels), f.Height, f.Start)
			}
			n, last = n+1, f.Start
		}
		// Two swaps: the second finds what the first one left.
		for _, change := range [][2]any{{nil, "a"}, {"a", "b"}, {"b", "a"}} {
			if _, err := in.SwapVariable(ctx, "Swapped", change[0], change[1]); err != nil {
				return nil, err
			}
		}
		all, err := in.Variables(ctx)
		if err != nil || all["Swapped"] != "a" {
			return nil, fmt.Errorf("variables %v, %w", all, err)
		}
		if in.Media != nil && (n != c.Frames || len(in.Dependencies["other"]) != c.Dependencies) {
			return nil, fmt.Errorf("%d frames, dependencies %v", n, in.Dependencies)
		}
		return at(in, declared), nil
	}),
	"dies":  func() { fmt.Fprintln(os.Stderr, "no such model"); os.Exit(3) },
	"init":  func() { sdk.InitError(errors.New("the weights are not there")) },
	"sits":  func() { time.Sleep(time.Hour) },
	"empty": featurer(func(context.Context, *sdk.FeaturerInput) ([]sdk.Result, error) { return nil, nil }),
	"relative": featurer(func(_ context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
		return []sdk.Result{sdk.Point(500_000, declared)}, nil
	}),
	"undeclared": featurer(func(_ context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
		return at(in, map[string]any{"Surprise": 1}), nil
	}),
	"counts": func() {
		n := 0
		featurer(func(_ context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
			n++
			return at(in, map[string]any{"Known": n}), nil
		})()
	},
	"blind": featurer(func(_ context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
		_, err := os.Stat(in.Media.Path)
		return at(in, declared), err
	}),
	"fails": featurer(func(context.Context, *sdk.FeaturerInput) ([]sdk.Result, error) {
		return nil, errors.New("there is no ball")
	}),
	"hangs": featurer(func(context.Context, *sdk.FeaturerInput) ([]sdk.Result, error) { select {} }),
	"crashes": featurer(func(context.Context, *sdk.FeaturerInput) ([]sdk.Result, error) {
		fmt.Fprintln(os.Stderr, "segmentation fault")
		os.Exit(11)
		return nil, nil
	}),
	"nonsense": raw(func([]byte) []byte { return []byte("hello") }, false),
	"nothing":  raw(func([]byte) []byte { return []byte(`{"statusCode": 200}`) }, false),
	"strict": raw(func(event []byte) []byte {
		var in struct {
			Plugin, Profile, Event, Input, Mre any
		}
		d := json.NewDecoder(bytes.NewReader(event))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			return []byte(err.Error())
		}
		return []byte(`{"Mre": {"contract": "v1"}}`)
	}, false),
	"ends": raw(func([]byte) []byte { return []byte(`{"Mre": {"contract": "v1"}}`) }, true),
	"writes": featurer(func(_ context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
		return at(in, declared), os.WriteFile("cache.bin", []byte("x"), 0o600)
	}),
	"locks": featurer(func(_ context.Context, in *sdk.FeaturerInput) ([]sdk.Result, error) {
		lock := filepath.Join(os.Getenv("TESTKIT_TMP"), "lock")
		f, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, fmt.Errorf("another one of me runs: %w", err)
		}
		defer func() { _ = f.Close(); _ = os.Remove(lock) }()
		time.Sleep(200 * time.Millisecond)
		return at(in, declared), nil
	}),
	"segments": func() {
		sdk.Run(sdk.Segmenter(func(_ context.Context, in *sdk.SegmenterInput, out *sdk.Segments) error {
			if in.Task.Final {
				return out.Close(in.Chunk.End, declared)
			}
			if out.IsOpen() {
				if err := out.Close(in.Chunk.Start+1_000_000, declared); err != nil {
					return err
				}
			}
			return out.Open(in.Chunk.End-1_000_000, nil)
		}))
	},
	"overlaps": raw(func(event []byte) []byte {
		return []byte(`{"Mre": {"contract": "v1", "segments": [{"startMicros": 0, "endMicros": 2000000, "attributes": {}}, ` +
			`{"startMicros": 1000000, "endMicros": 3000000, "attributes": {}}]}}`)
	}, false),
	"optimizes": func() {
		sdk.Run(sdk.Optimizer(func(_ context.Context, in *sdk.OptimizerInput) ([]sdk.Optimized, error) {
			var out []sdk.Optimized
			for _, s := range in.Segments {
				out = append(out, sdk.Optimized{SegmentID: s.ID, Start: s.Start,
					End: *s.End - 40_000, StartCode: "Not moved", EndCode: "Moved"})
			}
			return out, nil
		}))
	},
	"labels": func() {
		sdk.Run(sdk.Labeler(func(_ context.Context, in *sdk.LabelerInput) ([]sdk.Label, error) {
			var out []sdk.Label
			for _, s := range in.Segments {
				out = append(out, sdk.Label{SegmentID: s.ID, Code: "Succeeded", Label: "Segment"})
			}
			return out, nil
		}))
	},
	"labels nothing": func() {
		sdk.Run(sdk.Labeler(func(context.Context, *sdk.LabelerInput) ([]sdk.Label, error) { return nil, nil }))
	},
	"MRE": raw(likeMRE, false),
}

// raw is a loop as anybody may write it. It neither hears SIGTERM nor knows a package of ours.
func raw(answer func([]byte) []byte, once bool) func() {
	return func() {
		base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
		for {
			resp, err := http.Get(base + "next")
			if err != nil {
				os.Exit(1)
			}
			event, _ := io.ReadAll(resp.Body)
			id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
			resp, err = http.Post(base+id+"/response", "application/json", bytes.NewReader(answer(event)))
			if err != nil {
				os.Exit(1)
			}
			_ = resp.Body.Close()
			if once {
				return
			}
		}
	}
}

// likeMRE does what MRE's helper does: it learns the address of the data plane, downloads the chunk, and saves.
func likeMRE(event []byte) []byte {
	var e map[string]any
	_ = json.Unmarshal(event, &e)
	parameters := ask("POST", os.Getenv("AWS_ENDPOINT_URL_SSM")+"/", `{"Names": ["/MRE/DataPlane/EndpointURL"]}`)
	var got struct {
		Parameters []struct{ Name, Value string }
	}
	if json.Unmarshal(parameters, &got) != nil || len(got.Parameters) != 1 {
		return parameters
	}
	api := got.Parameters[0].Value + "/"
	input := e["Input"].(map[string]any)
	media := input["Media"].(map[string]any)
	start := input["Metadata"].(map[string]any)["HLSSegment"].(map[string]any)["StartTime"].(float64)
	key := strings.ReplaceAll(media["S3Key"].(string), "/", "%2F")
	address := ask("GET", api+"media/"+media["S3Bucket"].(string)+"/"+key, "")
	if strings.HasPrefix(string(address), "http") {
		if file := ask("GET", string(address), ""); len(file) < 1000 {
			return file
		}
	}
	stem := strings.TrimSuffix(media["S3Key"].(string), ".ts")
	number, _ := strconv.Atoi(stem[strings.LastIndex(stem, "_")+1:])
	plugin, event2 := e["Plugin"].(map[string]any), e["Event"].(map[string]any)
	results := []map[string]any{{"Start": start + 0.5, "End": start + 0.75, "Known": true}}
	body, _ := json.Marshal(map[string]any{
		"Program": event2["Program"], "Event": event2["Name"], "ProfileName": e["Profile"].(map[string]any)["Name"],
		"ChunkSize":   e["Profile"].(map[string]any)["ChunkSize"],
		"Classifier":  e["Profile"].(map[string]any)["Classifier"].(map[string]any)["Name"],
		"ExecutionId": input["ExecutionId"], "PluginName": plugin["Name"], "PluginClass": plugin["Class"],
		"ModelEndpoint": "", "Configuration": plugin["Configuration"],
		"OutputAttributesNameList": []string{"Known"}, "Location": media, "Results": results, "ChunkNumber": number,
		"ChunkStart": start, "Filename": path.Base(media["S3Key"].(string)),
	})
	if said := ask("POST", api+"plugin/result", string(body)); !json.Valid(said) ||
		strings.Contains(string(said), "Error") {
		return said
	}
	answer, _ := json.Marshal(map[string]any{"Event": event2, "Input": input,
		"Output": map[string]any{"PluginName": plugin["Name"], "Status": "Complete", "Results": results}})
	return answer
}

func ask(method, address, body string) []byte {
	req, _ := http.NewRequest(method, address, strings.NewReader(body))
	req.Header.Set("X-Amz-Target", "AmazonSSM.GetParameters")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return []byte(err.Error())
	}
	out, _ := io.ReadAll(resp.Body)
	return out
}

// recording has three chunks of 3 s.
func recording(t *testing.T) string {
	t.Helper()
	m, err := match.Generate(t.Context(),
		match.Options{Seconds: 9, Width: 160, Height: 90, Seed: 3, GOPFrames: 25, AudioTracks: 2})
	if err != nil {
		t.Fatal(err)
	}
	return m.Path
}

func options(t *testing.T, class api.PlanPluginClass) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := &tail{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the plugin said: " + log.String())
		}
	})
	return Options{
		Command: []string{self}, Dir: t.TempDir(), Media: recording(t), ChunkSeconds: 3, Chunks: 2,
		StartTimeout: time.Minute, Timeout: time.Minute, Log: log,
		Plugin: api.PlanPlugin{
			Name: "plugin", Class: class, MediaType: api.PlanPluginMediaTypeVideo, DependsOn: []string{},
			Outputs: []string{"Known"}, Configuration: map[string]any{"Frames": 15, "Dependencies": 0}, TimeoutSeconds: 60,
		},
	}
}

func TestGoodPlugins(t *testing.T) {
	const some = api.PlanPluginClassFeaturer
	tests := map[string]struct {
		plugin string
		class  api.PlanPluginClass
		change func(o *Options)
		// not are the checks that there is no way to make.
		not []string
	}{
		"featurer": {"good", some, nil, []string{"no media"}},
		"blind":    {"blind", some, nil, []string{"no media"}},
		"Exec":     {"good", some, func(o *Options) { o.Exec = true }, []string{"restart", "start", "stop"}},
		"audio": {"good", some, func(o *Options) {
			o.Plugin.MediaType, o.Track = api.PlanPluginMediaTypeAudio, 2
		}, []string{"no media"}},
		"dependencies made up": {"good", some, func(o *Options) {
			o.Plugin.DependsOn, o.Plugin.Configuration["Dependencies"] = []string{"other"}, 2
		}, []string{"no media"}},
		"dependencies given": {"good", some, func(o *Options) {
			o.Plugin.DependsOn, o.Plugin.Configuration["Dependencies"] = []string{"other"}, 1
			o.Detections = map[string][]Detection{"other": {{StartMicros: 1_000_000, EndMicros: 1_000_000},
				{StartMicros: 4_000_000, EndMicros: 4_000_000}}}
		}, []string{"no media"}},
		"dependencies given by MRE's names": {"good", some, func(o *Options) {
			o.Plugin.DependsOn, o.Plugin.Configuration["Dependencies"], o.MRENames = []string{"other"},
				1, map[string]string{"other": "DetectOthers"}
			o.Detections = map[string][]Detection{"DetectOthers": {{StartMicros: 1_000_000, EndMicros: 1_000_000},
				{StartMicros: 4_000_000, EndMicros: 4_000_000}}}
		}, []string{"no media"}},
		"segmenter":       {"segments", api.PlanPluginClassSegmenter, nil, nil},
		"optimizer":       {"optimizes", api.PlanPluginClassOptimizer, nil, []string{"outputs"}},
		"labeler":         {"labels", api.PlanPluginClassLabeler, nil, []string{"outputs"}},
		"finds nothing":   {"empty", some, nil, []string{"no media", "outputs", "results"}},
		"nothing is said": {"undeclared", some, func(o *Options) { o.Plugin.Outputs = nil }, []string{"no media", "outputs"}},
		"undeclared":      {"undeclared", some, nil, []string{"no media"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := options(t, tt.class)
			t.Setenv(pluginVariable, tt.plugin)
			if tt.change != nil {
				tt.change(&o)
			}
			report, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			var not []string
			for _, c := range report.Checks {
				if c.Outcome == NotChecked {
					not = append(not, c.Name)
				}
			}
			slices.Sort(not)
			if diff := cmp.Diff(tt.not, not); diff != "" || !report.OK() {
				var text strings.Builder
				_ = report.Print(&text)
				t.Errorf("not checked (-want +got): %s\n%s", diff, text.String())
			}
		})
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	const some = api.PlanPluginClassFeaturer
	tests := map[string]struct {
		class  api.PlanPluginClass
		change func(o *Options)
		// check fails with a message that holds says.
		check, says string
	}{
		"dies":     {some, nil, "start", "exit code 3; its last words:\nno such model"},
		"init":     {some, nil, "start", "the weights are not there"},
		"sits":     {some, func(o *Options) { o.StartTimeout = 2 * time.Second }, "start", "did not ask for work"},
		"relative": {some, nil, "results", "chunk 2, from 3.000 s to 6.000 s: result 1 is from 0.500 s"},
		"counts":   {some, nil, "repeat", "another answer"},
		"blind":    {some, func(o *Options) { o.Exec = true }, "no media", "media is null"},
		"fails":    {some, nil, "answer", "chunk 1: *errors.errorString: there is no ball"},
		"hangs":    {some, func(o *Options) { o.Timeout = time.Second }, "answer", "timed out after 1 s"},
		"crashes":  {some, nil, "answer", "segmentation fault"},
		"nonsense": {some, nil, "answer", `"hello"`},
		"nothing":  {some, nil, "answer", "neither Output"},
		"strict":   {some, nil, "new keys", "SomethingNew"},
		"ends":     {some, nil, "warm", "ended 1 times between runs"},
		"writes":   {some, nil, "writes", "cache.bin"},
		"locks":    {some, nil, "restart", "another one of me runs"},
		"overlaps": {api.PlanPluginClassSegmenter, nil, "segments",
			"segment 2 starts at 1.000 s, before the end of the one before it at 2.000 s"},
		"labels nothing": {api.PlanPluginClassLabeler, nil, "labels", "answered nothing for 4 segments"},
		"labels":         {some, nil, "answer", "is run as a featurer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := options(t, tt.class)
			t.Setenv(pluginVariable, name)
			t.Setenv("TESTKIT_TMP", t.TempDir())
			if tt.change != nil {
				tt.change(&o)
			}
			report, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(report.Checks, func(c Check) bool { return c.Outcome == Failed })
			if i < 0 || report.Checks[i].Name != tt.check || !strings.Contains(report.Checks[i].Message, tt.says) ||
				report.Checks[i].Remedy == "" {
				var text strings.Builder
				_ = report.Print(&text)
				t.Errorf("want %s to fail first, with %q and a remedy:\n%s", tt.check, tt.says, text.String())
			}
		})
	}
}

// A loop that does not hear SIGTERM is killed, and told. MRE's way of saving works.
func TestLikeMRE(t *testing.T) {
	o := options(t, api.PlanPluginClassFeaturer)
	t.Setenv(pluginVariable, "MRE")
	// The shell hands no signal on, as a careless entry point.
	o.Command = append([]string{"sh", "-c", `trap "" TERM; "$0" & while :; do wait; done`}, o.Command...)
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Outcome{}
	for _, c := range report.Checks {
		got[c.Name] = c.Outcome
	}
	want := map[string]Outcome{"stop": Failed, "no media": NotChecked}
	for _, name := range []string{"start", "answer", "time", "warm", "results", "outputs",
		"repeat", "new keys", "restart", "writes"} {
		want[name] = Passed
	}
	if diff := cmp.Diff(want, got); diff != "" {
		var text strings.Builder
		_ = report.Print(&text)
		t.Errorf("%s\n%s", diff, text.String())
	}
}

func TestWhatCannotBeTested(t *testing.T) {
	silent, err := match.Generate(t.Context(), match.Options{Seconds: 2, Width: 160, Height: 90, Seed: 3, AudioTracks: -1})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(o *Options)
		want   string
	}{
		"no program": {func(o *Options) { o.Command = []string{"no-such-program", "x"} }, "neither a program"},
		"no track": {func(o *Options) {
			o.Plugin.MediaType, o.Track = api.PlanPluginMediaTypeAudio, 7
		}, "has 2 audio tracks, and track 7"},
		"no audio": {func(o *Options) {
			o.Plugin.MediaType, o.Media = api.PlanPluginMediaTypeAudio, silent.Path
		}, "has no audio"},
		"no media":        {func(o *Options) { o.Media = filepath.Join(t.TempDir(), "none.mp4") }, "none.mp4"},
		"other detection": {func(o *Options) { o.Detections = map[string][]Detection{"x": nil} }, "detections of x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := options(t, api.PlanPluginClassFeaturer)
			t.Setenv(pluginVariable, "good")
			tt.change(&o)
			if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want an error with %q", err, tt.want)
			}
		})
	}
}

// An image is run as a worker pod runs it. There is no container engine where tests run, so a program in its place
// shows what it was told.
func TestImage(t *testing.T) {
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$1\" = info ] && exit 0\necho \"$@\" >&2\nexit 5\n"
	if err := os.WriteFile(filepath.Join(dir, "podman"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	o := options(t, api.PlanPluginClassFeaturer)
	o.Command, o.ContainerArgs = []string{"registry.example.com/detect:v1"}, []string{"Detect.handler"}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	said := report.Checks[0].Message
	for _, want := range []string{"run --rm", "--read-only", "--tmpfs=/tmp", ":ro", "--env=AWS_LAMBDA_RUNTIME_API",
		"--env=_HANDLER=Detect.handler", "registry.example.com/detect:v1 Detect.handler"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in %s", want, said)
		}
	}
	for _, name := range engines {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Run(t.Context(), o); !errors.Is(err, errNoEngine) {
		t.Errorf("%v; want the advice to test the command", err)
	}
}

// The templates are what authors begin with: they pass, and find what is there.
func TestTemplates(t *testing.T) {
	folder := filepath.Join("..", "template")
	binary := filepath.Join(t.TempDir(), "detect-brightness")
	if out, err := exec.Command("go", "build", "-o", binary,
		"./"+filepath.Join(folder, "go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	pythonPath, err := filepath.Abs(filepath.Join("..", "python"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", pythonPath)
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	// Grey, black from 2 s to 4 s, grey.
	media := filepath.Join(t.TempDir(), "black.mp4")
	picture := "color=c=gray:s=160x90:r=25:d=6,drawbox=t=fill:color=black:enable='gte(t,2)*lt(t,4)'"
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-c:v", "libx264",
		"-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", media).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, command := range map[string][]string{"go": {binary}, "python": {"python3", "-m", "mre_plugin", "plugin"}} {
		t.Run(name, func(t *testing.T) {
			o := options(t, api.PlanPluginClassFeaturer)
			o.Command, o.Dir, o.Media = command, filepath.Join(folder, name), media
			o.Plugin.Outputs, o.Plugin.Configuration = []string{"Black", "BrightnessJump", "change"}, map[string]any{}
			found := map[string]bool{}
			o.Log = io.Discard
			report, results, err := runAndKeep(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if !report.OK() {
				var text strings.Builder
				_ = report.Print(&text)
				t.Error(text.String())
			}
			for _, r := range results {
				found[fmt.Sprintf("%v %v %s %s", r.Result.Attributes["Black"], r.Result.Attributes["BrightnessJump"],
					seconds(r.Result.Start.Micros), seconds(r.Result.End.Micros))] = true
			}
			// A picture every 0.2 s; each of the two chunks sees its own part of the black.
			want := map[string]bool{
				"<nil> true 2.000 s 2.000 s": true, "true <nil> 2.000 s 3.000 s": true,
				"true <nil> 3.000 s 4.000 s": true, "<nil> true 4.000 s 4.000 s": true,
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Error(diff)
			}
		})
	}
}
