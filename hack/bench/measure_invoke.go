// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
	"github.com/mre-operator/mre-operator/plugin-runtime/chunkfile"
	"github.com/mre-operator/mre-operator/plugin-runtime/container"
	"github.com/mre-operator/mre-operator/plugin-runtime/facade"
	"github.com/mre-operator/mre-operator/plugin-runtime/worker"
)

// invokeKinds are the plugins that an invocation is measured with; none of them does anything. The one that runs a
// command for each task has no goal: its time is that of starting Python.
var invokeKinds = []string{"builtin", "python", "go", "exec"}

func invokeNames(engine string) (names []string) {
	for _, kind := range invokeKinds {
		for _, p := range []string{"p50", "p99"} {
			names = append(names, fmt.Sprintf("invoke-overhead-ms-%s-%s-%s", p, kind, engine))
		}
	}
	return names
}

// measureInvoke is what a run of a plugin costs besides the plugin: from the moment when the worker has the lease to
// the moment when the result is published and durable and the next lease is there. The worker, the data plane and the
// plugins run on this machine; the plugins are processes of their own that do nothing, so that nothing is subtracted.
func measureInvoke(engine string) func(context.Context, *bench) ([]Result, error) {
	return func(ctx context.Context, b *bench) (_ []Result, err error) {
		p, err := startPlane(ctx, engine)
		if err != nil {
			return nil, err
		}
		defer func() {
			if e := p.stop(); err == nil {
				err = e
			}
		}()
		uid := uidOf("invoke", 0)
		if err := p.fillWith(ctx, uid, b.invokeChunks, invokePlugins()); err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp("", "mre-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		took, err := p.invoke(ctx, uid, dir, b.invokeChunks)
		if err != nil {
			return nil, err
		}
		goals := map[string]float64{"sqlite": 5, "postgres": 15}
		var out []Result
		for i, kind := range invokeKinds {
			// The last run of all has none behind it that would end its time.
			if len(took[kind]) < b.invokeChunks-1 {
				return nil, fmt.Errorf("%s ran %d times, want %d", kind, len(took[kind]), b.invokeChunks)
			}
			p50, p99 := new(goals[engine]), new(50.0)
			if kind == "exec" {
				p50, p99 = nil, nil
			}
			names := invokeNames(engine)[2*i : 2*i+2]
			out = append(out,
				Result{Name: names[0], Unit: "ms", Ours: median(took[kind]), Goal: p50, Runs: len(took[kind])},
				Result{Name: names[1], Unit: "ms", Ours: percentile(took[kind], 99), Goal: p99, Runs: len(took[kind])})
		}
		return out, nil
	}
}

// invokePlugins are a plugin of each kind, and a segmenter.
func invokePlugins() []api.PlanPlugin {
	var out []api.PlanPlugin
	for _, kind := range invokeKinds {
		q := idlePlugin(kind, api.PlanPluginClassFeaturer)
		q.Builtin = "scene-change"
		if kind != "builtin" {
			q.Builtin = ""
			q.Container = &api.PlanContainer{Protocol: api.PlanContainerProtocolLambdaRuntime,
				StartTimeoutSeconds: 60, Warm: new(true)}
		}
		if kind == "exec" {
			q.Container.Protocol = api.PlanContainerProtocolExec
		}
		out = append(out, q)
	}
	segment := idlePlugin("segment", api.PlanPluginClassSegmenter)
	segment.Builtin = "key-moment"
	return append(out, segment)
}

// invoke lets one worker do all tasks of an Event with real plugins, and returns the milliseconds of each plugin's
// runs.
func (p *plane) invoke(ctx context.Context, uid, dir string, count int) (map[string][]float64, error) {
	programs, err := buildPrograms(ctx, dir)
	if err != nil {
		return nil, err
	}
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(authtest.AgentToken("bench", uid)), 0o600); err != nil {
		return nil, err
	}
	c, err := client.New(client.Options{BaseURL: p.url, TokenFile: token, RetryFor: 5 * time.Second})
	if err != nil {
		return nil, err
	}
	plan, err := c.Plan(ctx, uid)
	if err != nil {
		return nil, err
	}
	runner, err := worker.New(filepath.Join(dir, "scratch"), 64<<20)
	if err != nil {
		return nil, err
	}
	media := filepath.Join(dir, "media")
	if err := os.Mkdir(media, 0o755); err != nil {
		return nil, err
	}
	chunks, err := chunkfile.New(media, runner.Units())
	if err != nil {
		return nil, err
	}
	base, err := freePorts(ctx, len(invokeKinds)-1)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	log := slog.New(slog.DiscardHandler)
	set, err := container.Start(ctx, container.Config{
		Client: c, EventUID: uid, Holder: "bench", Plan: &plan, PortBase: base, Chunks: chunks, Log: log,
		NewContract: func(q *api.PlanPlugin, url string) container.Contract {
			return facade.New(facade.Config{Client: c, EventUID: uid, Plan: &plan,
				Plugin: q, BaseURL: url, PromptsDir: dir, Log: log})
		},
	})
	if err != nil {
		return nil, err
	}
	runner.UseContainers(set)
	g := &errgroup.Group{}
	for i, q := range api.ContainerPlugins(&plan, "") {
		g.Go(func() error { return programs.supervise(ctx, q.Name, fmt.Sprintf("127.0.0.1:%d", base+i)) })
	}
	timed := &timedRunner{Runner: runner, took: map[string][]float64{}}
	// The Event's source goes on, so that the worker would wait for more.
	err = agent.Run(ctx, agent.Config{Client: c, EventUID: uid, Holder: "bench", Pool: api.PoolWork, Runner: timed,
		Patience: time.Minute, MaxTasks: count * (len(invokeKinds) + 2), Log: log})
	stop()
	if failed := g.Wait(); err == nil {
		err = failed
	}
	return timed.took, err
}

// timedRunner notes how long it is from the start of a run to that of the next one, which begins when the first is
// published. Framers are not run: there is no media.
type timedRunner struct {
	*worker.Runner

	mu      sync.Mutex
	plugin  string
	started time.Time
	took    map[string][]float64
}

var noSignals = json.RawMessage(`{}`)

func (r *timedRunner) Run(ctx context.Context, lease api.Lease) (api.TaskOutput, error) {
	r.mu.Lock()
	now := time.Now()
	if r.plugin != "" {
		r.took[r.plugin] = append(r.took[r.plugin], float64(now.Sub(r.started).Microseconds())/1000)
	}
	r.plugin, r.started = "", now
	if f := lease.Input.Featurer; f != nil {
		r.plugin = f.Plugin.Name
	}
	r.mu.Unlock()
	if lease.Kind == api.TaskKindFramer {
		return api.TaskOutput{Signals: &noSignals}, nil
	}
	return r.Runner.Run(ctx, lease)
}

// benchPrograms are mre itself and a plugin in Go, built for this run.
type benchPrograms struct{ mre, plugin string }

func buildPrograms(ctx context.Context, dir string) (benchPrograms, error) {
	p := benchPrograms{filepath.Join(dir, "mre"), filepath.Join(dir, "plugin")}
	for out, pkg := range map[string]string{p.mre: "./cmd/mre", p.plugin: "./test/e2e/plugins/bytes"} {
		if said, err := exec.CommandContext(ctx, "go", "build", "-o", out, pkg).CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", pkg, err, said)
		}
	}
	return p, nil
}

// supervise runs a plugin as its container does, until the context ends.
func (p benchPrograms) supervise(ctx context.Context, kind, address string) error {
	args := []string{"supervise", "--runtime-api=" + address}
	switch kind {
	case "python":
		args = append(args, "--", "python3", "hack/bench/plugins/idle.py")
	case "go":
		args = append(args, "--", p.plugin)
	case "exec":
		args = append(args, "--exec", "--", "python3", "test/e2e/plugins/once.py")
	}
	cmd := exec.CommandContext(ctx, p.mre, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+address,
		"MRE_API=http://"+address+"/mre/v1", "PYTHONPATH=plugin-runtime/python")
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("plugin %s ended: %w", kind, err)
	}
	return nil
}

// freePorts finds ports that lie side by side.
func freePorts(ctx context.Context, n int) (int, error) {
	var lc net.ListenConfig
	for base := 29001; base < 39000; base += 100 {
		free := true
		for i := range n {
			l, err := lc.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if err != nil {
				free = false
				break
			}
			l.Close()
		}
		if free {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports side by side", n)
}
