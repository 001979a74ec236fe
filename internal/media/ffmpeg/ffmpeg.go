// SPDX-License-Identifier: Apache-2.0

// Package ffmpeg runs the ffmpeg and ffprobe programs.
//
// A run dies with its context, with its whole process group, and with the
// parent process. Its error carries the end of what the program said, with the
// secrets of URLs taken out, and a kind that callers can test with errors.Is.
package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Cmd describes one run.
type Cmd struct {
	// Tool is "ffmpeg" or "ffprobe".
	Tool string
	Args []string
	// Stdin and Stdout may be nil. A Stdin that is an io.Closer is closed when
	// the program has ended; its errors end the run. A Stdout that returns an
	// error ends the run with that error. Files are given to the program and
	// closed here.
	Stdin  io.Reader
	Stdout io.Writer
	// Inputs are further pipes to read from: Inputs[0] is "pipe:3" and so on.
	Inputs []io.Reader
	// Outputs are further pipes to write to, numbered after the inputs. They are
	// closed here.
	Outputs []*os.File
	// Heard is given all that the program said when it has succeeded: read
	// errors in the middle of an input do not make FFmpeg fail.
	Heard func(said string)
	// StrictLog makes anything that the program says an error, even when it
	// succeeds: used to prove that media decodes clean.
	StrictLog bool
}

// waitDelay bounds how long pipes may stay open after the program has ended.
const waitDelay = 5 * time.Second

// Run runs the program to its end.
func Run(ctx context.Context, c Cmd) error {
	done := make(chan error, 1)
	go func() {
		// Linux sends Pdeathsig when the *thread* that forked ends. A locked
		// thread that waits for the child outlives it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- run(ctx, c)
	}()
	return <-done
}

func run(ctx context.Context, c Cmd) error {
	args := c.Args
	if c.Tool == "ffmpeg" {
		args = append([]string{"-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+warning"}, args...)
	} else {
		args = append([]string{"-hide_banner", "-loglevel", "repeat+level+warning"}, args...)
	}
	tail := &tailBuffer{}
	cmd := exec.CommandContext(ctx, c.Tool, args...)
	cmd.Stdout, cmd.Stderr = c.Stdout, tail
	cmd.WaitDelay = waitDelay
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	feeds, err := openInputs(cmd, c.Inputs)
	if err != nil {
		return fmt.Errorf("open pipes for %s: %w", c.Tool, err)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, c.Outputs...)
	given := slices.Clone(c.Outputs)
	if f, ok := c.Stdout.(*os.File); ok {
		given = append(given, f)
	}
	if f, ok := c.Stdin.(*os.File); ok {
		cmd.Stdin, given = f, append(given, f)
	}
	defer closeAll(given)
	if c.Stdin != nil && cmd.Stdin == nil {
		if err := feeds.standard(cmd, c.Stdin); err != nil {
			feeds.abort()
			return fmt.Errorf("open pipes for %s: %w", c.Tool, err)
		}
	}
	if err := cmd.Start(); err != nil {
		feeds.abort()
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("%s is not installed in this image: %w", c.Tool, err)
		}
		return fmt.Errorf("start %s: %w", c.Tool, err)
	}
	closeAll(given)
	feeds.start()
	err = cmd.Wait()
	feedErr := feeds.wait()

	said := Redact(tail.String())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case notSeekable(ctx, args, said):
		return &Error{Tool: c.Tool, Kind: ErrNotSeekable, Said: said, Cause: err}
	case err != nil:
		return explain(c.Tool, err, said, feedErr)
	case feedErr != nil:
		return fmt.Errorf("feed %s: %w", c.Tool, feedErr)
	case c.StrictLog && strings.TrimSpace(said) != "":
		return &Error{Tool: c.Tool, Kind: ErrCorrupt, Said: said}
	}
	if c.Heard != nil {
		c.Heard(said)
	}
	return nil
}

// Output runs the program and returns what it wrote to standard output.
func Output(ctx context.Context, c Cmd) ([]byte, error) {
	var b bytes.Buffer
	c.Stdout = &b
	err := Run(ctx, c)
	return b.Bytes(), err
}

// closeAll closes files; some may be closed already.
func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// feeds copies readers into the child's pipes.
type feeds struct {
	child   []*os.File
	ours    []io.WriteCloser
	readers []io.Reader
	results chan error
	// ended says that the program has: what readers say from then on, when
	// they are closed, does not matter.
	ended atomic.Bool
}

func openInputs(cmd *exec.Cmd, readers []io.Reader) (*feeds, error) {
	f := &feeds{readers: slices.Clone(readers), results: make(chan error, len(readers)+1)}
	for range readers {
		r, w, err := os.Pipe()
		if err != nil {
			f.abort()
			return nil, err
		}
		f.child, f.ours = append(f.child, r), append(f.ours, w)
	}
	cmd.ExtraFiles = slices.Clone(f.child)
	return f, nil
}

// standard makes a reader the child's standard input. (exec.Cmd's own copying
// would hold up the end of the run for as long as the reader blocks.)
func (f *feeds) standard(cmd *exec.Cmd, in io.Reader) error {
	w, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	f.ours, f.readers = append(f.ours, w), append(f.readers, in)
	return nil
}

func (f *feeds) abort() {
	for _, file := range f.child {
		_ = file.Close()
	}
	for _, w := range f.ours {
		_ = w.Close()
	}
}

func (f *feeds) start() {
	for _, r := range f.child {
		_ = r.Close()
	}
	for i, r := range f.readers {
		go func() {
			_, err := io.Copy(f.ours[i], r)
			_ = f.ours[i].Close()
			// The program may have had enough before the end of its input.
			if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) || f.ended.Load() {
				err = nil
			}
			f.results <- err
		}()
	}
}

// wait is called after the child has ended: a write that still blocks gets
// EPIPE, and a reader that can be closed is. Others are ended by their owner's
// context.
func (f *feeds) wait() error {
	f.ended.Store(true)
	for _, r := range f.readers {
		if c, ok := r.(io.Closer); ok {
			_ = c.Close()
		}
	}
	var first error
	for range f.readers {
		if err := <-f.results; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// tailBuffer keeps the first and the last few kilobytes of a stream: the
// cause is often in the first lines, the verdict in the last.
type tailBuffer struct {
	head, tail []byte
	// cut says that something between them is lost.
	cut bool
}

const keepBytes = 4096

func (t *tailBuffer) Write(p []byte) (int, error) {
	n := len(p)
	if room := keepBytes - len(t.head); room > 0 {
		k := min(room, len(p))
		t.head = append(t.head, p[:k]...)
		p = p[k:]
	}
	t.tail = append(t.tail, p...)
	if len(t.tail) > 2*keepBytes {
		t.tail = append(t.tail[:0], t.tail[len(t.tail)-keepBytes:]...)
		t.cut = true
	}
	return n, nil
}

// String leaves out lines of which a part is lost: half a URL would keep its
// secrets.
func (t *tailBuffer) String() string {
	if !t.cut {
		return string(t.head) + string(t.tail)
	}
	head := t.head[:bytes.LastIndexByte(t.head, '\n')+1]
	_, tail, _ := bytes.Cut(t.tail, []byte("\n"))
	return string(head) + "…\n" + string(tail)
}
