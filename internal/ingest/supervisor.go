// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// restartPause keeps a child that dies at once from using up a processor.
	restartPause = 700 * time.Millisecond
	// maxRestarts in a row without a new unit; then the ingest has failed.
	maxRestarts = 20
	// maxSourceErrors in a row without a new unit: the source, not the
	// process, is what fails.
	maxSourceErrors = 3
	// stopGrace is how long a child may take to end when it is told to.
	stopGrace = 6 * time.Second
)

// ErrStopped says that ingest was told to stop before the source had ended.
var ErrStopped = errors.New("told to stop before the source had ended")

// report is a line that the child writes to its standard output.
type report struct {
	Registered bool              `json:"registered,omitempty"`
	Reason     api.FailureReason `json:"reason,omitempty"`
	Error      string            `json:"error,omitempty"`
}

// Reporter is the child's end of the pipe to its supervisor.
type Reporter struct{ w io.Writer }

// NewReporter writes to the child's standard output.
func NewReporter(w io.Writer) *Reporter { return &Reporter{w} }

// Registered says that a unit was registered.
func (r *Reporter) Registered() { r.write(report{Registered: true}) }

// Failed says why the child ends.
func (r *Reporter) Failed(err error) {
	out := report{Error: err.Error()}
	if source, ok := errors.AsType[*SourceError](err); ok {
		out.Reason = source.Reason
	}
	r.write(out)
}

func (r *Reporter) write(line report) {
	// A struct of strings always has JSON; a supervisor that is gone takes
	// the child with it.
	b, _ := json.Marshal(line)
	_, _ = r.w.Write(append(b, '\n'))
}

// Supervise runs the command until it exits with 0. A child that dies is
// started again within a second. When that does not help any more, the
// Event's source is declared failed, and the Job has done what it can.
func Supervise(ctx context.Context, c Config, command []string) error {
	restarts, sourceErrors := 0, 0
	for {
		got, err := runChild(ctx, command)
		switch {
		case ctx.Err() != nil:
			return ErrStopped
		case err == nil:
			return nil
		}
		if got.registered > 0 {
			restarts, sourceErrors = 0, 0
		}
		restarts++
		if got.last.Error == "" {
			got.last.Error = err.Error()
		}
		sourceErrors++
		if got.last.Reason == "" {
			sourceErrors = 0
		}
		switch {
		case sourceErrors >= maxSourceErrors:
			return Fail(ctx, c, &SourceError{Reason: got.last.Reason, Err: errors.New(got.last.Error)})
		case restarts > maxRestarts:
			return Fail(ctx, c, &SourceError{Reason: api.FailureReasonIngestFailed,
				Err: fmt.Errorf("ingest died %d times without storing anything new; the last time: %s", restarts, got.last.Error)})
		}
		c.Log.Warn("ingest died; starting it again", "error", got.last.Error, "restarts", restarts, "registered", got.registered)
		select {
		case <-ctx.Done():
			return ErrStopped
		case <-time.After(restartPause):
		}
	}
}

// outcome is what a child said.
type outcome struct {
	registered int
	last       report
}

// runChild runs the child once. It dies with this process.
func runChild(ctx context.Context, command []string) (outcome, error) {
	type answer struct {
		outcome
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		// Linux sends Pdeathsig when the thread that forked ends: keep it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var a answer
		a.outcome, a.err = start(ctx, command)
		answers <- a
	}()
	a := <-answers
	return a.outcome, a.err
}

func start(ctx context.Context, command []string) (outcome, error) {
	var got outcome
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return got, fmt.Errorf("start ingest: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return got, fmt.Errorf("start ingest: %w", err)
	}
	scan := bufio.NewScanner(lines)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		var line report
		switch {
		case json.Unmarshal(scan.Bytes(), &line) != nil:
		case line.Registered:
			got.registered++
		case line.Error != "":
			got.last = line
		}
	}
	err = cmd.Wait()
	return got, err
}
