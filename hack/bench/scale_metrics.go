// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// sample is what the manager says about itself.
type sample struct {
	// reconciles of Events that did not fail, and those that did.
	reconciles, errors float64
	// depth of the queue of Events.
	depth  float64
	leader bool
}

func (s *scale) scrape(ctx context.Context) (sample, error) {
	status, text, err := get(ctx, "http://"+s.metrics+"/metrics")
	if err != nil {
		return sample{}, err
	}
	if status != http.StatusOK {
		return sample{}, fmt.Errorf("the manager's metrics: status %d", status)
	}
	failed := sumOf(text, "controller_runtime_reconcile_total", `controller="event"`, `result="error"`)
	return sample{
		reconciles: sumOf(text, "controller_runtime_reconcile_total", `controller="event"`) - failed,
		errors:     failed,
		depth:      sumOf(text, "workqueue_depth", `controller="event"`),
		leader:     sumOf(text, "leader_election_master_status") > 0,
	}, nil
}

// sumOf adds the values of a metric's series that have all the labels.
func sumOf(text, name string, labels ...string) (sum float64) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+"{")
		if !ok {
			continue
		}
		series, value, ok := strings.Cut(rest, "} ")
		for _, l := range labels {
			ok = ok && strings.Contains(series, l)
		}
		if !ok {
			continue
		}
		if f, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
			sum += f
		}
	}
	return sum
}

// memory of a process in bytes: what it takes now, and the most that it ever took.
type memory struct{ now, peak int64 }

func memoryOf(pid int) (memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, fmt.Errorf("read the manager's memory: %w", err)
	}
	var m memory
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("read the manager's memory: %q: %w", line, err)
		}
		switch fields[0] {
		case "VmRSS:":
			m.now = n << 10
		case "VmHWM:":
			m.peak = n << 10
		}
	}
	if m.now == 0 || m.peak == 0 {
		return memory{}, fmt.Errorf("read the manager's memory: process %d has no VmRSS or VmHWM; has it ended?", pid)
	}
	return m, nil
}

func get(ctx context.Context, url string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}
