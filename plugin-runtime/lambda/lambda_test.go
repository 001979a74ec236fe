// SPDX-License-Identifier: Apache-2.0

package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// rig is a server with what it said of its plugin's health.
type rig struct {
	*Server
	t      *testing.T
	mu     sync.Mutex
	health []string
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t}
	r.Server = New(Config{Plugin: "ball", StartTimeout: 300 * time.Second, Log: slog.New(slog.DiscardHandler),
		Other: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
		Health: func(state api.PluginHealthReportState, words string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.health = append(r.health, strings.TrimSpace(string(state)+" "+words))
		}})
	return r
}

func (r *rig) call(ctx context.Context, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
	return w
}

func (r *rig) post(path, body string) int {
	return r.call(r.t.Context(), http.MethodPost, path, body).Code
}

// got is what a process was handed.
type got struct {
	status    int
	id, event string
	header    http.Header
}

func (r *rig) next(ctx context.Context) got {
	w := r.call(ctx, http.MethodGet, "/2018-06-01/runtime/invocation/next", "")
	return got{w.Code, w.Header().Get("Lambda-Runtime-Aws-Request-Id"), w.Body.String(), w.Header()}
}

// process takes the next invocation as the plugin's process does.
func (r *rig) process() got {
	g := r.next(r.t.Context())
	if g.status != http.StatusOK {
		r.t.Errorf("next answered %d %s", g.status, g.event)
	}
	return g
}

func (r *rig) respond(id, body string) int {
	return r.post("/2018-06-01/runtime/invocation/"+id+"/response", body)
}

func (r *rig) exit(e Exit) {
	body, err := json.Marshal(e)
	if err != nil {
		r.t.Fatal(err)
	}
	if status := r.post(ExitsPath, string(body)); status != http.StatusAccepted {
		r.t.Errorf("exit answered %d", status)
	}
}

type result struct {
	answer string
	err    error
}

// invoke runs the plugin beside the test.
func (r *rig) invoke(ctx context.Context, event string) chan result {
	done := make(chan result, 1)
	go func() {
		answer, err := r.Invoke(ctx, Invocation{Timeout: time.Minute,
			Event: func(time.Time) ([]byte, error) { return []byte(event), nil }})
		done <- result{string(answer), err}
	}()
	synctest.Wait()
	return done
}

// in runs a test with a clock of its own.
func in(t *testing.T, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newRig(t)) })
}

func TestHandsOutAndTakesTheAnswer(t *testing.T) {
	in(t, func(r *rig) {
		done := r.invoke(r.t.Context(), `{"Frame":1}`)
		time.Sleep(200 * time.Second) // a model is loaded: not the run's time
		taken := time.Now()
		g := r.process()
		if g.event != `{"Frame":1}` {
			t.Errorf("event %q", g.event)
		}
		if ms, _ := strconv.ParseInt(g.header.Get("Lambda-Runtime-Deadline-Ms"),
			10, 64); ms != taken.Add(time.Minute).UnixMilli() {
			t.Errorf("deadline %d, want a minute from when it was taken", ms)
		}
		for name, want := range map[string]string{
			"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:ball",
			"Content-Type":                        "application/json",
			"Content-Length":                      "11",
		} {
			if got := g.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if trace := g.header.Get("Lambda-Runtime-Trace-Id"); len(trace) != len(
			"Root=1-01234567-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0") {
			t.Errorf("trace id %q", trace)
		}
		time.Sleep(59 * time.Second)
		if status := r.respond(g.id, `{"ok":true}`); status != http.StatusAccepted {
			t.Errorf("response answered %d", status)
		}
		if got := <-done; got.answer != `{"ok":true}` || got.err != nil {
			t.Errorf("got %+v", got)
		}
		if len(r.health) != 0 {
			t.Errorf("said %v of a plugin that works", r.health)
		}
	})
}

// What a plugin does to one invocation, and how that one ends.
func TestFailures(t *testing.T) {
	path := func(g got, verb string) string { return "/2018-06-01/runtime/invocation/" + g.id + "/" + verb }
	tests := map[string]struct {
		do     func(r *rig)
		kind   Kind
		want   string
		health []string
	}{
		"reported": {func(r *rig) {
			r.post(path(r.process(), "error"),
				`{"errorMessage":"no ball","errorType":"ValueError","stackTrace":["a.py 3","b.py 4"]}`)
		}, Reported, "plugin ball: ValueError: no ball\na.py 3\nb.py 4", nil},
		"reported with a stack of objects": {func(r *rig) {
			r.post(path(r.process(), "error"), `{"errorMessage":"no ball","errorType":"E","stackTrace":[{"line":3}]}`)
		}, Reported, "plugin ball: E: no ball", nil},
		"reported as text": {func(r *rig) { r.post(path(r.process(), "error"), "boom") }, Reported, "plugin ball: boom", nil},
		"reported without words": {func(r *rig) { r.post(path(r.process(), "error"), "") }, Reported,
			"plugin ball: it reported an error without saying which", nil},
		"not JSON": {func(r *rig) { r.respond(r.process().id, "<html>") }, BadAnswer,
			`plugin ball: its answer is not JSON but 6 bytes that begin with "<html>"`, nil},
		"nothing": {func(r *rig) { r.respond(r.process().id, "") },
			BadAnswer, "plugin ball: its answer is not JSON but nothing", nil},
		"too large": {func(r *rig) {
			if status := r.respond(r.process().id, `"`+strings.Repeat("x", MaxAnswer)+
				`"`); status != http.StatusRequestEntityTooLarge {
				r.t.Errorf("response answered %d", status)
			}
		}, BadAnswer, "plugin ball: its answer is larger than 6 MiB", nil},
		"init error": {func(r *rig) {
			if status := r.post("/2018-06-01/runtime/init/error",
				`{"errorMessage":"No module named 'cv2'","errorType":"Runtime.ImportModuleError"}`); status != http.StatusAccepted {
				r.t.Errorf("init/error answered %d", status)
			}
		}, StartFailed, "plugin ball: it cannot start: Runtime.ImportModuleError: No module named 'cv2'",
			[]string{"StartFailed it cannot start: Runtime.ImportModuleError: No module named 'cv2'"}},
		"never asks": {func(*rig) {}, StartFailed, "plugin ball: it did not ask for work within startTimeoutSeconds (300 s)",
			[]string{"StartFailed it did not ask for work within startTimeoutSeconds (300 s)"}},
		"dies three times at its start": {func(r *rig) {
			for range 3 {
				r.exit(Exit{Instance: "a", Code: 127, Stderr: "python: not found\n"})
			}
		}, StartFailed, "plugin ball: its process ended with exit code 127; its last words: python: not found, before it " +
			"asked for work, 3 times in a row",
			[]string{"StartFailed its process ended with exit code 127; its last words: python: not " +
				"found, before it asked for work"}},
		"asks again": {func(r *rig) {
			r.process()
			ctx, cancel := context.WithCancel(r.t.Context())
			cancel()
			r.next(ctx)
		}, Crashed, "plugin ball: the plugin's process ended without an answer",
			[]string{"Crashed the plugin's process ended without an answer"}},
		"starts again and fails": {func(r *rig) {
			r.process()
			r.post("/2018-06-01/runtime/init/error", `{"errorMessage":"no memory"}`)
		}, Crashed, "plugin ball: the plugin's process ended without an answer",
			[]string{"Crashed the plugin's process ended without an answer", "StartFailed it cannot start: no memory"}},
		"supervisor says": {func(r *rig) {
			r.process()
			r.exit(Exit{Instance: "a", Code: -1, Signal: "segmentation fault", Stderr: "frame 7\n"})
		}, Crashed, "plugin ball: the plugin's process ended without an answer, by signal segmentation " +
			"fault; its last words: frame 7",
			[]string{"Crashed the plugin's process ended without an answer, by signal segmentation " +
				"fault; its last words: frame 7"}},
		"hangs": {func(r *rig) { r.process() }, TimedOut,
			"plugin ball: timed out after 60 s (timeoutSeconds) and is started again",
			[]string{"TimedOut timed out after 60 s (timeoutSeconds) and is started again"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in(t, func(r *rig) {
				done := r.invoke(r.t.Context(), "{}")
				tt.do(r)
				got := <-done
				var f *Failure
				if !errors.As(got.err, &f) || f.Kind != tt.kind || f.Error() != tt.want {
					t.Errorf("got %q (%v), want %q", got.err, f, tt.want)
				}
				if diff := cmp.Diff(tt.health, r.health); diff != "" {
					t.Errorf("health (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// An answer to an earlier invocation is refused, whatever the plugin does, and never taken for the current one.
func TestLateAnswersAreRefused(t *testing.T) {
	in(t, func(r *rig) {
		first := r.invoke(r.t.Context(), `1`)
		old := r.process()
		if got := <-first; got.err == nil {
			t.Fatal("no time-out")
		}
		second := r.invoke(r.t.Context(), `2`)
		if status := r.respond(old.id, `"late"`); status != http.StatusBadRequest {
			t.Errorf("an answer to what timed out got %d", status)
		}
		// The process that hung is not trusted with the next one before it asks again.
		g := r.process()
		if g.event != `2` || g.id == old.id {
			t.Fatalf("handed %+v", g)
		}
		if status := r.respond(old.id, `"late"`); status != http.StatusBadRequest {
			t.Errorf("an answer to what timed out got %d", status)
		}
		if status := r.post("/2018-06-01/runtime/invocation/"+old.id+"/error", `{}`); status != http.StatusBadRequest {
			t.Errorf("an error of what timed out got %d", status)
		}
		if status := r.respond(g.id, `"now"`); status != http.StatusAccepted {
			t.Errorf("the answer got %d", status)
		}
		if status := r.respond(g.id, `"again"`); status < 400 {
			t.Errorf("the second answer got %d", status)
		}
		if got := <-second; got.answer != `"now"` {
			t.Errorf("got %+v", got)
		}
		want := []string{"TimedOut timed out after 60 s (timeoutSeconds) and is started again", "Working"}
		if diff := cmp.Diff(want, r.health); diff != "" {
			t.Errorf("health (-want +got):\n%s", diff)
		}
	})
}

// A supervised process that hung gets nothing more: the next invocation waits for the one that is started instead.
func TestRestartOfASupervisedProcess(t *testing.T) {
	in(t, func(r *rig) {
		orders := func(query string) int64 {
			var o Orders
			if w := r.call(r.t.Context(), http.MethodGet, OrdersPath+query, ""); json.Unmarshal(w.Body.Bytes(), &o) != nil {
				t.Errorf("orders answered %d %s", w.Code, w.Body)
			}
			return o.Sequence
		}
		if n := orders("?instance=a"); n != 0 {
			t.Fatalf("the first answer is %d", n)
		}
		ordered := make(chan int64, 1)
		go func() {
			n := int64(0)
			for n == 0 {
				n = orders("?instance=a&after=0")
			}
			ordered <- n
		}()
		first := r.invoke(r.t.Context(), `1`)
		r.process()
		if got := <-first; got.err == nil {
			t.Fatal("no time-out")
		}
		if n := <-ordered; n != 1 {
			t.Fatalf("order %d", n)
		}
		second := r.invoke(r.t.Context(), `2`)
		hung := make(chan got, 1)
		go func() { hung <- r.next(r.t.Context()) }()
		synctest.Wait()
		r.exit(Exit{Instance: "a", Sequence: 1, Ordered: true, Code: -1, Signal: "killed"})
		if g := <-hung; g.status != http.StatusConflict {
			t.Errorf("the process that hung was handed %+v", g)
		}
		g := r.process()
		r.respond(g.id, `"fresh"`)
		if got := <-second; got.answer != `"fresh"` || g.event != `2` {
			t.Errorf("got %+v", got)
		}
	})
}

// A supervisor that is new has no process yet: what was under way is gone.
func TestContainerStartedAgain(t *testing.T) {
	in(t, func(r *rig) {
		hello := func(instance string) { r.call(r.t.Context(), http.MethodGet, OrdersPath+"?instance="+instance, "") }
		hello("a")
		done := r.invoke(r.t.Context(), `1`)
		r.process()
		hello("a")
		hello("b")
		var f *Failure
		if got := <-done; !errors.As(got.err, &f) || f.Kind != Crashed ||
			!strings.Contains(f.Words, "container was started again") {
			t.Errorf("got %+v", got)
		}
	})
}

func TestLiveness(t *testing.T) {
	in(t, func(r *rig) {
		live := func(instance string) int {
			return r.call(r.t.Context(), http.MethodGet, LivePath+"?instance="+instance, "").Code
		}
		if live("a") != http.StatusOK {
			t.Error("not live before anything")
		}
		done := r.invoke(r.t.Context(), `1`)
		r.process()
		<-done
		if live("a") != http.StatusServiceUnavailable {
			t.Error("live after a time-out")
		}
		if live("b") != http.StatusOK {
			t.Error("the container that came after it is not live while it starts")
		}
	})
}

// Only the newest of the processes that ask gets work, and only one.
func TestParallelRequestsForWork(t *testing.T) {
	in(t, func(r *rig) {
		handed := make(chan got, 50)
		ctx, cancel := context.WithCancel(r.t.Context())
		for range 50 {
			go func() { handed <- r.next(ctx) }()
		}
		synctest.Wait()
		done := r.invoke(r.t.Context(), `1`)
		counts := map[int]int{}
		var id string
		for range 50 {
			g := <-handed
			counts[g.status]++
			if g.status == http.StatusOK {
				id = g.id
			}
		}
		cancel()
		if diff := cmp.Diff(map[int]int{http.StatusOK: 1, http.StatusConflict: 49}, counts); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		r.respond(id, `1`)
		if got := <-done; got.err != nil {
			t.Error(got.err)
		}
	})
}

// A process that goes away while it waits is not handed work.
func TestProcessGoneWhileItWaits(t *testing.T) {
	in(t, func(r *rig) {
		ctx, cancel := context.WithCancel(r.t.Context())
		go r.next(ctx)
		synctest.Wait()
		cancel()
		synctest.Wait()
		done := r.invoke(r.t.Context(), `1`)
		r.respond(r.process().id, `1`)
		if got := <-done; got.err != nil {
			t.Error(got.err)
		}
	})
}

// brokenWriter is a connection that broke in the moment of the hand-out.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestProcessGoneInTheMomentOfTheHandOut(t *testing.T) {
	in(t, func(r *rig) {
		go r.ServeHTTP(brokenWriter{httptest.NewRecorder()},
			httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, "/2018-06-01/runtime/invocation/next", nil))
		synctest.Wait()
		done := r.invoke(r.t.Context(), `1`)
		r.respond(r.process().id, `1`)
		if got := <-done; got.err != nil {
			t.Error(got.err)
		}
	})
}

func TestInvokeEndsWithItsContext(t *testing.T) {
	in(t, func(r *rig) {
		why := errors.New("the lease is lost")
		for _, handed := range []bool{false, true} {
			ctx, cancel := context.WithCancelCause(r.t.Context())
			done := r.invoke(ctx, `1`)
			if handed {
				r.process()
			}
			cancel(why)
			if got := <-done; !errors.Is(got.err, why) {
				t.Errorf("handed %v: got %v", handed, got.err)
			}
		}
		if len(r.health) != 0 {
			t.Errorf("said %v of a plugin that did nothing wrong", r.health)
		}
	})
}

func TestOneAtATime(t *testing.T) {
	in(t, func(r *rig) {
		ctx, cancel := context.WithCancel(r.t.Context())
		r.invoke(ctx, `1`)
		if got := <-r.invoke(ctx, `2`); got.err == nil {
			t.Error("two at a time")
		}
		cancel()
	})
}

func TestEventThatCannotBeMade(t *testing.T) {
	in(t, func(r *rig) {
		go r.process()
		synctest.Wait()
		why := errors.New("no such chunk")
		if _, err := r.Invoke(r.t.Context(), Invocation{Timeout: time.Minute, Event: func(time.Time) ([]byte, error) {
			return nil, why
		}}); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		// The process still waits.
		done := r.invoke(r.t.Context(), `2`)
		r.exit(Exit{Instance: "a"})
		if got := <-done; got.err == nil {
			t.Error("no failure")
		}
	})
}

func TestPaths(t *testing.T) {
	r := newRig(t)
	for _, tt := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/2018-06-01/runtime/invocation/x/response", http.StatusMethodNotAllowed},
		{"POST", "/2018-06-01/runtime/invocation/next", http.StatusMethodNotAllowed},
		{"POST", "/2018-06-01/runtime/invocation/x/response", http.StatusBadRequest},
		{"POST", "/2018-06-01/runtime/invocation/x/error", http.StatusBadRequest},
		{"POST", "/2018-06-01/runtime/invocation/x/y/response", http.StatusNotFound},
		{"POST", "/2018-06-01/runtime/invocation//response", http.StatusBadRequest},
		{"GET", "/2018-06-01/runtime", http.StatusNotFound},
		{"POST", "/mre/v1/supervisor/restart", http.StatusNotFound},
		{"POST", "/mre/v1/supervisor/exits", http.StatusBadRequest},
		{"GET", "/mre/v1/supervisor/orders", http.StatusBadRequest},
		{"GET", "/mre/v1/supervisor/orders?instance=a&after=x", http.StatusBadRequest},
		{"GET", "/2020-01-01/extension/register", http.StatusTeapot},
		{"GET", "//2018-06-01/runtime/invocation/next", http.StatusTeapot},
		{"POST", "/", http.StatusTeapot},
	} {
		if w := r.call(r.t.Context(), tt.method, tt.path, ""); w.Code != tt.want {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, w.Code, tt.want)
		}
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/2018-06-01/runtime/invocation/next", bytes.NewReader([]byte("x"))))
	if w.Code != http.StatusBadRequest {
		t.Errorf("next with a body: %d", w.Code)
	}
}

// Words are bounded, so that they fit into a task's failure and the plugin's health, and valid text.
func TestWordsAreBounded(t *testing.T) {
	in(t, func(r *rig) {
		done := r.invoke(r.t.Context(), `1`)
		body := fmt.Sprintf(`{"errorMessage":"%s","errorType":"%[1]s","stackTrace":["%[1]s"]}`, strings.Repeat("é", 20000))
		r.post("/2018-06-01/runtime/invocation/"+r.process().id+"/error", body)
		got := <-done
		if n := len(got.err.Error()); n > 2048 || n < 1000 {
			t.Errorf("%d bytes", n)
		}
	})
}
