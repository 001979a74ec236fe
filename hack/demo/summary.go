// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// summary is what demo/out/summary.json holds. The counts are totals over the Events.
type summary struct {
	Chunks   int64              `json:"chunks"`
	Segments int64              `json:"segments"`
	Clips    int64              `json:"clips"`
	Reels    []reelSummary      `json:"reels"`
	Seconds  map[string]float64 `json:"seconds"`
	Sheet    string             `json:"contactSheet,omitempty"`
	Events   []eventSummary     `json:"events"`
}

type eventSummary struct {
	Name     string        `json:"name"`
	Failed   string        `json:"failed,omitempty"`
	Ingest   string        `json:"ingest,omitempty"`
	Chunks   int64         `json:"chunks"`
	Segments int64         `json:"segments"`
	Clips    int64         `json:"clips"`
	Reels    []reelSummary `json:"reels"`
	Exports  []string      `json:"exports"`
	Seconds  float64       `json:"seconds"`
}

type reelSummary struct {
	Event   string  `json:"event"`
	Path    string  `json:"path"`
	Width   int32   `json:"width"`
	Height  int32   `json:"height"`
	Seconds float64 `json:"seconds"`
	Frames  int64   `json:"frames"`
	// Digest is one hash over every decoded picture and sample: two runs with the same videos have the same one.
	Digest string `json:"digest"`
}

func (d *demo) summaryPath() string { return filepath.Join(d.out, "summary.json") }

func (d *demo) writeSummary() error {
	s := summary{Seconds: d.times.seconds(), Sheet: d.sheet, Reels: []reelSummary{}}
	for _, r := range d.runs {
		e := eventSummary{
			Name: r.name, Failed: r.outcome, Chunks: r.state.Progress.ChunksProcessed, Segments: int64(len(r.segments)),
			Clips: r.state.Progress.ClipsRendered, Exports: r.exports, Seconds: seconds(r.took), Reels: []reelSummary{},
		}
		if r.state.Timeline != nil {
			e.Ingest = string(r.state.Timeline.Ingest)
		}
		for _, reel := range r.reelFiles {
			e.Reels = append(e.Reels, reelSummary{
				Event: r.name, Path: reel.path, Digest: reel.digest,
				Width: reel.proof.Width, Height: reel.proof.Height, Frames: reel.proof.Frames,
				Seconds: float64(reel.proof.DurationMicros/1000) / 1000,
			})
		}
		s.Chunks += e.Chunks
		s.Segments += e.Segments
		s.Clips += e.Clips
		s.Reels = append(s.Reels, e.Reels...)
		s.Events = append(s.Events, e)
	}
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	if err := os.WriteFile(d.summaryPath(), append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}
