// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

const invocationPath = "/2018-06-01/runtime/invocation/"

// invocation is what the agent hands out.
type invocation struct {
	id       string
	event    []byte
	deadline time.Time
}

// perTask is a client of the Runtime API that runs the command for each invocation.
func (s *supervisor) perTask(ctx context.Context) {
	for ctx.Err() == nil {
		s.acknowledge(ctx)
		in, err := s.next(ctx)
		if err != nil {
			pause(ctx, 50*time.Millisecond)
			continue
		}
		path, body := s.runOnce(ctx, in)
		if body == nil {
			continue // An order ended it: nobody waits for an answer.
		}
		if err := s.agent.post(ctx, invocationPath+in.id+path, body); err != nil {
			s.Log.Warn("answer", "error", err)
		}
	}
}

// next waits for an invocation, or for an order.
func (s *supervisor) next(ctx context.Context) (*invocation, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	due := s.due()
	go func() {
		select {
		case <-due:
			cancel()
		case <-ctx.Done():
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.agent.base+invocationPath+"next", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	event, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	ms, err := strconv.ParseInt(resp.Header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("next: the agent answered %s", resp.Status)
	}
	return &invocation{id: resp.Header.Get("Lambda-Runtime-Aws-Request-Id"),
		event: event, deadline: time.UnixMilli(ms)}, nil
}

// runOnce runs the command on an event and returns what is to be posted, and where.
func (s *supervisor) runOnce(ctx context.Context, in *invocation) (path string, body []byte) {
	got, err := s.feed(ctx, in)
	switch {
	case errors.Is(err, errOrdered):
		return "", nil
	case err != nil:
		// Two strings always have JSON.
		body, _ = json.Marshal(map[string]string{"errorType": "Exec", "errorMessage": err.Error()})
		return "/error", body
	}
	return "/response", got
}

var errOrdered = errors.New("ended by an order")

// feed gives the event to the command's standard input, and returns its standard output.
func (s *supervisor) feed(ctx context.Context, in *invocation) ([]byte, error) {
	//nolint:noctx // It is ended by its process group, and reaped by the family.
	cmd := exec.Command(s.Command[0], s.Command[1:]...)
	// The package of a plugin that finds the Runtime API would ask it for work, past its standard input.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "AWS_LAMBDA_RUNTIME_API=")
	})
	input, err := give(in.event)
	if err != nil {
		return nil, err
	}
	defer input.end()
	output, err := take()
	if err != nil {
		return nil, err
	}
	defer output.end()
	words, err := listenTo(os.Stderr)
	if err != nil {
		return nil, err
	}
	defer words.end()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input.child, output.child, words.child
	c, err := s.family.start(cmd)
	input.started()
	output.started()
	words.started()
	if err != nil {
		return nil, fmt.Errorf("the command cannot be started: %w", err)
	}
	status, err := s.watchOver(ctx, c, in.deadline, output.full)
	s.family.sweep()
	if err != nil {
		return nil, err
	}
	if code, signal := how(status); signal != "" {
		return nil, fmt.Errorf("the command ended by signal %s: %s", signal, last(words.end()))
	} else if code != 0 {
		return nil, fmt.Errorf("the command ended with exit code %d: %s", code, last(words.end()))
	}
	return output.end(), nil
}

// watchOver waits for the command's end, and makes it where there is a reason to.
func (s *supervisor) watchOver(ctx context.Context, c *child, deadline time.Time,
	full <-chan struct{}) (syscall.WaitStatus, error) {
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	var why error
	select {
	case status := <-c.done:
		select {
		case <-full:
			return status, errTooMuch
		default:
			return status, nil
		}
	case <-s.due():
		why = errOrdered
	case <-late.C:
		why = errors.New("the command did not end in time")
	case <-full:
		why = errTooMuch
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	return s.family.end(c), why
}

var errTooMuch = fmt.Errorf("the command wrote more than %d MiB to its standard output", lambda.MaxAnswer>>20)

func last(said string) string {
	if said = strings.TrimSpace(said); said == "" {
		return "it said nothing on standard error"
	}
	return said[max(0, len(said)-700):]
}
