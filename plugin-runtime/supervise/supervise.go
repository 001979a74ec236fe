// SPDX-License-Identifier: Apache-2.0

// Package supervise looks after a plugin's command inside its container, as the container's first process.
//
// The kubelet starts a dead container again after longer and longer pauses. So the command is a child of this
// process, which starts it again within a second, kills what it left behind, and tells the agent how it ended. The
// agent orders a restart when the plugin does not answer in time.
//
// It must work in an image that holds nothing but the plugin.
package supervise

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

const (
	// grace is how long the command may take to end when it is told to.
	grace = 3 * time.Second
	// quick is a life so short that the next start waits longer.
	quick = time.Second
	// firstPause and lastPause bound the wait before a command is started again.
	firstPause = 200 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Config is one command.
type Config struct {
	// RuntimeAPI is the agent's host and port for the plugin.
	RuntimeAPI string
	Command    []string
	// Exec runs the command for each invocation, instead of letting it ask for them.
	Exec bool
	Log  *slog.Logger
}

// Run looks after the command until the context ends. Then nothing of it is left.
func Run(ctx context.Context, c Config) error {
	if os.Getpid() != 1 {
		// Orphans come to us, as they do to the first process of a container.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("become the parent of orphans: %w", err)
		}
	}
	s := &supervisor{Config: c, family: newFamily(), agent: newAgent(c.RuntimeAPI, c.Log)}
	stop := s.family.watch()
	defer stop()
	defer s.family.sweep()
	s.carried = s.agent.hello(ctx)
	go s.agent.listen(ctx)
	if c.Exec {
		s.perTask(ctx)
	} else {
		s.warm(ctx)
	}
	return nil
}

type supervisor struct {
	Config
	family *family
	agent  *agent
	// carried is the last order that was carried out.
	carried int64
}

// warm keeps the command running.
func (s *supervisor) warm(ctx context.Context) {
	var p pace
	for ctx.Err() == nil {
		began := time.Now()
		exit := s.live(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := p.after(time.Since(began))
		s.Log.Warn("the command ended; starting it again", "code", exit.Code, "signal",
			exit.Signal, "ordered", exit.Ordered, "wait", wait)
		s.agent.report(ctx, exit)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		s.acknowledge(ctx)
	}
}

// due is closed when there is an order that was not carried out.
func (s *supervisor) due() <-chan struct{} { return s.agent.above(s.carried) }

// acknowledge says that an order is carried out that came while nothing ran.
func (s *supervisor) acknowledge(ctx context.Context) {
	if n := s.agent.latest.Load(); n != s.carried {
		s.carried = n
		s.agent.report(ctx, lambda.Exit{Sequence: n, Ordered: true})
	}
}

// live runs the command once, to its end or an order.
func (s *supervisor) live(ctx context.Context) lambda.Exit {
	//nolint:noctx // It is ended by its process group, and reaped by the family.
	cmd := exec.Command(s.Command[0], s.Command[1:]...)
	cmd.Stdout = os.Stdout
	said, err := listenTo(os.Stderr)
	if err != nil {
		return s.notStarted(err)
	}
	cmd.Stderr = said.child
	child, err := s.family.start(cmd)
	said.started()
	if err != nil {
		said.end()
		return s.notStarted(err)
	}
	exit := lambda.Exit{}
	var status syscall.WaitStatus
	select {
	case status = <-child.done:
	case <-s.due():
		exit.Ordered = true
		s.carried = s.agent.latest.Load()
		status = s.family.end(child)
	case <-ctx.Done():
		status = s.family.end(child)
	}
	s.family.sweep()
	exit.Sequence, exit.Stderr = s.carried, said.end()
	exit.Code, exit.Signal = how(status)
	return exit
}

// notStarted is the exit of a command that could not be started, as a shell gives it.
func (s *supervisor) notStarted(err error) lambda.Exit {
	s.Log.Error("the command cannot be started", "error", err)
	return lambda.Exit{Sequence: s.carried, Code: 127, Stderr: err.Error()}
}

func how(status syscall.WaitStatus) (code int, signal string) {
	if status.Signaled() {
		return -1, status.Signal().String()
	}
	return status.ExitStatus(), ""
}

// pace is the wait before the next start: longer and longer for a command that dies at once.
type pace struct{ last time.Duration }

func (p *pace) after(lived time.Duration) time.Duration {
	if lived >= quick || p.last == 0 {
		p.last = firstPause
	} else {
		p.last = min(2*p.last, lastPause)
	}
	return p.last
}
