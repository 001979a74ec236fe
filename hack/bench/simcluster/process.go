// SPDX-License-Identifier: Apache-2.0

package simcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// processes are the programs that run beside this one.
type processes struct {
	dir   string
	start chan starting

	mu  sync.Mutex
	all []*Process
}

type starting struct {
	command *exec.Cmd
	err     chan error
}

// Process is a program that was started.
type Process struct {
	Name    string
	Log     string
	command *exec.Cmd
	// ended is closed when it is gone.
	ended chan struct{}
	err   error
	// meant says that its end is no accident.
	meant atomic.Bool
}

func newProcesses(dir string) *processes {
	p := &processes{dir: dir, start: make(chan starting)}
	go p.starter()
	return p
}

// starter starts every program from one thread that never ends before the process does: a parent's death signal
// comes when the thread dies that started the child.
func (p *processes) starter() {
	runtime.LockOSThread()
	for s := range p.start {
		s.err <- s.command.Start()
	}
	select {}
}

// run starts a program. Its output goes to NAME.log in the folder.
func (p *processes) run(ctx context.Context, name string, env []string,
	program string, args ...string) (*Process, error) {
	log := filepath.Join(p.dir, name+".log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer file.Close()
	// Stop ends it, in order.
	command := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	command.Env = append(os.Environ(), env...)
	command.Stdout, command.Stderr = file, file
	// A group of its own: an interrupt at the terminal is for us, who end the rest in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s := starting{command: command, err: make(chan error, 1)}
	p.start <- s
	if err := <-s.err; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	process := &Process{Name: name, Log: log, command: command, ended: make(chan struct{})}
	go func() {
		process.err = command.Wait()
		close(process.ended)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, process)
	return process, nil
}

// check finds a program that ended by itself.
func (p *processes) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, process := range p.all {
		select {
		case <-process.ended:
			if !process.meant.Load() {
				return fmt.Errorf("%s ended (%w); its last words are in %s", process.Name, process.err, process.Log)
			}
		default:
		}
	}
	return nil
}

// stop ends every program, the youngest first.
func (p *processes) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, process := range slices.Backward(p.all) {
		process.end(syscall.SIGTERM, 5*time.Second)
	}
	p.all = nil
}

// PID of the program.
func (p *Process) PID() int { return p.command.Process.Pid }

// Kill ends the program as a crash would.
func (p *Process) Kill() { p.end(syscall.SIGKILL, 0) }

func (p *Process) end(signal syscall.Signal, patience time.Duration) {
	p.meant.Store(true)
	if err := p.command.Process.Signal(signal); errors.Is(err, os.ErrProcessDone) {
		<-p.ended
		return
	}
	select {
	case <-p.ended:
		return
	case <-time.After(patience):
	}
	// It may have ended by now, which is what was wanted.
	_ = p.command.Process.Kill()
	<-p.ended
}

// FreeAddress is an address of loopback that nobody listens on.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
