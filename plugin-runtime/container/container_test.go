// SPDX-License-Identifier: Apache-2.0

package container

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/unitcache"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
	"github.com/mre-operator/mre-operator/plugin-runtime/chunkfile"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

// simple is a contract: the event says where the chunk is, the answer is the text of a result, and GET /run says
// which run is under way.
type simple struct{}

func (simple) Event(run *invocation.Run) ([]byte, error) {
	path := ""
	if run.Media != nil {
		path = run.Media.Path
	}
	return json.Marshal(map[string]any{"run": run.ID(), "path": path})
}

func (simple) Output(_ *invocation.Run, answer []byte) (api.TaskOutput, error) {
	var text string
	if err := json.Unmarshal(answer, &text); err != nil {
		return api.TaskOutput{}, errors.New("the answer is no text")
	}
	return api.TaskOutput{Results: []api.NewResult{{Attributes: map[string]any{"text": text}}}}, nil
}

func (simple) Serve(run *invocation.Run, w http.ResponseWriter, _ *http.Request) {
	if run == nil {
		fmt.Fprint(w, "none")
		return
	}
	fmt.Fprint(w, run.ID())
}

// rig is a pod's plugins, with a data plane that hears of their health, and a store of units.
type rig struct {
	*Set
	t      *testing.T
	base   int
	units  string
	mu     sync.Mutex
	health []string
	// away makes the data plane answer 503 so many times.
	away int
}

func start(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t}
	plane := httptest.NewServer(http.HandlerFunc(r.hear))
	t.Cleanup(plane.Close)
	units := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	}))
	t.Cleanup(units.Close)
	r.units = units.URL
	c, err := client.New(client.Options{BaseURL: plane.URL, RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	cache, err := unitcache.New(filepath.Join(t.TempDir(), "units"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := chunkfile.New(t.TempDir(), cache)
	if err != nil {
		t.Fatal(err)
	}
	plan := &api.Plan{Event: api.PlanEvent{Program: "Cup", Name: "Final"}, Plugins: []api.PlanPlugin{
		{Name: "builtin", Builtin: "SceneChange"},
		{Name: "ball", Container: &api.PlanContainer{StartTimeoutSeconds: 5}},
		{Name: "pose", Container: &api.PlanContainer{Pool: "gpu", StartTimeoutSeconds: 5}},
		{Name: "crowd", Container: &api.PlanContainer{StartTimeoutSeconds: 5}},
	}}
	r.base = ports(t, 2)
	ctx, cancel := context.WithCancel(context.Background())
	r.Set, err = Start(ctx, Config{Client: c, EventUID: "e", Holder: "pod-1", Plan: plan, PortBase: r.base, Chunks: chunks,
		Log: slog.New(slog.DiscardHandler), NewContract: func(*api.PlanPlugin, string) Contract { return simple{} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := r.Wait(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// ports finds free ones in a row.
func ports(t *testing.T, n int) int {
	t.Helper()
	for base := 20000 + os.Getpid()%10000; base < 65000; base += n {
		free := true
		for i := range n {
			var lc net.ListenConfig
			l, err := lc.Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// hear is the data plane.
func (r *rig) hear(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away > 0 {
		r.away--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var report api.PluginHealthReport
	if err := json.NewDecoder(req.Body).Decode(&report); err != nil {
		r.t.Error(err)
	}
	r.health = append(r.health,
		strings.TrimSpace(fmt.Sprintf("%s %s %s %s", req.URL.Path, report.Holder, report.State, report.Message)))
	w.WriteHeader(http.StatusNoContent)
}

// heard waits until the data plane was told so many words.
func (r *rig) heard(want ...string) {
	r.t.Helper()
	var got []string
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		got = slices.Clone(r.health)
		r.mu.Unlock()
		if len(got) >= len(want) {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("health (-want +got):\n%s", diff)
	}
}

// call is what a plugin's process says on its port: the i-th of the pod.
func (r *rig) call(i int, method, path, body string) (http.Header, string) {
	// The process does not end with the test, but with its port.
	req, err := http.NewRequestWithContext(context.Background(),
		method, fmt.Sprintf("http://127.0.0.1:%d%s", r.base+i, path), bytes.NewReader([]byte(body)))
	if err != nil {
		r.t.Error(err)
		return nil, ""
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return http.Header{}, ""
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.Header, string(b)
}

const next = "/2018-06-01/runtime/invocation/next"

// answers takes an invocation and answers it; it returns the event.
func (r *rig) answers(i int, answer string) map[string]string {
	h, event := r.call(i, http.MethodGet, next, "")
	r.call(i, http.MethodPost,
		"/2018-06-01/runtime/invocation/"+h.Get("Lambda-Runtime-Aws-Request-Id")+"/response", answer)
	var e map[string]string
	if err := json.Unmarshal([]byte(event), &e); err != nil {
		r.t.Errorf("event %q", event)
	}
	return e
}

func (r *rig) lease(task int64, units ...string) api.Lease {
	l := api.Lease{TaskID: task, Attempt: 1, Kind: api.TaskKindFeaturer, TimeoutSeconds: 60,
		Input: api.TaskInput{Featurer: &api.FeaturerInput{}}, Media: &api.ChunkMedia{Chunk: api.ChunkExtent{Number: 3}}}
	for _, u := range units {
		l.Media.Units = append(l.Media.Units, api.UnitRef{Key: u, URL: r.units + "/" + u})
	}
	return l
}

func TestRun(t *testing.T) {
	r := start(t)
	events := make(chan map[string]string, 1)
	during := make(chan string, 1)
	go func() {
		// A cold plugin: its start takes longer than the task may.
		time.Sleep(1500 * time.Millisecond)
		h, event := r.call(1, http.MethodGet, next, "")
		_, run := r.call(1, http.MethodGet, "/run", "")
		during <- run
		var e map[string]string
		_ = json.Unmarshal([]byte(event), &e)
		events <- e
		r.call(1, http.MethodPost,
			"/2018-06-01/runtime/invocation/"+h.Get("Lambda-Runtime-Aws-Request-Id")+"/response", `"well"`)
	}()
	if _, run := r.call(1, http.MethodGet, "/run", ""); run != "none" {
		t.Errorf("before the run there is %q", run)
	}
	l := r.lease(7, "a", "b")
	l.TimeoutSeconds = 1
	out, err := r.Run(t.Context(), "crowd", l)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Results) != 1 || out.Results[0].Attributes["text"] != "well" {
		t.Errorf("output %+v", out)
	}
	e := <-events
	if got, err := os.ReadFile(e["path"]); string(got) != "/a/b" ||
		filepath.Base(e["path"]) != "Cup_Final_1_00003.ts" || e["run"] != "7-1" {
		t.Errorf("event %v: %q, %v", e, got, err)
	}
	if run := <-during; run != "7-1" {
		t.Errorf("during the run there was %q", run)
	}
	if _, run := r.call(1, http.MethodGet, "/run", ""); run != "none" {
		t.Errorf("after the run there is %q", run)
	}
}

// TestFeaturersWantMedia: a Featurer that speaks the Runtime API is not invoked on a chunk without media, which MRE
// never does, and has found nothing in it; other classes are.
func TestFeaturersWantMedia(t *testing.T) {
	r := start(t)
	for i := range r.config.Plan.Plugins {
		if c := r.config.Plan.Plugins[i].Container; c != nil {
			c.Protocol = api.PlanContainerProtocolLambdaRuntime
		}
	}
	// Nobody asks for work, so that an invocation would fail.
	if out, err := r.Run(t.Context(), "ball", r.lease(1)); err != nil || len(out.Results) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	events := make(chan map[string]string, 1)
	go func() { events <- r.answers(0, `"well"`) }()
	segmenter := r.lease(2)
	segmenter.Kind, segmenter.Input = api.TaskKindSegmenter, api.TaskInput{Segmenter: &api.SegmenterInput{}}
	if _, err := r.Run(t.Context(), "ball", segmenter); err != nil {
		t.Error(err)
	}
	if e := <-events; e["run"] != "2-1" || e["path"] != "" {
		t.Errorf("event %v", e)
	}
}

func TestRunWithoutMedia(t *testing.T) {
	r := start(t)
	events := make(chan map[string]string, 1)
	go func() { events <- r.answers(0, `"well"`) }()
	if _, err := r.Run(t.Context(), "ball", r.lease(1)); err != nil {
		t.Error(err)
	}
	if e := <-events; e["path"] != "" {
		t.Errorf("event %v", e)
	}
}

func TestFailures(t *testing.T) {
	r := start(t)
	none := r.lease(1)
	none.Media = nil
	tests := map[string]struct {
		plugin    string
		lease     api.Lease
		answer    string
		want      string
		permanent bool
	}{
		"another pool": {"pose", r.lease(1), "",
			`plugin pose has no container in this pod, which is one of pool ""`, true},
		"no chunk": {"ball", none, "", "older than this worker", true},
		"media is gone": {"ball", r.lease(1, "missing"), "",
			"fetch chunk 3: fetch unit missing: the store answered 404", false},
		"answer of a bad": {"ball", r.lease(1), "7", "plugin ball: the answer is no text", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.answer != "" {
				go r.answers(0, tt.answer)
			}
			_, err := r.Run(t.Context(), tt.plugin, tt.lease)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if same := agent.Permanent(err); tt.permanent != (fmt.Sprintf("%T", err) == fmt.Sprintf("%T", same)) {
				t.Errorf("%v: permanent is not %v", err, tt.permanent)
			}
		})
	}
}

// A plugin that hangs loses its task; the next one works, and other plugins never notice. The data plane hears of
// it once, and when it works again, also when it was away in between.
func TestHangAndRecovery(t *testing.T) {
	r := start(t)
	l := r.lease(1)
	l.TimeoutSeconds = 1
	hang := func() {
		go r.call(0, http.MethodGet, next, "")
		_, err := r.Run(t.Context(), "ball", l)
		var f *lambda.Failure
		if !errors.As(err, &f) || f.Kind != lambda.TimedOut {
			t.Fatalf("got %v", err)
		}
	}
	hang()
	hang()
	timedOut := "/v1/events/e/plugins/ball/health pod-1 TimedOut timed out after 1 s (timeoutSeconds) and is started again"
	r.heard(timedOut)
	r.mu.Lock()
	r.away = 1
	r.mu.Unlock()
	for _, plugin := range []string{"crowd", "ball"} {
		go r.answers(map[string]int{"ball": 0, "crowd": 1}[plugin], `"well"`)
		if _, err := r.Run(t.Context(), plugin, r.lease(2)); err != nil {
			t.Errorf("%s: %v", plugin, err)
		}
	}
	r.heard(timedOut, "/v1/events/e/plugins/ball/health pod-1 Working")
}

func TestPortInUse(t *testing.T) {
	r := start(t)
	_, err := Start(t.Context(), r.config)
	if err == nil || !strings.Contains(err.Error(), "open the port of plugin ball") {
		t.Errorf("got %v", err)
	}
}
