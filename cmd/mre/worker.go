// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
	"github.com/mre-operator/mre-operator/plugin-runtime/chunkfile"
	"github.com/mre-operator/mre-operator/plugin-runtime/container"
	"github.com/mre-operator/mre-operator/plugin-runtime/facade"
	"github.com/mre-operator/mre-operator/plugin-runtime/frames"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
	"github.com/mre-operator/mre-operator/plugin-runtime/podlife"
	"github.com/mre-operator/mre-operator/plugin-runtime/worker"
)

func init() { commands = append(commands, newWorkerCommand) }

const (
	// followerWait is how long an agent that is done waits for the pod's main container to come and hear it: its
	// start waits for images to be pulled.
	followerWait = 10 * time.Minute
	// endWait is how long it waits for the pod's end then. A sidecar that ended by itself would be started again.
	endWait = 30 * time.Second
)

// containerOptions are the worker's flags for plugins in containers.
type containerOptions struct {
	pool, mediaDir, promptsDir, controlSocket string
	portBase                                  int
}

func newWorkerCommand() *cobra.Command {
	var o jobOptions
	var k containerOptions
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run the plugins of an Event",
		Long: "Leases analysis tasks of an Event, one after the other, and ends with 0 when there will be no more.\n\n" +
			"With --control-socket it is a sidecar among those of plugins in containers: it gives them work, says on the " +
			"socket when it is done, and then waits to be ended.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := worker.New(o.scratchDir, o.cacheMiB<<20)
			if err != nil {
				return err
			}
			if k.controlSocket == "" {
				return o.runAgent(cmd.Context(), api.WorkerPool(k.pool), runner)
			}
			return k.run(cmd.Context(), &o, runner)
		},
	}
	o.registerAgent(cmd, 256)
	f := cmd.Flags()
	f.StringVar(&k.pool, "pool", "", "The pool whose tasks are leased; empty for the one of everything that names none.")
	f.StringVar(&k.controlSocket, "control-socket", "", "The socket that the pod's main container follows, such as "+
		"/mre/run/agent.sock; set in pods with plugins in containers.")
	f.StringVar(&k.mediaDir, "media-dir", "/mre/media", "The folder of chunks, which plugins in containers see, too.")
	f.StringVar(&k.promptsDir, "prompts-dir", "/mre/prompts",
		"The folder with a folder for each ConfigMap of prompt templates.")
	f.IntVar(&k.portBase, "plugin-port-base", 9001,
		"The loopback port of the first plugin in a container; each has one of its own.")
	return cmd
}

// run works as a sidecar of plugins in containers.
func (k *containerOptions) run(ctx context.Context, o *jobOptions, runner *worker.Runner) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	plugins, err := k.start(ctx, serving, o, runner)
	if err != nil {
		stop()
		return err
	}
	defer func() {
		stop()
		if err := plugins.Wait(); err != nil {
			slog.Error("serve plugins", "error", err)
		}
	}()
	// The socket says that the plugins' ports are open.
	socket, err := podlife.Listen(ctx, k.controlSocket)
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	// A task that is taken while plugins' images are still being pulled would count against plugins that cannot help it.
	select {
	case <-socket.Followed():
	case <-ctx.Done():
		return fmt.Errorf("stopped: %w", agent.ErrStopped)
	}
	if err := o.runAgent(ctx, api.WorkerPool(k.pool), runner); err != nil {
		socket.Failed(err)
		return err
	}
	awaitEnd(ctx, socket.Done())
	return nil
}

// awaitEnd waits for the order to end, which comes when the main container has ended.
func awaitEnd(ctx context.Context, told <-chan struct{}) {
	select {
	case <-told:
	case <-ctx.Done():
		return
	case <-time.After(followerWait):
		slog.Warn("the main container did not come to hear that the work is done")
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(endWait):
	}
}

// start gives the plugins their ports.
func (k *containerOptions) start(ctx, serving context.Context, o *jobOptions,
	runner *worker.Runner) (*container.Set, error) {
	holder, err := o.name()
	if err != nil {
		return nil, err
	}
	patient, err := o.client(o.patience)
	if err != nil {
		return nil, err
	}
	plan, err := patient.Plan(ctx, o.eventUID)
	if err != nil {
		return nil, err
	}
	chunks, err := chunkfile.New(k.mediaDir, runner.Units())
	if err != nil {
		return nil, err
	}
	// A plugin waits for the answers of a façade.
	quick, err := o.client(5 * time.Second)
	if err != nil {
		return nil, err
	}
	log := slog.Default().With("event", o.eventUID)
	set, err := container.Start(serving, container.Config{
		Client: quick, EventUID: o.eventUID, Holder: holder, Plan: &plan, Pool: k.pool,
		PortBase: k.portBase, Chunks: chunks, Log: log,
		NewContract: func(p *api.PlanPlugin, baseURL string) container.Contract {
			return facade.New(facade.Config{Client: quick, EventUID: o.eventUID, Plan: &plan, Plugin: p, BaseURL: baseURL,
				PromptsDir: k.promptsDir, Frames: decodeFrames, Log: log.With("plugin", p.Name)})
		},
	})
	if err != nil {
		return nil, err
	}
	runner.UseContainers(set)
	return set, nil
}

// decodeFrames decodes a run's chunk for its plugin.
func decodeFrames(ctx context.Context, run *invocation.Run, p facade.FrameParams) (facade.FrameFile, error) {
	if run.Media == nil {
		return facade.FrameFile{}, errors.New("no media came for the chunk")
	}
	s, err := frames.Get(ctx, run.Media.Path, frames.Params{Width: p.Width, Format: frames.Format(p.Format),
		Rate: p.Rate})
	if err != nil {
		return facade.FrameFile{}, err
	}
	return facade.FrameFile{Path: s.Path, Width: s.Width, Height: s.Height, Frames: s.Frames,
		Rate: s.Rate, FirstMicros: run.Chunk().StartMicros}, nil
}
