// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

const (
	// helloTries at the agent, before the command is started without it.
	helloTries = 10
	// reportTries at telling the agent how the command ended.
	reportTries = 3
	// callTime bounds one call, pollTime one that waits for orders.
	callTime = 3 * time.Second
	pollTime = 40 * time.Second
	retry    = 500 * time.Millisecond
)

// agent is the agent's ear and mouth.
type agent struct {
	base     string
	instance string
	log      *slog.Logger
	// latest is the number of the last order. news is closed, and made anew, when it changes.
	latest atomic.Int64
	mu     sync.Mutex
	news   chan struct{}
}

func newAgent(runtimeAPI string, log *slog.Logger) *agent {
	return &agent{base: "http://" + runtimeAPI, instance: uuid.NewString(), log: log, news: make(chan struct{})}
}

// above is closed when there is an order other than this one.
func (a *agent) above(carried int64) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.latest.Load() != carried {
		now := make(chan struct{})
		close(now)
		return now
	}
	return a.news
}

func (a *agent) heard(sequence int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.latest.Swap(sequence) != sequence {
		close(a.news)
		a.news = make(chan struct{})
	}
}

// hello says that this process is new, before it starts the command, and returns the number of the last order to
// those before it.
func (a *agent) hello(ctx context.Context) int64 {
	for range helloTries {
		o, err := a.orders(ctx, callTime, nil)
		if err == nil {
			a.heard(o.Sequence)
			return o.Sequence
		}
		a.log.Warn("the agent does not answer", "error", err)
		if !pause(ctx, retry) {
			break
		}
	}
	return 0
}

// listen waits for orders.
func (a *agent) listen(ctx context.Context) {
	for ctx.Err() == nil {
		latest := a.latest.Load()
		o, err := a.orders(ctx, pollTime, &latest)
		if err != nil {
			pause(ctx, retry)
			continue
		}
		a.heard(o.Sequence)
	}
}

func (a *agent) orders(ctx context.Context, limit time.Duration, after *int64) (lambda.Orders, error) {
	var o lambda.Orders
	q := url.Values{"instance": {a.instance}}
	if after != nil {
		q.Set("after", strconv.FormatInt(*after, 10))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+lambda.OrdersPath+"?"+q.Encode(), nil)
	if err != nil {
		return o, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return o, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return o, fmt.Errorf("orders: the agent answered %s", resp.Status)
	}
	return o, json.NewDecoder(resp.Body).Decode(&o)
}

// report tells the agent how the command ended, before it is started again: what is under way then was the old
// one's.
func (a *agent) report(ctx context.Context, e lambda.Exit) {
	e.Instance = a.instance
	body, err := json.Marshal(e)
	for try := 0; err == nil && try < reportTries; try++ {
		if err := a.post(ctx, lambda.ExitsPath, body); err == nil {
			return
		} else if a.log.Warn("report the command's end", "error", err); !pause(ctx, retry) {
			return
		}
	}
}

func (a *agent) post(ctx context.Context, path string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s: the agent answered %s", path, resp.Status)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
