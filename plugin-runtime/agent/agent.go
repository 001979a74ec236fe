// SPDX-License-Identifier: Apache-2.0

// Package agent is the loop of a worker or render Job: it leases a task, runs
// it, reports, and leases the next at once, until the data plane says that no
// more will come.
//
// A plugin that fails, panics or takes too long costs an attempt, not the
// process. A lost lease ends the run, since another worker has the task. When
// the process is told to stop, the task goes back untried.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// Runner does the work of a task.
type Runner interface {
	// Run returns the task's output; its token is set by the loop. It ends
	// soon after its context does.
	Run(ctx context.Context, lease api.Lease) (api.TaskOutput, error)
	// Chunk is the chunk whose units are at hand, or 0: its tasks are
	// preferred.
	Chunk() int64
}

// Config is one agent.
type Config struct {
	Client   *client.Client
	EventUID string
	// Holder names the agent to people: its pod.
	Holder string
	Pool   api.Pool
	Runner Runner
	// Patience is how long the data plane may be away before the agent gives
	// up, so that a Job does not hang for ever.
	Patience time.Duration
	// MaxTasks ends the agent after so many tasks, for those who want a fresh
	// process for each; 0 is no limit.
	MaxTasks int
	Log      *slog.Logger
}

// ErrStopped says that the agent was told to stop before its work was done.
var ErrStopped = errors.New("told to stop before the Event was done")

// Permanent marks an error that another attempt would meet again.
func Permanent(err error) error { return &permanent{err} }

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

const (
	// pollSeconds is how long the data plane holds a lease request open.
	pollSeconds = 20
	// lastWords bounds what is still said after the order to stop: a pod has
	// 10 s in all.
	lastWords = 4 * time.Second
	// pause is the longest wait before the data plane is asked again.
	pause = 5 * time.Second
)

// Run works until there is nothing left to do (nil), until the context ends
// (ErrStopped), or until the data plane has been away for too long.
func Run(ctx context.Context, c Config) error {
	a := &agent{Config: c, heard: time.Now()}
	for done := 0; c.MaxTasks == 0 || done < c.MaxTasks; done++ {
		lease, err := a.next(ctx)
		switch {
		case err != nil:
			return err
		case lease == nil:
			return nil
		}
		if err := a.work(ctx, *lease); err != nil {
			return err
		}
	}
	return nil
}

type agent struct {
	Config
	// heard is when the data plane last answered; misses counts the failed
	// calls since.
	heard  time.Time
	misses int
}

// next leases a task; nil means that none will come any more.
func (a *agent) next(ctx context.Context) (*api.Lease, error) {
	for {
		req := api.LeaseRequest{Pool: a.Pool, Holder: a.Holder, WaitSeconds: pollSeconds}
		if chunk := a.Runner.Chunk(); chunk > 0 {
			req.Chunk = &chunk
		}
		asked := time.Now()
		resp, err := a.Client.Lease(ctx, a.EventUID, req)
		switch {
		case ctx.Err() != nil:
			// A lease that was granted just now expires by itself.
			return nil, ErrStopped
		case client.Is(err, api.ProblemCodeGone):
			a.Log.Info("the Event was deleted; there is nothing left to do")
			return nil, nil
		case client.Is(err, api.ProblemCodeInvalid):
			return nil, err
		case err != nil:
			if err := a.missed(ctx, err); err != nil {
				return nil, err
			}
			continue
		}
		a.answered()
		switch resp.Outcome {
		case api.LeaseResponseOutcomeDone:
			a.Log.Info("no more tasks will come")
			return nil, nil
		case api.LeaseResponseOutcomeTask:
			if resp.Lease != nil {
				return resp.Lease, nil
			}
		}
		// The data plane waits, so this is no busy loop; but it may answer at
		// once while it shuts down.
		if time.Since(asked) < time.Second && !sleep(ctx, time.Second) {
			return nil, ErrStopped
		}
	}
}

func (a *agent) answered() { a.heard, a.misses = time.Now(), 0 }

// missed waits after a call that failed, or gives up.
func (a *agent) missed(ctx context.Context, err error) error {
	if time.Since(a.heard) > a.Patience {
		return fmt.Errorf("gave up after %s without the data plane: %w", a.Patience, err)
	}
	a.misses++
	wait := min(time.Duration(a.misses)*500*time.Millisecond, pause)
	// Many agents lose the data plane at the same moment.
	wait += rand.N(wait / 2)
	a.Log.Warn("the data plane does not help; trying again", "error", err, "wait", wait)
	if !sleep(ctx, wait) {
		return ErrStopped
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
