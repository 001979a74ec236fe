// SPDX-License-Identifier: Apache-2.0

package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Invocation is one run of the plugin.
type Invocation struct {
	// Timeout counts from when the process takes the invocation.
	Timeout time.Duration
	// Event makes the JSON for the process, once it is known until when it must have answered. It is called
	// again when the process was gone before it had the event.
	Event func(deadline time.Time) ([]byte, error)
}

// call is an invocation under way. Its fields are the server's, but for the channels.
type call struct {
	// id is of this call alone: a task that is tried again by the same worker is another one.
	id            string
	handed, ended bool
	// deaths of the process while the call waited for it.
	deaths int
	// wake says that a process asks for work, returned that it was gone before it had the event.
	wake, returned chan struct{}
	outcome        chan outcome
}

type outcome struct {
	answer []byte
	err    error
}

// end gives the call its outcome; the first one counts. The server's lock is held.
func (c *call) end(o outcome) bool {
	if c.ended {
		return false
	}
	c.ended = true
	c.outcome <- o
	return true
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// poll is a process that waits for work.
type poll struct {
	work      chan work
	dismissed chan struct{}
}

// work is what a process is handed.
type work struct {
	call     *call
	event    []byte
	deadline time.Time
}

var errReturned = errors.New("the process was gone before it had the event")

// Invoke runs the plugin once. It ends with an answer, which is JSON; with a *Failure; or with the context.
func (s *Server) Invoke(ctx context.Context, in Invocation) ([]byte, error) {
	c := &call{id: uuid.NewString(), wake: make(chan struct{}, 1),
		returned: make(chan struct{}, 1), outcome: make(chan outcome, 1)}
	s.mu.Lock()
	if s.call != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("plugin %s runs already: it takes one task at a time", s.config.Plugin)
	}
	s.call = c
	s.mu.Unlock()
	defer s.forget(c)

	late := time.NewTimer(s.config.StartTimeout)
	defer late.Stop()
	for {
		if err := s.await(ctx, c, late.C); err != nil {
			return nil, err
		}
		deadline := time.Now().Add(in.Timeout)
		event, err := in.Event(deadline)
		if err != nil {
			return nil, err
		}
		if !s.hand(work{call: c, event: event, deadline: deadline}) {
			continue
		}
		answer, err := s.answer(ctx, c, in.Timeout, deadline)
		if !errors.Is(err, errReturned) {
			return answer, err
		}
	}
}

// await waits until a process asks for work.
func (s *Server) await(ctx context.Context, c *call, late <-chan time.Time) error {
	for {
		s.mu.Lock()
		ready := s.poll != nil && !s.condemned
		s.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-c.wake:
		case o := <-c.outcome:
			return o.err
		case <-late:
			return s.tooLate()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tooLate gives a process up that does not come to ask for work.
func (s *Server) tooLate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	words := fmt.Sprintf("it did not ask for work within startTimeoutSeconds (%d s)", int(s.config.StartTimeout.Seconds()))
	if s.startError != "" {
		words += "; " + s.startError
	}
	s.is(api.PluginHealthReportStateStartFailed, words)
	// Also where an order was given already: a supervisor whose report of having done it got lost does it again.
	s.restart()
	return s.failure(StartFailed, words)
}

// hand gives the work to the process that waits, if it still does.
func (s *Server) hand(w work) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poll == nil || s.condemned {
		return false
	}
	s.poll.work <- w
	s.poll = nil
	w.call.handed, w.call.deaths = true, 0
	return true
}

// answer waits for the outcome of a call that was handed out.
func (s *Server) answer(ctx context.Context, c *call, timeout time.Duration, deadline time.Time) ([]byte, error) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case o := <-c.outcome:
		return o.answer, o.err
	case <-c.returned:
		return nil, errReturned
	case <-t.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case o := <-c.outcome:
		// It came in the same moment.
		return o.answer, o.err
	default:
	}
	// The process is busy with what nobody waits for any more.
	c.ended = true
	s.restart()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	words := fmt.Sprintf("timed out after %d s (timeoutSeconds) and is started again", int(timeout.Seconds()))
	s.is(api.PluginHealthReportStateTimedOut, words)
	return nil, s.failure(TimedOut, words)
}

// forget ends a call, so that its answer is refused from now on.
func (s *Server) forget(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == c {
		s.call = nil
	}
}

func (s *Server) failure(kind Kind, words string) *Failure {
	return &Failure{Plugin: s.config.Plugin, Kind: kind, Words: words}
}

// crashed ends the call that a process took with it; the lock is held.
func (s *Server) crashed(how string) {
	if s.call == nil || !s.call.handed {
		return
	}
	words := "the plugin's process ended without an answer"
	if how != "" {
		words += ", " + how
	}
	if s.call.end(outcome{err: s.failure(Crashed, words)}) {
		s.is(api.PluginHealthReportStateCrashed, words)
	}
}

// startFailed notes that a process did not come to ask for work; the lock is held.
func (s *Server) startFailed(words string) {
	s.startError = words
	s.is(api.PluginHealthReportStateStartFailed, words)
}

// answered ends a call by what the process said of it. It is false for a call that is not under way.
func (s *Server) answered(id string, o outcome) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == nil || s.call.id != id || !s.call.handed || !s.call.end(o) {
		return false
	}
	// It speaks: that the answer is an error is the task's affair.
	s.is(api.PluginHealthReportStateWorking, "")
	return true
}

// judge checks that an answer is JSON.
func (s *Server) judge(body []byte) outcome {
	if json.Valid(body) {
		return outcome{answer: body}
	}
	said := "nothing"
	if len(body) > 0 {
		said = fmt.Sprintf("%d bytes that begin with %q", len(body), head(string(body[:min(len(body), 200)]), 80))
	}
	return outcome{err: s.failure(BadAnswer, "its answer is not JSON but "+said)}
}
