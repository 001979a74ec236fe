// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

var (
	errLeaseLost = errors.New("the lease is lost")
	errTimeout   = errors.New("timed out")
)

const (
	// stopGrace is how long a run may take to notice that it is over; less
	// than a pod has to end.
	stopGrace = 5 * time.Second
	// maxMessage is what a failure may say.
	maxMessage = 4096
)

// work runs one task and reports how it went. A task that is done brings the
// next one, unless it is to be the last. Its error ends the agent.
func (a *agent) work(ctx context.Context, lease api.Lease, last bool) (*api.Lease, error) {
	log := a.Log.With("task", lease.TaskID, "kind", lease.Kind, "attempt", lease.Attempt)
	if ctx.Err() != nil {
		return nil, a.giveBack(ctx, lease, true)
	}
	runCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if lease.TimeoutSeconds > 0 && !a.keepsTime(lease) {
		t := time.AfterFunc(time.Duration(lease.TimeoutSeconds)*time.Second, func() { cancel(errTimeout) })
		defer t.Stop()
	}
	stopBeats := a.beat(runCtx, lease, cancel)
	defer stopBeats()

	began := time.Now()
	out, err := a.run(runCtx, lease)
	took := time.Since(began)
	cause := context.Cause(runCtx)

	// What follows must be said even when the order to stop has come.
	say, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	if ctx.Err() != nil {
		var end context.CancelFunc
		say, end = context.WithTimeout(say, lastWords)
		defer end()
	}
	switch {
	case errors.Is(cause, errLeaseLost):
		log.Warn("the lease went to another worker", "took", took)
		return nil, stuck(err)
	case err == nil:
		log.Info("done", "took", took)
		if !last && ctx.Err() == nil {
			next := a.request(0)
			out.Next = &next
		}
		return a.complete(ctx, say, lease, out)
	case ctx.Err() != nil && !errors.Is(cause, errTimeout):
		log.Info("given back: told to stop", "took", took)
		return nil, a.giveBack(ctx, lease, false)
	case errors.Is(cause, errTimeout):
		err = fmt.Errorf("timed out after %d s: %w", lease.TimeoutSeconds, err)
	}
	log.Error("failed", "took", took, "error", err)
	if reported := a.fail(ctx, say, lease, err); reported != nil {
		return nil, reported
	}
	return nil, stuck(err)
}

// giveBack gives a task back after the order to stop. One that was begun counts as lost: if its pods are evicted for
// what it does, such as for a disk that it fills, it must not go round for ever. What is not begun costs nothing, so
// that whoever is told to leave between two tasks harms none.
func (a *agent) giveBack(ctx context.Context, lease api.Lease, untried bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := a.Client.Release(ctx, a.EventUID, lease.TaskID, lease.Token, untried); err != nil {
		a.Log.Warn("release", "task", lease.TaskID, "error", err)
	}
	return ErrStopped
}

// keepsTime says that the runner ends the task in time itself.
func (a *agent) keepsTime(lease api.Lease) bool {
	t, ok := a.Runner.(Timekeeper)
	return ok && t.KeepsTime(lease)
}

// errStuck says that a plugin went on after its time was up. It holds memory
// and a processor, so the process makes room for a fresh one.
var errStuck = errors.New("the plugin does not stop; ending the process")

func stuck(err error) error {
	if errors.Is(err, errStuck) {
		return errStuck
	}
	return nil
}

// run calls the runner; a panic becomes an error.
func (a *agent) run(ctx context.Context, lease api.Lease) (api.TaskOutput, error) {
	type answer struct {
		out api.TaskOutput
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		var got answer
		defer func() {
			if p := recover(); p != nil {
				got = answer{err: fmt.Errorf("the plugin panicked: %v\n%s", p, debug.Stack())}
			}
			answers <- got
		}()
		got.out, got.err = a.Runner.Run(ctx, lease)
	}()
	select {
	case got := <-answers:
		return got.out, got.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case got := <-answers:
		return got.out, got.err
	case <-grace.C:
		return api.TaskOutput{}, errStuck
	}
}

// beat extends the lease until the returned function is called.
func (a *agent) beat(ctx context.Context, lease api.Lease, cancel context.CancelCauseFunc) func() {
	every := max(time.Duration(lease.LeaseSeconds)*time.Second/3, 200*time.Millisecond)
	beatCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		for sleep(beatCtx, every) {
			err := a.Client.Heartbeat(beatCtx, a.EventUID, lease.TaskID, lease.Token)
			if lost(err) {
				cancel(errLeaseLost)
				return
			}
			if err != nil && beatCtx.Err() == nil {
				a.Log.Warn("heartbeat", "task", lease.TaskID, "error", err)
			}
		}
	}()
	return stop
}

// lost says that a task is not ours any more.
func lost(err error) bool {
	switch client.Code(err) {
	case api.ProblemCodeLeaseLost, api.ProblemCodeConflict, api.ProblemCodeGone, api.ProblemCodeNotFound:
		return true
	}
	return false
}

// complete publishes the output and brings the next task. It goes on while the
// data plane is away: the work is worth more than the wait.
func (a *agent) complete(ctx, say context.Context, lease api.Lease, out api.TaskOutput) (*api.Lease, error) {
	out.Token = lease.Token
	var next *api.LeaseResponse
	err := a.report(ctx, say, "complete", lease, func() error {
		resp, err := a.Client.Complete(say, a.EventUID, lease.TaskID, out)
		next = resp
		if code := client.Code(err); code == api.ProblemCodeInvalid || code == api.ProblemCodeTooLarge {
			a.Log.Error("the data plane refuses the output", "task", lease.TaskID, "error", err)
			return a.fail(ctx, say, lease, Permanent(fmt.Errorf("the output was refused: %w", err)))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.hear(next), nil
}

func (a *agent) fail(ctx, say context.Context, lease api.Lease, why error) error {
	var p *permanent
	message := strings.ToValidUTF8(why.Error(), "?")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage-4], "") + "…"
	}
	failure := api.TaskFailure{Token: lease.Token, Message: message, Retryable: !errors.As(why, &p),
		StoreAway: new(errors.Is(why, presigned.ErrAway))}
	return a.report(ctx, say, "fail", lease, func() error { return a.Client.Fail(say, a.EventUID, lease.TaskID, failure) })
}

// report repeats a call until the data plane has heard it or does not want it.
func (a *agent) report(ctx, say context.Context, what string, lease api.Lease, call func() error) error {
	for {
		err := call()
		switch {
		case err == nil:
			a.answered()
			return nil
		case errors.Is(err, ErrStopped):
			return err
		case lost(err):
			a.Log.Warn("the task is not ours any more", "call", what, "task", lease.TaskID, "error", err)
			return nil
		case say.Err() != nil:
			return ErrStopped
		}
		if err := a.missed(ctx, err); err != nil {
			return err
		}
	}
}
