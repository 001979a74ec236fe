// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one life of the plugin's command, with all it starts.
type process struct {
	cmd  *exec.Cmd
	said *tail
	done chan struct{}
	err  error
}

// begin starts a command in a group of its own.
func begin(command, env []string, dir string, stdin io.Reader, stdout, log io.Writer) (*process, error) {
	p := &process{said: &tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(command[0], command[1:]...) //nolint:noctx // It is ended by its group.
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdin = env, dir, stdin
	p.cmd.Stdout, p.cmd.Stderr = stdout, io.MultiWriter(p.said, log)
	if stdout == nil {
		p.cmd.Stdout = p.cmd.Stderr
	}
	// What it leaves behind may hold its pipes open.
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		if errors.Is(p.err, exec.ErrWaitDelay) {
			p.err = nil
		}
		close(p.done)
	}()
	return p, nil
}

// kill ends the group and waits for its first process.
func (p *process) kill() {
	// The group is gone where this fails.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// stop tells the process to end, and says whether it did in time.
func (p *process) stop(ctx context.Context, within time.Duration) (time.Duration, bool) {
	began := time.Now()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-p.done:
		return time.Since(began), true
	case <-late.C:
	case <-ctx.Done():
	}
	p.kill()
	return time.Since(began), false
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ending says how the process ended, with its last words.
func (p *process) ending() string {
	how := "with exit code 0"
	if p.err != nil {
		how = "with " + strings.Replace(p.err.Error(), "exit status", "exit code", 1)
	}
	if said := strings.TrimSpace(p.said.String()); said != "" {
		return how + "; its last words:\n" + said
	}
	return how + ", and said nothing"
}

// tail keeps the end of what was written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - maxTail; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.text), "?")
}

// environment is that of a plugin's container, on top of what the command needs to be found. Keys of the user's own
// stay out: a plugin has none in the cluster.
func environment(contract map[string]string) []string {
	var env []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if _, ours := contract[name]; ours || strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "KUBE") {
			continue
		}
		env = append(env, pair)
	}
	for name, value := range contract {
		env = append(env, name+"="+value)
	}
	return env
}
