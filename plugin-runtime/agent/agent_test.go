// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

// plane answers like a data plane that has a list of tasks, and notes what it
// is told.
type plane struct {
	mu     sync.Mutex
	tasks  []api.Lease
	calls  []string
	bodies map[string]map[string]any
	leases []api.LeaseRequest
	// maxTasks and recycleAfter are the agent's limits.
	maxTasks, recycleAfter int
	// chain says that completing a task brings the next one.
	chain bool
	// end is the outcome after the last task; Done when empty.
	end api.LeaseResponseOutcome
	// answer may replace the answer to a call: 0 means the usual one.
	answer func(call string) int
}

func (p *plane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	call := path.Base(r.URL.Path)
	var body map[string]any
	raw := json.NewDecoder(r.Body)
	asks := call == "lease"
	if asks {
		var req api.LeaseRequest
		_ = raw.Decode(&req)
		p.leases = append(p.leases, req)
	} else {
		_ = raw.Decode(&body)
		asks = p.chain && call == "complete" && body["next"] != nil
		if p.bodies == nil {
			p.bodies = map[string]map[string]any{}
		}
		p.bodies[call] = body
	}
	p.calls = append(p.calls, call)
	if p.answer != nil {
		if status := p.answer(call); status != 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"title": "no", "status": status})
			return
		}
	}
	if !asks {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	resp := api.LeaseResponse{Outcome: api.LeaseResponseOutcomeDone}
	if p.end != "" {
		resp.Outcome = p.end
	}
	if len(p.tasks) > 0 {
		resp = api.LeaseResponse{Outcome: api.LeaseResponseOutcomeTask, Lease: &p.tasks[0]}
		p.tasks = p.tasks[1:]
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(resp)
}

func (p *plane) count(call string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, c := range p.calls {
		if c == call {
			n++
		}
	}
	return n
}

type runner func(ctx context.Context, l api.Lease) (api.TaskOutput, error)

func (r runner) Run(ctx context.Context, l api.Lease) (api.TaskOutput, error) { return r(ctx, l) }
func (runner) Chunk() int64                                                   { return 7 }

func task(id int64) api.Lease {
	return api.Lease{TaskID: id, Kind: api.TaskKindFeaturer, Token: "tok",
		Attempt: 1, LeaseSeconds: 60, TimeoutSeconds: 60}
}

// timekeeper ends its tasks itself.
type timekeeper struct{ runner }

func (timekeeper) KeepsTime(api.Lease) bool { return true }

func start(ctx context.Context, t *testing.T, p *plane, r runner) error {
	t.Helper()
	return startRunner(ctx, t, p, r)
}

func startRunner(ctx context.Context, t *testing.T, p *plane, r Runner) error {
	t.Helper()
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Options{BaseURL: srv.URL, RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	return Run(ctx, Config{Client: c, EventUID: "e", Holder: "pod-1", Pool: api.PoolWork, Runner: r,
		Patience: 3 * time.Second, MaxTasks: p.maxTasks, RecycleAfterChunks: p.recycleAfter,
		Ordinal: new(int32(3)), Log: slog.New(slog.DiscardHandler)})
}

func TestEndsAfterSoManyTasks(t *testing.T) {
	p := &plane{tasks: []api.Lease{task(1), task(2), task(3)}, maxTasks: 2}
	if err := start(t.Context(), t, p, func(context.Context, api.Lease) (api.TaskOutput, error) {
		return api.TaskOutput{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"lease", "complete", "lease", "complete"}; !slices.Equal(p.calls, want) {
		t.Fatalf("calls %v, want %v", p.calls, want)
	}
}

// A task that is done brings the next one: only the first is asked for.
func TestCompletingBringsTheNextTask(t *testing.T) {
	for _, end := range []api.LeaseResponseOutcome{api.LeaseResponseOutcomeDone, api.LeaseResponseOutcomeRetire} {
		p := &plane{tasks: []api.Lease{task(1), task(2), task(3)}, chain: true, end: end}
		if err := start(t.Context(), t, p, func(context.Context, api.Lease) (api.TaskOutput, error) {
			return api.TaskOutput{}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if want := []string{"lease", "complete", "complete", "complete"}; !slices.Equal(p.calls, want) {
			t.Errorf("%s: calls %v, want %v", end, p.calls, want)
		}
		if l := p.leases[0]; l.Ordinal == nil || *l.Ordinal != 3 || l.OnlyChunks != nil {
			t.Errorf("lease said %+v", l)
		}
	}
}

// An agent that is fresh for every two chunks asks for no third one.
func TestRecycledAfterChunks(t *testing.T) {
	p := &plane{recycleAfter: 2, end: api.LeaseResponseOutcomeRetire}
	for i, chunk := range []int64{4, 0, 4, 5, 5} {
		l := task(int64(i + 1))
		l.Chunk = chunk
		p.tasks = append(p.tasks, l)
	}
	if err := start(t.Context(), t, p, func(context.Context, api.Lease) (api.TaskOutput, error) {
		return api.TaskOutput{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	var asked [][]int64
	for _, l := range p.leases {
		asked = append(asked, l.OnlyChunks)
	}
	if want := [][]int64{nil, nil, nil, nil, {4, 5}, {4, 5}}; !slices.EqualFunc(asked, want, slices.Equal[[]int64]) {
		t.Errorf("asked for chunks %v, want %v", asked, want)
	}
}

func TestWorksUntilDone(t *testing.T) {
	p := &plane{tasks: []api.Lease{task(1), task(2)}}
	if err := start(t.Context(), t, p, func(_ context.Context, l api.Lease) (api.TaskOutput, error) {
		return api.TaskOutput{Results: []api.NewResult{{StartMicros: l.TaskID, Attributes: map[string]any{}}}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"lease", "complete", "lease", "complete", "lease"}; !slices.Equal(p.calls, want) {
		t.Fatalf("calls %v, want %v", p.calls, want)
	}
	if p.bodies["complete"]["token"] != "tok" {
		t.Errorf("complete said %v", p.bodies["complete"])
	}
	if l := p.leases[0]; l.Holder != "pod-1" || l.Pool != api.PoolWork ||
		l.Chunk == nil || *l.Chunk != 7 || l.WaitSeconds == 0 {
		t.Errorf("lease said %+v", l)
	}
}

func TestFailureCostsAnAttemptNotTheProcess(t *testing.T) {
	tests := map[string]struct {
		run       runner
		want      string
		retryable bool
		away      bool
	}{
		"error": {func(context.Context, api.Lease) (api.TaskOutput, error) {
			return api.TaskOutput{}, errors.New("bad unit")
		}, "bad unit", true, false},
		"permanent": {func(context.Context, api.Lease) (api.TaskOutput, error) {
			return api.TaskOutput{}, Permanent(errors.New("no such plugin"))
		}, "no such plugin", false, false},
		"panic": {func(context.Context, api.Lease) (api.TaskOutput, error) {
			panic("index out of range")
		}, "panicked: index out of range", true, false},
		"object store": {func(context.Context, api.Lease) (api.TaskOutput, error) {
			return api.TaskOutput{}, fmt.Errorf("fetch chunk 3: %w", presigned.Away(errors.New("connection refused")))
		}, "fetch chunk 3: the object store is away: connection refused", true, true},
		"long": {func(context.Context, api.Lease) (api.TaskOutput, error) {
			return api.TaskOutput{}, errors.New(strings.Repeat("é", 5000))
		}, "éé", true, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &plane{tasks: []api.Lease{task(1)}}
			if err := start(t.Context(), t, p, tt.run); err != nil {
				t.Fatal(err)
			}
			said := p.bodies["fail"]
			message, _ := said["message"].(string)
			away, _ := said["storeAway"].(bool)
			if !strings.Contains(message, tt.want) || said["retryable"] != tt.retryable ||
				away != tt.away || len(message) > maxMessage {
				t.Fatalf("fail said %v", said)
			}
		})
	}
}

func TestTimeoutFailsTheAttempt(t *testing.T) {
	l := task(1)
	l.TimeoutSeconds = 1
	p := &plane{tasks: []api.Lease{l}}
	if err := start(t.Context(), t, p, func(ctx context.Context, _ api.Lease) (api.TaskOutput, error) {
		<-ctx.Done()
		return api.TaskOutput{}, ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	if m, _ := p.bodies["fail"]["message"].(string); !strings.Contains(m, "timed out after 1 s") {
		t.Fatalf("fail said %q", m)
	}
}

// A run whose time its runner keeps goes on after the time-out: a plugin that starts does not lose its own time.
func TestRunnerKeepsTheTime(t *testing.T) {
	l := task(1)
	l.TimeoutSeconds = 1
	p := &plane{tasks: []api.Lease{l}}
	if err := startRunner(t.Context(), t, p, timekeeper{func(ctx context.Context, _ api.Lease) (api.TaskOutput, error) {
		select {
		case <-ctx.Done():
		case <-time.After(1500 * time.Millisecond):
		}
		return api.TaskOutput{}, context.Cause(ctx)
	}}); err != nil {
		t.Fatal(err)
	}
	if p.count("complete") != 1 {
		t.Fatalf("calls %v", p.calls)
	}
}

func TestHeartbeatsAndLostLease(t *testing.T) {
	l := task(1)
	l.LeaseSeconds = 1
	p := &plane{tasks: []api.Lease{l}}
	beats := 0
	p.answer = func(call string) int {
		if call != "heartbeat" {
			return 0
		}
		if beats++; beats == 1 {
			return http.StatusServiceUnavailable // not a lost lease
		} else if beats == 3 {
			return http.StatusConflict
		}
		return 0
	}
	var why error
	if err := start(t.Context(), t, p, func(ctx context.Context, _ api.Lease) (api.TaskOutput, error) {
		<-ctx.Done()
		why = context.Cause(ctx)
		return api.TaskOutput{}, ctx.Err()
	}); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(why, errLeaseLost) || p.count("fail")+p.count("complete")+p.count("release") != 0 {
		t.Fatalf("cause %v, calls %v", why, p.calls)
	}
}

func TestStopGivesTheTaskBack(t *testing.T) {
	p := &plane{tasks: []api.Lease{task(1), task(2)}}
	ctx, cancel := context.WithCancel(t.Context())
	err := start(ctx, t, p, func(ctx context.Context, _ api.Lease) (api.TaskOutput, error) {
		cancel()
		<-ctx.Done()
		return api.TaskOutput{}, ctx.Err()
	})
	if !errors.Is(err, ErrStopped) {
		t.Fatalf("err = %v, want ErrStopped: a stopped Job must not look complete", err)
	}
	if want := []string{"lease", "release"}; !slices.Equal(p.calls, want) {
		t.Fatalf("calls %v, want %v", p.calls, want)
	}
	if p.bodies["release"]["untried"] != false {
		t.Errorf("a task that was begun goes back as %v", p.bodies["release"])
	}
}

// A task that came with the order to stop was not begun.
func TestStopBetweenTasksCostsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &plane{tasks: []api.Lease{task(1), task(2)}, chain: true, answer: func(call string) int {
		if call == "complete" {
			cancel()
		}
		return 0
	}}
	ran := 0
	err := start(ctx, t, p, func(context.Context, api.Lease) (api.TaskOutput, error) {
		ran++
		return api.TaskOutput{}, nil
	})
	if !errors.Is(err, ErrStopped) || ran != 1 {
		t.Fatalf("err %v after %d runs", err, ran)
	}
	if want := []string{"lease", "complete", "release"}; !slices.Equal(p.calls, want) ||
		p.bodies["release"]["untried"] != true {
		t.Errorf("calls %v, want %v; released as %v", p.calls, want, p.bodies["release"])
	}
}

func TestStopPublishesWorkThatIsDone(t *testing.T) {
	p := &plane{tasks: []api.Lease{task(1)}}
	ctx, cancel := context.WithCancel(t.Context())
	err := start(ctx, t, p, func(context.Context, api.Lease) (api.TaskOutput, error) {
		cancel()
		return api.TaskOutput{}, nil
	})
	if !errors.Is(err, ErrStopped) || p.count("complete") != 1 {
		t.Fatalf("err %v, calls %v", err, p.calls)
	}
}

func TestOutlivesADataPlaneThatComesBack(t *testing.T) {
	p := &plane{tasks: []api.Lease{task(1)}}
	failures := 0
	p.answer = func(string) int {
		if failures++; failures%2 == 1 {
			return http.StatusServiceUnavailable
		}
		return 0
	}
	if err := start(t.Context(), t, p, func(context.Context, api.Lease) (api.TaskOutput, error) {
		return api.TaskOutput{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if p.count("complete") != 2 {
		t.Fatalf("calls %v", p.calls)
	}
}

func TestGivesUpWithoutADataPlane(t *testing.T) {
	p := &plane{answer: func(string) int { return http.StatusServiceUnavailable }}
	err := start(t.Context(), t, p, nil)
	if err == nil || errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "gave up") {
		t.Fatalf("err = %v", err)
	}
}

func TestDeletedEventEndsTheAgent(t *testing.T) {
	p := &plane{answer: func(string) int { return http.StatusGone }}
	if err := start(t.Context(), t, p, nil); err != nil {
		t.Fatal(err)
	}
}

func TestRefusedOutputFailsTheAttempt(t *testing.T) {
	p := &plane{tasks: []api.Lease{task(1)}, answer: func(call string) int {
		if call == "complete" {
			return http.StatusBadRequest
		}
		return 0
	}}
	if err := start(t.Context(), t, p, func(context.Context, api.Lease) (api.TaskOutput, error) {
		return api.TaskOutput{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if p.bodies["fail"]["retryable"] != false {
		t.Fatalf("fail said %v", p.bodies["fail"])
	}
}
