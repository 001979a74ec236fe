// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Result is one measurement of both sides.
type Result struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Ours is our figure; Peer that of the other side, where there is one.
	Ours float64  `json:"ours"`
	Peer *float64 `json:"peer"`
	// Ratio is Ours over Peer.
	Ratio *float64 `json:"ratio"`
	// Goal is what Ratio should not exceed, or Ours where there is no Peer.
	Goal *float64 `json:"goal"`
	// AtLeast turns the goal round: more is better.
	AtLeast bool `json:"atLeast,omitempty"`
	// Runs is how often each side was measured; the figures are the medians.
	Runs int `json:"runs"`
}

// against makes a Result with a peer.
func against(name, unit string, ours, peer float64, goal *float64, runs int) Result {
	ratio := ours / peer
	return Result{Name: name, Unit: unit, Ours: ours, Peer: &peer, Ratio: &ratio, Goal: goal, Runs: runs}
}

func (r Result) verdict() string {
	if r.Goal == nil {
		return ""
	}
	figure := r.Ours
	if r.Ratio != nil {
		figure = *r.Ratio
	}
	if figure == *r.Goal || (figure > *r.Goal) == r.AtLeast {
		return "met"
	}
	return "missed"
}

func printTable(w io.Writer, results []Result) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.AppendHeader(table.Row{"name", "unit", "ours", "peer", "ratio", "goal", "runs", ""})
	for _, r := range results {
		t.AppendRow(table.Row{r.Name, r.Unit, number(&r.Ours), number(r.Peer),
			number(r.Ratio), number(r.Goal), r.Runs, r.verdict()})
	}
	t.Render()
}

func number(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.3g", *f)
}

func write(path string, results []Result) error {
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	say("wrote %s", path)
	return nil
}
