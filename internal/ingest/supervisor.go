// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

const (
	// restartPause keeps a child that dies at once from using up a processor.
	restartPause = 700 * time.Millisecond
	// maxRestarts in a row without a new unit; then the ingest has failed.
	maxRestarts = 20
	// maxUnreachable in a row without a new unit: the source does not answer.
	maxUnreachable = 3
	// maxSourceErrors in a row without a new unit: the source, not the
	// process, is what fails.
	maxSourceErrors = 2
	// stopGrace is how long a child may take to end when it is told to.
	stopGrace = 6 * time.Second
	// noteTimeout bounds how long a restart waits for the data plane to hear of it.
	noteTimeout = 3 * time.Second
)

// ErrStopped says that ingest was told to stop before the source had ended.
var ErrStopped = errors.New("told to stop before the source had ended")

// report is a line that the child writes to its standard output.
type report struct {
	Registered bool              `json:"registered,omitempty"`
	Reason     api.FailureReason `json:"reason,omitempty"`
	Error      string            `json:"error,omitempty"`
	// Passing says that somebody is away, so that trying again helps.
	Passing bool `json:"passing,omitempty"`
}

// Reporter is the child's end of the pipe to its supervisor.
type Reporter struct{ w io.Writer }

// NewReporter writes to the child's standard output.
func NewReporter(w io.Writer) *Reporter { return &Reporter{w} }

// Registered says that a unit was registered.
func (r *Reporter) Registered() { r.write(report{Registered: true}) }

// Failed says why the child ends.
func (r *Reporter) Failed(err error) {
	out := report{Error: err.Error(), Passing: passing(err)}
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
// started again within a second, and the Event says why meanwhile. When that
// does not help any more, the Event's source is declared failed, and the Job
// has done what it can.
func Supervise(ctx context.Context, c Config, command []string) error {
	var t tries
	for {
		got, err := runChild(ctx, command)
		switch {
		case ctx.Err() != nil:
			return ErrStopped
		case err == nil:
			return nil
		}
		if failure := t.after(got, err); failure != nil {
			return Fail(ctx, c, failure)
		}
		c.Log.Warn("ingest died; starting it again", "error", t.why, "restarts", t.deaths, "registered", got.registered)
		// One death without a word, such as by the kernel's hand, is nothing that anybody has to look into.
		if got.last.Error != "" || t.deaths > 1 {
			note(ctx, c, t.why)
		}
		select {
		case <-ctx.Done():
			return ErrStopped
		case <-time.After(restartPause):
		}
	}
}

// note lets the Event say what ingest does.
func note(ctx context.Context, c Config, why string) {
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	if err := c.Client.NoteIngest(ctx, c.EventUID, short(ffmpeg.Redact(why))); err != nil {
		c.Log.Warn("the Event cannot say why ingest is started again", "error", err)
	}
}

// tries counts what became of the children, in a row and without a new unit.
type tries struct {
	deaths int
	// of the source, by whether it passes.
	sourceErrors, unreachable int
	// why is what the last one said, and words the part of it that does not
	// vary; empty where it says nothing about the next try.
	why, words string
}

// after says whether the death of a child is the last one, and why. A failure
// that comes back with the same words is sure to come again, and so is any of
// the source that does not pass: each try may read, and encode, hours of media.
func (t *tries) after(got outcome, died error) *SourceError {
	said := got.last
	if got.registered > 0 {
		t.deaths, t.sourceErrors, t.unreachable = 0, 0, 0
	}
	t.deaths++
	switch {
	case said.Reason == "":
		t.sourceErrors, t.unreachable = 0, 0
	case said.Passing:
		t.unreachable++
	default:
		t.sourceErrors++
	}
	before := t.words
	t.why, t.words = said.Error, ""
	if t.why == "" {
		t.why = died.Error()
	} else if !said.Passing {
		t.words = varying.ReplaceAllString(said.Error, "#")
	}
	reason := cmp.Or(said.Reason, api.FailureReasonIngestFailed)
	switch {
	case t.words != "" && t.words == before && got.registered == 0,
		t.sourceErrors >= maxSourceErrors, t.unreachable >= maxUnreachable:
		return &SourceError{Reason: reason, Err: errors.New(t.why)}
	case t.deaths > maxRestarts:
		return &SourceError{Reason: reason,
			Err: fmt.Errorf("ingest died %d times without storing anything new; the last time: %s", t.deaths, t.why)}
	}
	return nil
}

// varying is what the same failure says differently each time: addresses in
// memory, process numbers, times.
var varying = regexp.MustCompile(`0x[0-9a-f]+|[0-9]+`)

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
