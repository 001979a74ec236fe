// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"bytes"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// sweepTime bounds how long processes are hunted that do not die or fork faster than they are killed.
const sweepTime = 5 * time.Second

// family is every process below this one. All that end are waited for here, whoever started them; so nobody else
// may wait for a process.
type family struct {
	mu       sync.Mutex
	children map[int]*child
}

// child is a process that we started, the leader of its group.
type child struct {
	pid  int
	done chan syscall.WaitStatus
}

func newFamily() *family { return &family{children: map[int]*child{}} }

// watch waits for processes until it is stopped.
func (f *family) watch() (stop func()) {
	ended := make(chan os.Signal, 1)
	quit := make(chan struct{})
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		for {
			f.reap()
			select {
			case <-ended:
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(ended)
		close(quit)
	}
}

// reap takes the status of all that have ended.
func (f *family) reap() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR: // A system call gives a bare number.
		case err != nil || pid <= 0:
			return
		default:
			if c, ok := f.children[pid]; ok {
				delete(f.children, pid)
				c.done <- status
			}
		}
	}
}

// start starts a command in a process group of its own. Its files are the caller's to close.
func (f *family) start(cmd *exec.Cmd) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Nothing is reaped between its start and its entry.
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{pid: cmd.Process.Pid, done: make(chan syscall.WaitStatus, 1)}
	f.children[c.pid] = c
	_ = cmd.Process.Release()
	return c, nil
}

// end ends a child and its group: it is asked first.
func (f *family) end(c *child) syscall.WaitStatus {
	_ = syscall.Kill(-c.pid, syscall.SIGTERM)
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case status := <-c.done:
		return status
	case <-t.C:
	}
	_ = syscall.Kill(-c.pid, syscall.SIGKILL)
	return <-c.done
}

// sweep kills what is left of a command, whatever groups and sessions it made.
func (f *family) sweep() {
	for until := time.Now().Add(sweepTime); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		f.reap()
		left := below(os.Getpid())
		if len(left) == 0 {
			return
		}
		if os.Getpid() == 1 {
			// All but this process, in one go: nobody gets away by forking.
			_ = syscall.Kill(-1, syscall.SIGKILL)
			continue
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// below lists the descendants of a process, the dead ones that were not waited for among them.
func below(root int) []int {
	parents := map[int]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // It has ended.
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		// The name, in brackets, may hold anything.
		fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
		if len(fields) > 1 {
			parents[pid], _ = strconv.Atoi(string(fields[1]))
		}
	}
	var out []int
	for pid := range parents {
		for up, steps := parents[pid], 0; up > 0 && steps < len(parents); up, steps = parents[up], steps+1 {
			if up == root {
				out = append(out, pid)
				break
			}
		}
	}
	return out
}
