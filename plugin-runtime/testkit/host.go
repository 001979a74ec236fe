// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/plugin-runtime/facade"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

// host is the agent of the test: the plugin's port, and the plugin's process.
type host struct {
	o        Options
	plan     *api.Plan
	plugin   *api.PlanPlugin
	base     string
	address  string
	server   *lambda.Server
	facade   *facade.Facade
	launcher *launcher
	env      map[string]string
	// asked is told of each question for work.
	asked chan struct{}

	mu        sync.Mutex
	run       *invocation.Run
	initError string
	process   *process
	// lives counts the processes that were started.
	lives int
}

// nextPath is where a process asks for work.
const nextPath = "/2018-06-01/runtime/invocation/next"

// listen opens the plugin's port, and a data plane behind it. Both close with the context.
func listen(ctx context.Context, o Options, plan *api.Plan, behind *plane) (*host, error) {
	data, err := serve(ctx, behind.handler())
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.Options{BaseURL: "http://" + data, RetryFor: -1})
	if err != nil {
		return nil, err
	}
	h := &host{o: o, plan: plan, plugin: &plan.Plugins[0], asked: make(chan struct{}, 1)}
	log := slog.New(slog.NewTextHandler(o.Log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h.server = lambda.New(lambda.Config{
		Plugin: h.plugin.Name, StartTimeout: o.StartTimeout, Log: log,
		Other: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.mu.Lock()
			run := h.run
			h.mu.Unlock()
			h.facade.Serve(run, w, r)
		}),
		Health: func(state api.PluginHealthReportState, words string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if state == api.PluginHealthReportStateStartFailed {
				h.initError = words
			}
		},
	})
	h.address, err = serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == nextPath {
			select {
			case h.asked <- struct{}{}:
			default:
			}
		}
		h.server.ServeHTTP(w, r)
	}))
	if err != nil {
		return nil, err
	}
	h.base = "http://" + h.address
	h.facade = facade.New(facade.Config{Client: c, EventUID: plan.Event.UID, Plan: plan,
		Plugin: h.plugin, BaseURL: h.base, Frames: decode, Log: log})
	h.env = contractEnvironment(h.address, h.plugin)
	h.launcher, err = launcherOf(ctx, h)
	return h, err
}

func serve(ctx context.Context, handler http.Handler) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() { _ = s.Serve(l) }()
	return l.Addr().String(), nil
}

// runtimeAPI tells a process where to ask for work.
const runtimeAPI = "AWS_LAMBDA_RUNTIME_API"

// contractEnvironment is what a plugin's container finds.
func contractEnvironment(address string, p *api.PlanPlugin) map[string]string {
	base := "http://" + address
	return map[string]string{
		runtimeAPI: address, "AWS_ENDPOINT_URL": base, "AWS_ENDPOINT_URL_SSM": base,
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "mre",
		"AWS_SECRET_ACCESS_KEY": "mre", "AWS_LAMBDA_FUNCTION_NAME": p.Name,
		"AWS_LAMBDA_FUNCTION_TIMEOUT":     strconv.Itoa(int(p.TimeoutSeconds)),
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024", "FRAMEWORK_VERSION": "2.10.1",
		"MRE_PLUGIN": p.Name, "MRE_API": base + "/mre/v1", "TMPDIR": "/tmp", "HOME": "/tmp",
	}
}

// start brings the plugin to where it asks for work.
func (h *host) start(ctx context.Context) (time.Duration, error) {
	if h.o.Exec {
		return 0, nil
	}
	h.launcher.clear()
	h.mu.Lock()
	h.initError = ""
	h.mu.Unlock()
	select {
	case <-h.asked:
	default:
	}
	began := time.Now()
	var err error
	if h.process, err = begin(h.launcher.command, h.launcher.env, h.o.Dir, nil, nil, h.o.Log); err != nil {
		return 0, err
	}
	h.lives++
	late := time.NewTimer(h.o.StartTimeout)
	defer late.Stop()
	select {
	case <-h.asked:
		return time.Since(began), nil
	case <-h.process.done:
		if said := h.initWords(); said != "" {
			return 0, errors.New(said)
		}
		return 0, fmt.Errorf("the process ended before it asked for work, %s", h.process.ending())
	case <-late.C:
		words := fmt.Sprintf("it did not ask for work at http://$AWS_LAMBDA_RUNTIME_API%s within %s",
			nextPath, h.o.StartTimeout)
		if said := h.initWords(); said != "" {
			words += "; " + said
		}
		h.kill()
		return 0, errors.New(words)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (h *host) initWords() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.initError
}

// running starts the plugin again where it has ended.
func (h *host) running(ctx context.Context) error {
	if h.o.Exec || h.process != nil && !h.process.ended() {
		return nil
	}
	_, err := h.start(ctx)
	return err
}

func (h *host) kill() {
	if h.process != nil {
		h.process.kill()
	}
	h.launcher.clear()
}

// invoke runs the plugin once. change may alter the event on its way.
func (h *host) invoke(ctx context.Context, run *invocation.Run, timeout time.Duration,
	change func([]byte) []byte) ([]byte, error) {
	if err := h.running(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.run = run
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.run = nil
		h.mu.Unlock()
	}()
	event := func(deadline time.Time) ([]byte, error) {
		run.Deadline = deadline
		body, err := run.Event(h.base)
		if err == nil && change != nil {
			body = change(body)
		}
		return body, err
	}
	if h.o.Exec {
		return h.once(ctx, event, timeout)
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	process := h.process
	go func() {
		select {
		case <-process.done:
			cancel(fmt.Errorf("the process ended without an answer, %s", process.ending()))
		case <-running.Done():
		}
	}()
	answer, err := h.server.Invoke(running, lambda.Invocation{Timeout: timeout, Event: event})
	var failure *lambda.Failure
	if err != nil && (!errors.As(err, &failure) || failure.Kind == lambda.TimedOut) {
		// Who hangs is ended, as in the cluster.
		h.kill()
	}
	h.settle(ctx)
	switch {
	case !errors.As(err, &failure):
	case failure.Kind == lambda.TimedOut:
		err = &timedOutError{failure.Words}
	default:
		err = errors.New(failure.Words)
	}
	return answer, err
}

// timedOutError is a run that took too long.
type timedOutError struct{ words string }

func (e *timedOutError) Error() string { return e.words }

// settleTime is how long a process may take after a run to ask for work again or to end; the next run waits anyway.
const settleTime = 2 * time.Second

// settle waits until it is known whether the process goes on after a run: one that ends then has not failed the next
// run.
func (h *host) settle(ctx context.Context) {
	late := time.NewTimer(settleTime)
	defer late.Stop()
	select {
	case <-h.asked:
	case <-h.process.done:
	case <-late.C:
	case <-ctx.Done():
	}
}

// once is a run of the Exec protocol.
func (h *host) once(ctx context.Context, event func(time.Time) ([]byte, error), timeout time.Duration) ([]byte, error) {
	body, err := event(time.Now().Add(timeout))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	p, err := begin(h.launcher.command, h.launcher.env, h.o.Dir, bytes.NewReader(body),
		&limited{w: &out, left: lambda.MaxAnswer}, h.o.Log)
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		p.kill()
		h.launcher.clear()
		return nil, &timedOutError{fmt.Sprintf("it did not end within %s", timeout)}
	case <-ctx.Done():
		p.kill()
		return nil, ctx.Err()
	}
	if p.err != nil {
		return nil, fmt.Errorf("the command ended %s", p.ending())
	}
	return out.Bytes(), nil
}

type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, fmt.Errorf("the answer is larger than %d MiB", lambda.MaxAnswer>>20)
	}
	return l.w.Write(p)
}
