// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/build"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// task is an invocation as the agent writes it, with every key of the contract.
func task(kind, more string) []byte {
	return fmt.Appendf(nil, `{"Plugin": {"Name": "p"}, "Mre": {"contract":"v1",
		"event":{"uid":"u","namespace":"n","name":"final","program":"Open"},
		"task":{"kind":%q,"chunk":2,"attempt":1,"final":false},
		"chunk":{"number":2,"startMicros":6000000,"endMicros":12000000,"firstFrame":150,"frames":150},
		"timeline":{"rate":{"num":25,"den":1},"width":640,"height":360,"originTicks":900000,
			"audioTracks":[{"track":1,"streamIndex":1,"sampleRate":48000,"channels":2,"language":"en"}]},
		"media":{"path":"/m/x_00002.ts","url":"http://127.0.0.1/x","bytes":5},
		"track":1,"deadlineMillis":%d,"processingFrameRate":{"num":5,"den":1},
		"configuration":{"threshold":3},
		"model":{"name":"m","protocol":"OpenInference","address":"http://127.0.0.1/v2/models/m"},
		"dependencies":{"a":[{"startMicros":5,"endMicros":7,"track":1,"attributes":{"x":true}}]}%s}}`,
		kind, time.Now().Add(time.Minute).UnixMilli(), more)
}

const segments = `,"segments":[{"id":"000001-0","state":"Complete","startMicros":1,"endMicros":4000000,
	"reportedStartMicros":2,"attributes":{},"label":"x"},
	{"id":"000001-1","state":"Open","startMicros":5000000,"reportedStartMicros":5000001,"attributes":{"a":1},"label":""}]`

// Reading and writing an input gives the same JSON: no key of the contract is lost or has another name.
func TestInputsAreTheContract(t *testing.T) {
	for kind, c := range map[string]struct {
		more string
		into any
	}{
		"featurer":  {"", &FeaturerInput{}},
		"segmenter": {segments + `,"previousEndMicros":4000000,"maxSegmentMicros":120000000`, &SegmenterInput{}},
		"optimizer": {segments + `,"neighbours":[]`, &OptimizerInput{}},
		"labeler":   {segments, &LabelerInput{}},
	} {
		t.Run(kind, func(t *testing.T) {
			var want, got map[string]any
			var envelope struct{ Mre json.RawMessage }
			read(t, task(kind, c.more), &envelope)
			read(t, envelope.Mre, &want)
			read(t, envelope.Mre, c.into)
			text, err := json.Marshal(c.into)
			if err != nil {
				t.Fatal(err)
			}
			read(t, text, &got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func read(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// Plugins import the package from other modules: it must drag nothing along.
func TestStandardLibraryOnly(t *testing.T) {
	p, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range p.Imports {
		if strings.Contains(path, ".") {
			t.Errorf("the package imports %s", path)
		}
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		kind, more string
		handler    Handler
		want       string
	}{
		"featurer": {"featurer", "", Featurer(func(_ context.Context, in *FeaturerInput) ([]Result, error) {
			var c struct{ Threshold int }
			if err := in.Configure(&c); err != nil || c.Threshold != 3 {
				return nil, fmt.Errorf("configuration: %+v, %w", c, err)
			}
			in.SetVariable("Seen", in.Chunk.Number)
			return []Result{Point(in.Chunk.Start+Of(time.Second), nil)}, nil
		}), `{"contract":"v1","results":[{"startMicros":7000000,"endMicros":7000000,"attributes":{}}],` +
			`"variables":{"Seen":2}}`},
		"segmenter": {"segmenter", segments + `,"previousEndMicros":4000000`,
			Segmenter(func(_ context.Context, _ *SegmenterInput, out *Segments) error {
				return errors.Join(out.Close(8_000_000, map[string]any{"b": 2}), out.Add(out.Earliest(), 9_000_000, nil),
					out.Open(11_000_000, map[string]any{"c": 3}))
			}), `{"contract":"v1","segments":[{"id":"000001-1","startMicros":5000000,
				"endMicros":8000000,"attributes":{"a":1,"b":2}},
			{"startMicros":8000000,"endMicros":9000000,"attributes":{}},{"startMicros":11000000,"attributes":{"c":3}}]}`},
		"final": {"final", segments, Segmenter(func(_ context.Context, in *SegmenterInput, out *Segments) error {
			return out.Close(in.Chunk.End, nil)
		}), `{"contract":"v1","segments":[{"id":"000001-1","startMicros":5000000,` +
			`"endMicros":12000000,"attributes":{"a":1}}]}`},
		"optimizer": {"optimizer", segments, Optimizer(func(_ context.Context, in *OptimizerInput) ([]Optimized, error) {
			s := in.Segments[0]
			return []Optimized{{s.ID, s.Start + 1, *s.End, "Moved", "Not moved"}}, nil
		}), `{"contract":"v1","optimized":[{"segmentID":"000001-0","startMicros":2,"endMicros":4000000,` +
			`"startCode":"Moved","endCode":"Not moved"}]}`},
		"labeler": {"labeler", segments, Labeler(func(_ context.Context, in *LabelerInput) ([]Label, error) {
			return []Label{{SegmentID: in.Segments[0].ID, Code: "Succeeded", Label: "L"}}, nil
		}), `{"contract":"v1","labels":[{"segmentID":"000001-0","code":"Succeeded","label":"L","attributes":{}}]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			said, err := invoke(t.Context(), []Handler{tt.handler}, task(tt.kind, tt.more))
			if err != nil {
				t.Fatal(err)
			}
			var want any
			var got struct{ Mre any }
			read(t, []byte(tt.want), &want)
			read(t, said, &got)
			if diff := cmp.Diff(want, got.Mre); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	segmenter := func(f func(out *Segments) error) Handler {
		return Segmenter(func(_ context.Context, _ *SegmenterInput, out *Segments) error { return f(out) })
	}
	ended := `,"previousEndMicros":7000000`
	tests := map[string]struct {
		handler Handler
		event   []byte
		want    string
	}{
		"overlap": {segmenter(func(out *Segments) error { return out.Open(6_999_999, nil) }),
			task("segmenter", ended), "overlap"},
		"two open": {segmenter(func(out *Segments) error {
			return errors.Join(out.Open(8_000_000, nil), out.Open(9_000_000, nil))
		}), task("segmenter", ended), "close it before"},
		"after chunk": {segmenter(func(out *Segments) error { return out.Open(12_000_000, nil) }),
			task("segmenter", ended), "after the chunk's end"},
		"empty": {segmenter(func(out *Segments) error { return out.Add(8_000_000, 8_000_000, nil) }),
			task("segmenter", ended), "nothing would be left"},
		"none open": {segmenter(func(out *Segments) error { return out.Close(8_000_000, nil) }),
			task("segmenter", ended), "no open segment"},
		"backwards": {Featurer(func(context.Context, *FeaturerInput) ([]Result, error) {
			return []Result{{Start: 2, End: 1}}, nil
		}), task("featurer", ""), "before its start"},
		"other class":    {Featurer(nil), task("labeler", ""), "is run as a labeler, but the code is a Featurer"},
		"other contract": {Featurer(nil), []byte(`{"Mre":{"contract":"v2"}}`), `"v2"`},
		"no contract":    {Featurer(nil), []byte(`{}`), "no key Mre"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			said, err := invoke(t.Context(), []Handler{tt.handler}, tt.event)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %v; want an error with %q", said, err, tt.want)
			}
		})
	}
}

// The loop answers, tells errors and panics, and goes on.
func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	events := [][]byte{task("featurer", ""), task("labeler", ""), task("optimizer", segments)}
	var said []string
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", func(w http.ResponseWriter, r *http.Request) {
		if len(events) == 0 {
			cancel()
			<-r.Context().Done()
			return
		}
		w.Header().Set("Lambda-Runtime-Aws-Request-Id", fmt.Sprint(4-len(events)))
		_, _ = w.Write(events[0])
		events = events[1:]
	})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/{what}", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var e struct{ ErrorType, ErrorMessage string }
		read(t, body, &e)
		said = append(said, strings.TrimSpace(r.PathValue("id")+" "+r.PathValue("what")+" "+e.ErrorType+" "+e.ErrorMessage))
		if r.PathValue("id") == "1" {
			w.WriteHeader(http.StatusConflict)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	err := serve(ctx, strings.TrimPrefix(server.URL, "http://"), []Handler{
		Featurer(func(context.Context, *FeaturerInput) ([]Result, error) { return nil, nil }),
		Optimizer(func(context.Context, *OptimizerInput) ([]Optimized, error) { panic("oh") }),
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	want := []string{"1 response",
		"2 error *errors.errorString the Plugin is run as a labeler, but the code is a Featurer " +
			"and a Optimizer", "3 error panic panic: oh"}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
}

func TestOnce(t *testing.T) {
	var out bytes.Buffer
	f := Featurer(func(context.Context, *FeaturerInput) ([]Result, error) { return nil, nil })
	if err := once(t.Context(), []Handler{f}, bytes.NewReader(task("featurer", "")), &out); err != nil ||
		out.String() != `{"Mre":{"contract":"v1"}}` {
		t.Errorf("%s %v", out.String(), err)
	}
}

// The agent's API: frames with their times, variables, prompts; and a model server.
func TestAgent(t *testing.T) {
	variables := map[string]any{"Count": 1.0}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /mre/v1/frames", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "format=gray&width=2" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for name, value := range map[string]string{"Width": "2", "Height": "1", "Frames": "3", "Rate-Num": "30000",
			"Rate-Den": "1001", "First-Micros": "6000000"} {
			w.Header().Set("X-Mre-"+name, value)
		}
		_, _ = w.Write([]byte{1, 2, 3, 4, 5})
	})
	mux.HandleFunc("GET /mre/v1/variables", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"variables": variables})
	})
	mux.HandleFunc("POST /mre/v1/variables/{name}/swap", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Expected, Value any }
		_ = json.NewDecoder(r.Body).Decode(&body)
		swapped := variables[r.PathValue("name")] == body.Expected
		if swapped {
			variables[r.PathValue("name")] = body.Value
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"swapped": swapped})
	})
	mux.HandleFunc("GET /mre/v1/prompts/{name}", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"template": r.PathValue("name") + r.FormValue("version")})
	})
	mux.HandleFunc("POST /served/v2/models/m/infer", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Inputs []Tensor }
		_ = json.NewDecoder(r.Body).Decode(&body)
		body.Inputs[0].Name = "y"
		_ = json.NewEncoder(w).Encode(map[string]any{"outputs": body.Inputs})
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	t.Setenv("MRE_API", server.URL+"/mre/v1")
	ctx := t.Context()
	in := &Input{Media: &Media{}, Chunk: Chunk{Start: 6_000_000, End: 12_000_000}}

	var frames []string
	for f, err := range in.Frames(ctx, 2, Gray) {
		if err != nil {
			frames = append(frames, err.Error())
			break
		}
		frames = append(frames, fmt.Sprintf("%d %d %d %d %v", f.Start, f.End, f.Width, f.Height, f.Pixels))
	}
	want := []string{"6000000 6033367 2 1 [1 2]", "6033367 6066733 2 1 [3 4]",
		"the frames ended in frame 2 of 3: unexpected EOF"}
	if diff := cmp.Diff(want, frames); diff != "" {
		t.Error(diff)
	}
	for f, err := range (&Input{}).Frames(ctx, 2, Gray) {
		t.Error("a frame without media", f, err)
	}

	in.SetVariable("Theme", "sports")
	first, err1 := in.SwapVariable(ctx, "Count", 7.0, 8)
	second, err2 := in.SwapVariable(ctx, "Count", 1.0, 2)
	third, err3 := in.SwapVariable(ctx, "New", nil, "x")
	all, err4 := in.Variables(ctx)
	if err := errors.Join(err1, err2, err3, err4); err != nil || first || !second || !third {
		t.Error(first, second, third, err)
	}
	if diff := cmp.Diff(map[string]any{"Count": 2.0, "New": "x", "Theme": "sports"}, all); diff != "" {
		t.Error(diff)
	}
	if text, err := in.Prompt(ctx, "Describe it", "v2"); err != nil || text != "Describe itv2" {
		t.Error(text, err)
	}

	model := &Model{Name: "m", Protocol: "OpenInference", Address: server.URL + "/served/"}
	got, err := model.Infer(ctx, Tensor{Name: "x", Datatype: "FP32", Shape: []int{2}, Data: []float32{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Tensor{Name: "y", Datatype: "FP32", Shape: []int{2}, Data: []any{1.0, 2.0}},
		got["y"]); diff != "" {
		t.Error(diff)
	}
	if _, err := (&Model{Name: "m", Protocol: "Plain"}).Infer(ctx); err == nil {
		t.Error("a plain address was asked")
	}
}
