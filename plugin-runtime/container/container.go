// SPDX-License-Identifier: Apache-2.0

// Package container runs tasks in plugins that are containers of the agent's pod.
//
// Each plugin has a loopback port of its own, on which it finds the Lambda Runtime API and what its contract adds.
// What a plugin does ends its own task and no other one, and never the agent.
package container

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
	"github.com/mre-operator/mre-operator/plugin-runtime/chunkfile"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

// Contract is what a plugin is told, and what its words mean.
type Contract interface {
	// Event is the JSON that the plugin is invoked with.
	Event(run *invocation.Run) ([]byte, error)
	// Output makes the task's output of the plugin's answer and of what it staged. Its error is the plugin's failure.
	Output(run *invocation.Run, answer []byte) (api.TaskOutput, error)
	// Serve answers what is not the Runtime API. run is nil between runs.
	Serve(run *invocation.Run, w http.ResponseWriter, r *http.Request)
}

// Config is the plugins of one pod.
type Config struct {
	Client   *client.Client
	EventUID string
	// Holder names the pod to people.
	Holder string
	Plan   *api.Plan
	// Pool is the pod's pool; empty for the one of all others.
	Pool string
	// PortBase is the port of the first plugin.
	PortBase int
	Chunks   *chunkfile.Store
	// NewContract makes a plugin's contract. The plugin reaches the agent at the URL.
	NewContract func(plugin *api.PlanPlugin, baseURL string) Contract
	Log         *slog.Logger
}

// Set is the plugins of one pod, with their ports open.
type Set struct {
	config  Config
	plugins map[string]*plugin
	serving *errgroup.Group
}

type plugin struct {
	server   *lambda.Server
	contract Contract
	health   *health
	// run is the one under way.
	run atomic.Pointer[invocation.Run]
}

// Start opens the ports. They close with the context.
func Start(ctx context.Context, c Config) (*Set, error) {
	g, ctx := errgroup.WithContext(ctx)
	s := &Set{config: c, plugins: map[string]*plugin{}, serving: g}
	for i, p := range api.ContainerPlugins(c.Plan, c.Pool) {
		address := fmt.Sprintf("127.0.0.1:%d", c.PortBase+i)
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("open the port of plugin %s: %w", p.Name, err)
		}
		one := &plugin{contract: c.NewContract(p, "http://"+address), health: newHealth(c, p.Name)}
		one.server = lambda.New(lambda.Config{Plugin: p.Name,
			StartTimeout: time.Duration(p.Container.StartTimeoutSeconds) * time.Second,
			Other:        one, Health: one.health.is, Log: c.Log.With("plugin", p.Name)})
		s.plugins[p.Name] = one
		g.Go(func() error {
			if err := one.server.Serve(ctx, l); err != nil {
				return fmt.Errorf("serve plugin %s: %w", p.Name, err)
			}
			return nil
		})
		g.Go(func() error { one.health.send(ctx); return nil })
	}
	return s, nil
}

// Wait waits until the ports are closed.
func (s *Set) Wait() error { return s.serving.Wait() }

// ServeHTTP gives what is not the Runtime API to the contract.
func (p *plugin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.contract.Serve(p.run.Load(), w, r)
}

// withoutMedia says that a Featurer has nothing to look at: none of its chunk's media came. MRE's plugins count on a
// file, and MRE invokes none of them without.
func withoutMedia(plan *api.Plan, name string, lease api.Lease) bool {
	return lease.Kind == api.TaskKindFeaturer && len(lease.Media.Units) == 0 &&
		slices.ContainsFunc(plan.Plugins, func(p api.PlanPlugin) bool {
			return p.Name == name && p.Container != nil && p.Container.Protocol == api.PlanContainerProtocolLambdaRuntime
		})
}

// Run runs a plugin on a task. The task's time begins when the plugin takes it.
func (s *Set) Run(ctx context.Context, name string, lease api.Lease) (api.TaskOutput, error) {
	p, ok := s.plugins[name]
	if !ok {
		return api.TaskOutput{},
			agent.Permanent(fmt.Errorf("plugin %s has no container in this pod, which is one of pool %q", name, s.config.Pool))
	}
	if lease.Media == nil {
		return api.TaskOutput{},
			agent.Permanent(errors.New("the data plane gave no chunk with the task: is it older than this worker?"))
	}
	if withoutMedia(s.config.Plan, name, lease) {
		return api.TaskOutput{}, nil
	}
	media, release, err := s.config.Chunks.Get(ctx, s.config.Plan.Event, *lease.Media)
	if err != nil {
		return api.TaskOutput{}, err
	}
	defer release()
	defer p.run.Store(nil)
	var run *invocation.Run
	answer, err := p.server.Invoke(ctx, lambda.Invocation{
		Timeout: time.Duration(lease.TimeoutSeconds) * time.Second,
		Event: func(deadline time.Time) ([]byte, error) {
			// A process that is given the task anew finds nothing that the one before it has written.
			if run, err = invocation.New(lease, s.config.Plan, media, deadline); err != nil {
				return nil, agent.Permanent(err)
			}
			p.run.Store(run)
			return p.contract.Event(run)
		},
	})
	if err != nil {
		return api.TaskOutput{}, err
	}
	out, err := p.contract.Output(run, answer)
	if err != nil {
		return api.TaskOutput{}, fmt.Errorf("plugin %s: %w", name, err)
	}
	return out, nil
}
