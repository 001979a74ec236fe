// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
)

const (
	// startGoal is how much longer than ffprobe and FFmpeg ingest may take to its first unit.
	startGoal      = 2.0
	secondsPerHour = 3600
)

// ingestReport is what a child that ingests says on its standard output.
type ingestReport struct {
	FirstUnit bool `json:"firstUnit,omitempty"`
}

// errEnough ends the child that is asked for the first unit alone.
var errEnough = errors.New("the first unit is stored")

// ingestChild ingests a source into a folder, as the child of the bench: each run pays for the start of a process, as a
// Job does.
func ingestChild(ctx context.Context, source string, firstOnly bool) error {
	dir, err := os.MkdirTemp("", "mre-bench-ingest-")
	if err != nil {
		return fmt.Errorf("make a folder for units: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	info, err := probe.Probe(ctx, source)
	if err != nil {
		return err
	}
	sink := &benchSink{Folder: ingest.Folder{Dir: dir}, firstOnly: firstOnly}
	err = ingest.Run(ctx, ingest.Config{URL: source, Info: info,
		Decision: probe.Decide(info), ChunkSeconds: chunkSeconds}, sink)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

type benchSink struct {
	ingest.Folder
	firstOnly bool
}

// Unit implements ingest.Sink.
func (s *benchSink) Unit(ctx context.Context, u ingest.Unit) error {
	if err := s.Folder.Unit(ctx, u); err != nil {
		return err
	}
	if err := os.Remove(s.Path(u.FirstTicks)); err != nil {
		return fmt.Errorf("remove a unit that was counted: %w", err)
	}
	if len(s.Units) > 1 {
		return nil
	}
	if err := json.NewEncoder(os.Stdout).Encode(ingestReport{FirstUnit: true}); err != nil {
		return fmt.Errorf("report the first unit: %w", err)
	}
	if s.firstOnly {
		return errEnough
	}
	return nil
}

// measureIngest compares the ingest of a file that is copied, over HTTP, with what FFmpeg alone needs for the like: the
// CPU time of all of it, and the time to the first unit.
func measureIngest(ctx context.Context, b *bench) ([]Result, error) {
	m, err := fixture(ctx, b.chunks)
	if err != nil {
		return nil, err
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(filepath.Dir(m.Path))))
	defer srv.Close()
	url := srv.URL + "/" + filepath.Base(m.Path)
	scale := secondsPerHour / float64(b.chunks*chunkSeconds)
	var cpu, peerCPU, start, peerStart []float64
	runs := b.times(5)
	for range runs {
		used, err := childCPU(exec.CommandContext(ctx, self(), "--ingest", url))
		if err != nil {
			return nil, err
		}
		plain, err := segmentCPU(ctx, url)
		if err != nil {
			return nil, err
		}
		first, err := firstLine(exec.CommandContext(ctx, self(), "--ingest", url, "--first-unit"))
		if err != nil {
			return nil, err
		}
		peer, err := peerFirst(ctx, url)
		if err != nil {
			return nil, err
		}
		say("  ingest %.0f CPU-s per hour, FFmpeg %.0f; first unit after %.2f s, FFmpeg's after %.2f s",
			used*scale, plain*scale, first.Seconds(), peer.Seconds())
		cpu, peerCPU = append(cpu, used*scale), append(peerCPU, plain*scale)
		start, peerStart = append(start, first.Seconds()), append(peerStart, peer.Seconds())
	}
	goal := startGoal
	return []Result{
		against("ingest-cpu-per-media-hour", "CPU-s", median(cpu), median(peerCPU), nil, runs),
		against("ingest-start", "s", median(start), median(peerStart), &goal, runs),
	}, nil
}

func self() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// childCPU runs a command and returns the CPU time of it and its children.
func childCPU(cmd *exec.Cmd) (float64, error) {
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}

// segmentArgs make FFmpeg cut a source into transport streams of some seconds, without re-encoding.
func segmentArgs(url, dir string) []string {
	return []string{"-v", "error", "-nostdin", "-i", url, "-map", "0", "-c", "copy", "-f", "segment", "-segment_time", "5",
		"-segment_list", "pipe:1", "-segment_list_flags", "live", filepath.Join(dir, "%05d.ts")}
}

// segmentCPU is what ffprobe and FFmpeg use for the whole file.
func segmentCPU(ctx context.Context, url string) (float64, error) {
	dir, err := os.MkdirTemp("", "mre-bench-segment-")
	if err != nil {
		return 0, fmt.Errorf("make a folder for segments: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	look, err := childCPU(exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_streams", "-show_format", url))
	if err != nil {
		return 0, err
	}
	cut, err := childCPU(exec.CommandContext(ctx, "ffmpeg", segmentArgs(url, dir)...))
	return look + cut, err
}

// peerFirst is how long ffprobe takes, and FFmpeg after it to its first finished segment.
func peerFirst(ctx context.Context, url string) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "mre-bench-segment-")
	if err != nil {
		return 0, fmt.Errorf("make a folder for segments: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	began := time.Now()
	if _, err := childCPU(exec.CommandContext(ctx, "ffprobe", "-v", "error",
		"-show_streams", "-show_format", url)); err != nil {
		return 0, err
	}
	look := time.Since(began)
	first, err := firstLine(exec.CommandContext(ctx, "ffmpeg", segmentArgs(url, dir)...))
	return look + first, err
}

// firstLine is how long a command takes to its first byte of output. Then it is killed.
func firstLine(cmd *exec.Cmd) (time.Duration, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	_, err = io.ReadFull(out, make([]byte, 1))
	took := time.Since(began)
	_ = cmd.Process.Kill()
	// It was killed, or has ended by itself.
	_ = cmd.Wait()
	if err != nil {
		return 0, fmt.Errorf("wait for what %s says: %w", cmd.Path, err)
	}
	return took, nil
}
