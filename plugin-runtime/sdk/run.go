// SPDX-License-Identifier: Apache-2.0

package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// pause between tries while the agent is away.
const pause = 500 * time.Millisecond

// Run serves tasks until the process is told to stop. Without the Lambda Runtime API in the environment it takes one
// task from standard input and writes the answer to standard output. It exits the process with 1 when that failed.
func Run(handlers ...Handler) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// A handler that does not look at its context must not hold up the end.
	context.AfterFunc(ctx, func() { os.Exit(0) })
	var err error
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		err = serve(ctx, api, handlers)
	} else {
		err = once(ctx, handlers, os.Stdin, os.Stdout)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// InitError tells the agent why the plugin cannot start, so that the Event shows it, and exits.
func InitError(err error) {
	if api := os.Getenv("AWS_LAMBDA_RUNTIME_API"); api != "" {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		l := loop{base: "http://" + api + "/2018-06-01/runtime"}
		if _, _, e := l.call(ctx, http.MethodPost, "/init/error", failure(err)); e != nil {
			slog.Error("the agent cannot be told", "error", e)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func once(ctx context.Context, handlers []Handler, in io.Reader, out io.Writer) error {
	event, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read the task from standard input: %w", err)
	}
	said, err := invoke(ctx, handlers, event)
	if err != nil {
		return err
	}
	_, err = out.Write(said)
	return err
}

func serve(ctx context.Context, api string, handlers []Handler) error {
	l := loop{base: "http://" + api + "/2018-06-01/runtime"}
	for {
		head, event, err := l.call(ctx, http.MethodGet, "/invocation/next", nil)
		if err != nil {
			return err
		}
		path := "/invocation/" + head.Get("Lambda-Runtime-Aws-Request-Id")
		said, err := protect(ctx, handlers, event)
		if err != nil {
			slog.Error("the task failed", "error", err)
			path, said = path+"/error", failure(err)
		} else {
			path += "/response"
		}
		var refused *refusal
		if _, _, err := l.call(ctx, http.MethodPost, path, said); errors.As(err, &refused) {
			slog.Warn("the agent does not take the answer", "error", err)
		} else if err != nil {
			return err
		}
	}
}

// panicked is what a handler that panicked has said.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

func protect(ctx context.Context, handlers []Handler, event []byte) (said []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return invoke(ctx, handlers, event)
}

// failure is an error as the Runtime API tells it.
func failure(err error) []byte {
	kind, stack := fmt.Sprintf("%T", err), []string{}
	if p, ok := errors.AsType[*panicked](err); ok {
		kind, stack = "panic", strings.Split(string(p.stack), "\n")
	}
	// Text and lists of text can always be written.
	body, _ := json.Marshal(map[string]any{"errorType": kind, "errorMessage": err.Error(), "stackTrace": stack})
	return body
}

type loop struct{ base string }

// refusal is an answer of the agent that is no success.
type refusal struct {
	status string
	said   []byte
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the Runtime API answers %s: %s", r.status, r.said)
}

// call makes one call. While the agent is away it is tried again: the agent restarts faster than a model loads.
func (l loop) call(ctx context.Context, method, path string, body []byte) (http.Header, []byte, error) {
	told := false
	for {
		head, said, err := l.try(ctx, method, path, body)
		var refused *refusal
		if err == nil || errors.As(err, &refused) || ctx.Err() != nil {
			return head, said, err
		}
		if !told {
			slog.Warn("the agent is away", "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (l loop) try(ctx context.Context, method, path string, body []byte) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, l.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := loopback.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return nil, nil, &refusal{resp.Status, bytes.TrimSpace(said[:min(len(said), 1024)])}
	}
	return resp.Header, said, nil
}
