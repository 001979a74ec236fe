// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// process is a running part of mre.
type process struct {
	kind, name string
	cmd        *exec.Cmd
	ended      chan struct{}
	// killed: the killer ended it.
	killed atomic.Bool
	// err is how it ended, once it has.
	err error
}

// signal reaches the process and what it has started, as the end of a pod does.
func (p *process) signal(s syscall.Signal) bool {
	select {
	case <-p.ended:
		return false
	default:
		return syscall.Kill(-p.cmd.Process.Pid, s) == nil
	}
}

// processes are those that run now. Only what is in here is ever killed.
type processes struct {
	program, logs string

	mu    sync.Mutex
	alive map[*process]bool
}

// start runs a part of mre. Nothing outlives the tests.
func (ps *processes) start(kind, name string, env []string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(ps.logs, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{kind: kind, name: name, ended: make(chan struct{})}
	p.cmd = exec.Command(ps.program, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.alive == nil {
		return nil, errors.New("the tests are over")
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s (run make build): %w", name, err)
	}
	ps.alive[p] = true
	go func() {
		p.err = p.cmd.Wait()
		// What it started must not go on without it.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		ps.mu.Lock()
		delete(ps.alive, p)
		ps.mu.Unlock()
		close(p.ended)
	}()
	return p, nil
}

// keep starts a part again whenever it ends. It tells of ends that nobody asked for.
func (ps *processes) keep(ctx context.Context, kind, name string, env []string,
	tell func(format string, args ...any), args ...string) {
	for ctx.Err() == nil {
		p, err := ps.start(kind, name, env, args...)
		if err != nil {
			if ctx.Err() == nil {
				tell("%v", err)
			}
			return
		}
		<-p.ended
		if ctx.Err() == nil && !p.killed.Load() {
			tell("%s ended by itself: %v\n%s", name, p.err, ps.lastWords(name))
			time.Sleep(time.Second)
		}
	}
}

// lastWords is the end of a part's log.
func (ps *processes) lastWords(name string) string {
	said, err := os.ReadFile(filepath.Join(ps.logs, name+".log"))
	if err != nil {
		return err.Error()
	}
	return string(said[max(0, len(said)-1500):])
}

// of are the processes of a kind that run now.
func (ps *processes) of(kind string) (found []*process) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for p := range ps.alive {
		if p.kind == kind {
			found = append(found, p)
		}
	}
	return found
}

// stop ends everything.
func (ps *processes) stop() {
	ps.mu.Lock()
	alive := ps.alive
	ps.alive = nil
	ps.mu.Unlock()
	for p := range alive {
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}
