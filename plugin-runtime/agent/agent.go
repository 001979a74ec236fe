// SPDX-License-Identifier: Apache-2.0

// Package agent is the loop of a worker or render Job: it leases a task, runs
// it, reports, and leases the next at once, until the data plane says that no
// more will come.
//
// A plugin that fails, panics or takes too long costs an attempt, not the
// process. A lost lease ends the run, since another worker has the task. When
// the process is told to stop, the task goes back, which counts as a loss.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
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

// Timekeeper is a Runner that ends some tasks in time itself: those whose time does not begin with the run, but
// when a plugin that starts first is there to take them.
type Timekeeper interface {
	KeepsTime(lease api.Lease) bool
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
	// Ordinal is the agent's slot among those of its pool; the data plane tells
	// slots above the wanted number to retire. Nil is never told.
	Ordinal *int32
	// MaxTasks ends the agent after so many tasks, for those who want a fresh
	// process for each; 0 is no limit.
	MaxTasks int
	// RecycleAfterChunks ends the agent when it has done all that there is to do
	// for so many chunks; 0 is no limit.
	RecycleAfterChunks int
	Log                *slog.Logger
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

// Run works until there is nothing left to do or the data plane says that this
// agent is not needed any more (nil), until the context ends (ErrStopped), or
// until the data plane has been away for too long.
func Run(ctx context.Context, c Config) error {
	a := &agent{Config: c, heard: time.Now()}
	var lease *api.Lease
	for done := 0; c.MaxTasks == 0 || done < c.MaxTasks; done++ {
		if lease == nil {
			var err error
			if lease, err = a.next(ctx); err != nil || lease == nil {
				return err
			}
		}
		a.note(lease.Chunk)
		last := done+1 == c.MaxTasks
		next, err := a.work(ctx, *lease, last)
		if err != nil || a.over {
			return err
		}
		lease = next
	}
	return nil
}

type agent struct {
	Config
	// heard is when the data plane last answered; misses counts the failed
	// calls since.
	heard  time.Time
	misses int
	// chunks are those that the agent has worked on, when it counts them.
	chunks []int64
	// over says that the data plane has no more tasks for this agent.
	over bool
}

// note counts chunks for an agent that is recycled.
func (a *agent) note(chunk int64) {
	if a.RecycleAfterChunks > 0 && chunk > 0 && !slices.Contains(a.chunks, chunk) {
		a.chunks = append(a.chunks, chunk)
	}
}

// request is what the agent asks for.
func (a *agent) request(waitSeconds int32) api.LeaseRequest {
	req := api.LeaseRequest{Pool: a.Pool, Holder: a.Holder, WaitSeconds: waitSeconds, Ordinal: a.Ordinal}
	if chunk := a.Runner.Chunk(); chunk > 0 {
		req.Chunk = &chunk
	}
	if a.RecycleAfterChunks > 0 && len(a.chunks) >= a.RecycleAfterChunks {
		req.OnlyChunks = a.chunks
	}
	return req
}

// next leases a task; nil means that none will come any more.
func (a *agent) next(ctx context.Context) (*api.Lease, error) {
	for {
		asked := time.Now()
		resp, err := a.Client.Lease(ctx, a.EventUID, a.request(pollSeconds))
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
		if lease := a.hear(&resp); lease != nil || a.over {
			return lease, nil
		}
		// The data plane waits, so this is no busy loop; but it may answer at
		// once while it shuts down.
		if time.Since(asked) < time.Second && !sleep(ctx, time.Second) {
			return nil, ErrStopped
		}
	}
}

// hear takes an answer apart: a task, or the word that there will be none.
func (a *agent) hear(resp *api.LeaseResponse) *api.Lease {
	switch {
	case resp == nil:
		return nil
	case resp.Outcome == api.LeaseResponseOutcomeDone:
		a.Log.Info("no more tasks will come")
		a.over = true
	case resp.Outcome == api.LeaseResponseOutcomeRetire:
		a.Log.Info("told to retire: others do the rest", "chunks", a.chunks)
		a.over = true
	}
	return resp.Lease
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
