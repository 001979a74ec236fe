// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/facade"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

// eventUID is the Event of these tests.
const eventUID = "7f0c4c52-0000-4000-8000-000000000001"

// testPlan has a plugin of each class, all in containers: two levels of dependants, video and audio.
func testPlan() api.Plan {
	plugin := func(name string, class api.PlanPluginClass, media api.PlanPluginMediaType,
		outputs []string, depends ...string) api.PlanPlugin {
		return api.PlanPlugin{Name: name, Class: class, MediaType: media, DependsOn: append([]string{}, depends...),
			Outputs: outputs, Configuration: map[string]any{"bias": "safe range"},
			Container:      &api.PlanContainer{Protocol: api.PlanContainerProtocolLambdaRuntime, StartTimeoutSeconds: 30},
			Prompts:        []api.PlanPrompt{{Name: "describe scene", ConfigMap: "describe"}, {Name: "gone", ConfigMap: "gone"}},
			TimeoutSeconds: 60, MaxAttempts: 2, OnFailure: api.PlanPluginOnFailureSkip}
	}
	video, audio := api.PlanPluginMediaTypeVideo, api.PlanPluginMediaTypeAudio
	return api.Plan{
		Hash: "plan-1", Event: api.PlanEvent{UID: eventUID, Namespace: "football", Name: "final", Program: "Open 2026 / Men",
			Profile: "soccer", Start: time.Date(2026, 6, 1, 14, 0, 0, 0, time.UTC)},
		Source: api.PlanSource{FileURL: "https://example.com/final.mp4"}, ChunkSeconds: 10, UnitMicros: unitMicros,
		MaxSegmentSeconds: 60, GapTimeoutSeconds: 60, DrainTimeoutSeconds: 600, Clips: api.PlanClips{Original: true},
		ProcessingFrameRate: &api.Rational{Num: 5, Den: 1}, Segmenter: "moments", Optimizer: new("cutter"),
		Labeler: new("namer"), Variables: map[string]string{"Last_Theme": "none"},
		Plugins: []api.PlanPlugin{
			plugin("scenes", api.PlanPluginClassFeaturer, video, []string{"Label", "Near"}),
			plugin("volley", api.PlanPluginClassFeaturer, video, []string{"Volley"}, "scenes"),
			plugin("noise", api.PlanPluginClassFeaturer, audio, []string{"Loud"}),
			plugin("moments", api.PlanPluginClassSegmenter, video, []string{"Pidx"}, "volley", "noise"),
			plugin("cutter", api.PlanPluginClassOptimizer, audio, []string{}, "noise"),
			plugin("namer", api.PlanPluginClassLabeler, video, []string{"Label", "Score"}, "volley", "noise"),
		},
	}
}

// world is an Event that is worked on by this test.
type world struct {
	*plane
	t       testing.TB
	plan    api.Plan
	prompts string
	ports   map[string]*port
	// failures are what plugins ended in, by task.
	failures []string
}

// port is one plugin's port: the Runtime API and, behind it, the façade.
type port struct {
	*facade.Facade
	url     string
	runtime *lambda.Server

	mu  sync.Mutex
	run *invocation.Run
}

func newWorld(t testing.TB, plan api.Plan) *world {
	t.Helper()
	w := &world{plane: startPlane(t), t: t, plan: plan, prompts: t.TempDir(), ports: map[string]*port{}}
	w.begin(t, plan)
	for i := range plan.Plugins {
		p := &port{}
		p.runtime = lambda.New(lambda.Config{Plugin: plan.Plugins[i].Name, StartTimeout: time.Minute, Other: p,
			Health: func(api.PluginHealthReportState, string) {}, Log: slog.New(slog.DiscardHandler)})
		srv := httptest.NewServer(p.runtime)
		t.Cleanup(srv.Close)
		p.url = srv.URL
		p.Facade = facade.New(facade.Config{Client: w.agent(t, plan.Event.UID), EventUID: plan.Event.UID, Plan: &w.plan,
			Plugin: &w.plan.Plugins[i], BaseURL: srv.URL, PromptsDir: w.prompts, Log: slog.New(slog.DiscardHandler)})
		w.ports[plan.Plugins[i].Name] = p
	}
	return w
}

// ServeHTTP answers what is not the Runtime API.
func (p *port) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	run := p.run
	p.mu.Unlock()
	p.Serve(run, w, r)
}

// noSignals is what framers find here: no plugin reads it.
var noSignals = json.RawMessage(`{}`)

// handler does a plugin's work: it gets the event and gives the answer.
type handler func(p *port, event []byte) ([]byte, error)

// process hands the work to whoever asks for it.
func process(p *port, event []byte) ([]byte, error) {
	return p.runtime.Invoke(context.Background(),
		lambda.Invocation{Timeout: time.Minute, Event: func(time.Time) ([]byte, error) { return event, nil }})
}

// work does every task that is ready, and what becomes ready by it.
func (w *world) work(handlers map[string]handler) {
	w.t.Helper()
	for {
		got, err := w.agent(w.t, w.plan.Event.UID).Lease(w.t.Context(), w.plan.Event.UID,
			api.LeaseRequest{Pool: api.PoolWork, Holder: "test"})
		if err != nil {
			w.t.Fatal(err)
		}
		if got.Outcome != api.LeaseResponseOutcomeTask {
			return
		}
		w.do(*got.Lease, handlers)
	}
}

func (w *world) do(lease api.Lease, handlers map[string]handler) {
	w.t.Helper()
	if lease.Kind == api.TaskKindFramer {
		if _, err := w.agent(w.t, w.plan.Event.UID).Complete(w.t.Context(), w.plan.Event.UID, lease.TaskID,
			api.TaskOutput{Token: lease.Token, Signals: new(noSignals)}); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	media := w.media(lease)
	run, err := invocation.New(lease, &w.plan, media, time.Now().Add(time.Minute))
	if err != nil {
		w.t.Fatal(err)
	}
	p := w.ports[run.Plugin.Name]
	out, err := p.invoke(run, handlers[run.Plugin.Name])
	ctx := w.t.Context()
	if err != nil {
		w.failures = append(w.failures, fmt.Sprintf("%s/%d: %v", run.Plugin.Name, lease.Chunk, err))
		err = w.agent(w.t, w.plan.Event.UID).Fail(ctx, w.plan.Event.UID, lease.TaskID,
			api.TaskFailure{Token: lease.Token, Message: err.Error(), Retryable: false})
	} else {
		_, err = w.agent(w.t, w.plan.Event.UID).Complete(ctx, w.plan.Event.UID, lease.TaskID, out)
	}
	if err != nil {
		w.t.Fatalf("%s on chunk %d: %v", run.Plugin.Name, lease.Chunk, err)
	}
}

func (p *port) invoke(run *invocation.Run, h handler) (api.TaskOutput, error) {
	event, err := p.Event(run)
	if err != nil {
		return api.TaskOutput{}, err
	}
	p.set(run)
	defer p.set(nil)
	answer, err := h(p, event)
	if err != nil {
		return api.TaskOutput{}, err
	}
	return p.Output(run, answer)
}

func (p *port) set(run *invocation.Run) {
	p.mu.Lock()
	p.run = run
	p.mu.Unlock()
}

// media joins the chunk's units, as the agent does.
func (w *world) media(lease api.Lease) *invocation.Media {
	w.t.Helper()
	if lease.Media == nil || len(lease.Media.Units) == 0 {
		return nil
	}
	name := invocation.MediaName(&w.plan, lease.Media.Chunk.Number)
	path := filepath.Join(w.t.TempDir(), strconv.FormatInt(lease.TaskID, 10)+"-"+name)
	file, err := os.Create(path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var size int64
	for _, u := range lease.Media.Units {
		size += fetch(w.t, u.URL, file)
	}
	return &invocation.Media{Path: path, Name: name, Bytes: size}
}

func fetch(t testing.TB, url string, to io.Writer) int64 {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(to, resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("fetch: %s %v", resp.Status, err)
	}
	return n
}
