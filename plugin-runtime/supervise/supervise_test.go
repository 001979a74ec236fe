// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

// TestMain is the supervisor or a plugin when the first argument says so: both are processes of their own.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "supervise", "supervise-exec":
			os.Exit(superviseMain(os.Args[1] == "supervise-exec", os.Args[2], os.Args[3:]))
		case "plugin":
			pluginMain(os.Args[2])
		}
	}
	os.Exit(m.Run())
}

func superviseMain(perTask bool, runtimeAPI string, command []string) int {
	if os.Getpid() == 1 {
		// A container has a /proc of its own.
		if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("proc", "/proc", "proc", 0, "")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 99
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Run(ctx, Config{RuntimeAPI: runtimeAPI, Command: command, Exec: perTask,
		Log: slog.New(slog.DiscardHandler)}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// pluginMain asks for work, and does what the event's text says.
func pluginMain(runtimeAPI string) {
	base := "http://" + runtimeAPI + "/2018-06-01/runtime/invocation/"
	for {
		resp, err := http.Get(base + "next")
		if err != nil || resp.StatusCode != http.StatusOK {
			os.Exit(9)
		}
		var do string
		if err := json.NewDecoder(resp.Body).Decode(&do); err != nil {
			os.Exit(8)
		}
		_ = resp.Body.Close()
		act(do)
		answer := strings.NewReader(strconv.Itoa(os.Getpid()))
		if resp, err = http.Post(base+resp.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response",
			"application/json", answer); err == nil {
			_ = resp.Body.Close()
		}
	}
}

func act(do string) {
	verb, file, _ := strings.Cut(do, " ")
	switch verb {
	case "crash":
		fmt.Fprintln(os.Stderr, "frame 7 is not there")
		os.Exit(3)
	case "killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "fork", "hang":
		// A child in the group, one in a session of its own, and one that nobody is the parent of.
		script := `sleep 1000 & echo $!; setsid sleep 1000 & echo $!; (setsid sleep 1000 & echo $!)`
		out, err := os.Create(file)
		if err != nil {
			os.Exit(7)
		}
		cmd := exec.Command("sh", "-c", script)
		cmd.Stdout = out
		if err := cmd.Run(); err != nil {
			os.Exit(6)
		}
		if verb == "hang" {
			signal.Ignore(syscall.SIGTERM)
			select {}
		}
		os.Exit(0)
	}
}

// rig is an agent's server with a supervisor that is a process.
type rig struct {
	*lambda.Server
	t      *testing.T
	addr   string
	cmd    *exec.Cmd
	health chan string
	stdout strings.Builder
	stderr strings.Builder
	ended  chan error
}

func start(t *testing.T, attr *syscall.SysProcAttr, mode string, command ...string) *rig {
	t.Helper()
	r := &rig{t: t, health: make(chan string, 100), ended: make(chan error, 1)}
	r.Server = lambda.New(lambda.Config{Plugin: "ball", StartTimeout: time.Minute, Other: http.NotFoundHandler(),
		Log: slog.New(slog.DiscardHandler), Health: func(state api.PluginHealthReportState, words string) {
			r.health <- string(state) + " " + words
		}})
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _ = r.Serve(ctx, l) }()
	r.addr = l.Addr().String()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if len(command) == 0 {
		command = []string{self, "plugin", r.addr}
	}
	r.cmd = exec.Command(self, append([]string{mode, r.addr}, command...)...)
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.SysProcAttr = &r.stdout, &r.stderr, attr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.cmd.Wait() }()
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		if err := <-r.ended; err != nil {
			t.Errorf("the supervisor ended with %v: %s", err, r.stderr.String())
		}
		r.ended <- nil
		cancel()
	})
	return r
}

func (r *rig) invoke(do string, timeout time.Duration) (string, error) {
	event := []byte(`"` + do + `"`) // Nothing in it needs an escape.
	answer, err := r.Invoke(r.t.Context(), lambda.Invocation{Timeout: timeout, Event: func(time.Time) ([]byte, error) {
		return event, nil
	}})
	return string(answer), err
}

// fails invokes, and wants a failure of a kind that holds a text.
func (r *rig) fails(do string, timeout time.Duration, kind lambda.Kind, text string) {
	r.t.Helper()
	answer, err := r.invoke(do, timeout)
	var f *lambda.Failure
	if !errors.As(err, &f) || f.Kind != kind || !strings.Contains(f.Words, text) {
		r.t.Fatalf("%s: got %q, %v; want %s with %q", do, answer, err, kind, text)
	}
}

// works invokes, and wants an answer.
func (r *rig) works(do string) string {
	r.t.Helper()
	answer, err := r.invoke(do, time.Minute)
	if err != nil {
		r.t.Fatalf("%s: %v", do, err)
	}
	return answer
}

// gone wants the processes whose numbers are in a file to have ended.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	pids := strings.Fields(string(b))
	if err != nil || len(pids) != 3 {
		t.Fatalf("the plugin forked %v, %v", pids, err)
	}
	for _, s := range pids {
		pid, _ := strconv.Atoi(s)
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is left: %v", pid, err)
		}
	}
}

func TestCrashIsReportedAndStartedAgain(t *testing.T) {
	r := start(t, nil, "supervise")
	first := r.works("answer")
	r.fails("crash", time.Minute, lambda.Crashed, "with exit code 3; its last words: frame 7 is not there")
	began := time.Now()
	second := r.works("answer")
	if first == second {
		t.Error("the same process after its crash")
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("started again after %s", took)
	}
	if third := r.works("answer"); third != second {
		t.Error("the process is not kept")
	}
	r.fails("killed", time.Minute, lambda.Crashed, "by signal killed")
	r.works("answer")
}

// A plugin that hangs, and does not care for SIGTERM, is killed with all that it forked; the next task is done by
// a fresh one.
func TestHangIsKilled(t *testing.T) {
	r := start(t, nil, "supervise")
	file := filepath.Join(t.TempDir(), "pids")
	first := r.works("answer")
	r.fails("hang "+file, 2*time.Second, lambda.TimedOut, "timed out after 2 s")
	if second := r.works("answer"); first == second {
		t.Error("the same process after it hung")
	}
	gone(t, file)
}

func TestForksDoNotOutliveTheCommand(t *testing.T) {
	r := start(t, nil, "supervise")
	file := filepath.Join(t.TempDir(), "pids")
	r.fails("fork "+file, time.Minute, lambda.Crashed, "with exit code 0")
	gone(t, file)
}

func TestStopEndsEverything(t *testing.T) {
	r := start(t, nil, "supervise")
	file := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	event := []byte(`"hang ` + file + `"`)
	go func() {
		_, _ = r.Invoke(ctx, lambda.Invocation{Timeout: time.Minute, Event: func(time.Time) ([]byte, error) {
			return event, nil
		}})
	}()
	for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if b, _ := os.ReadFile(file); len(strings.Fields(string(b))) == 3 {
			break
		}
		if time.Now().After(until) {
			t.Fatal("the plugin forked nothing")
		}
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := <-r.ended
	r.ended <- err
	gone(t, file)
}

func TestCommandThatIsNotThere(t *testing.T) {
	r := start(t, nil, "supervise", "/no/such/command")
	r.fails("answer", time.Minute, lambda.StartFailed, "/no/such/command: no such file or directory")
	if said := <-r.health; !strings.HasPrefix(said, "StartFailed its process ended with exit code 127") {
		t.Errorf("health %q", said)
	}
}

// What the command writes comes out as it was.
func TestOutputIsPassedOn(t *testing.T) {
	r := start(t, nil, "supervise", "sh", "-c", `printf 'to out\n\000\377'; printf 'to err\n\001' >&2; exit 4`)
	r.fails("answer", time.Minute, lambda.StartFailed, "with exit code 4; its last words: to err")
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	err := <-r.ended
	r.ended <- err
	if !strings.HasPrefix(r.stdout.String(), "to out\n\x00\xff") || !strings.HasPrefix(r.stderr.String(), "to err\n\x01") {
		t.Errorf("out %q, err %q", r.stdout.String(), r.stderr.String())
	}
}

// As a container's first process, it also gets hold of what forks away from under it.
func TestAsTheFirstProcess(t *testing.T) {
	dir := t.TempDir()
	hopper := filepath.Join(dir, "hopper")
	// Each hop is a new process in a new session, whose parent ends.
	script := "#!/bin/sh\necho x >> " + dir + "/hops\nsetsid " + hopper + " &\n"
	if err := os.WriteFile(hopper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r := start(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS},
		"supervise", "sh", "-c", hopper+"; sleep 0.3; exit 5")
	r.fails("answer", time.Minute, lambda.StartFailed, "exit code 5")
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	err := <-r.ended
	r.ended <- err
	hops, _ := os.ReadFile(dir + "/hops")
	if len(hops) < 6 {
		t.Fatalf("the hopper did not hop: %q", hops)
	}
}

func TestExec(t *testing.T) {
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "is-not-for-the-command")
	file := filepath.Join(t.TempDir(), "pids")
	// The event is a JSON string: a shell script.
	r := start(t, nil, "supervise-exec", "sh", "-c", `read -r line; eval "$(printf %s "$line" | sed 's/^"//; s/"$//')"`)
	if got := r.works(`echo 42`); got != "42\n" {
		t.Errorf("answer %q", got)
	}
	if got := r.works(`echo 42$AWS_LAMBDA_RUNTIME_API`); got != "42\n" {
		t.Errorf("answer %q", got)
	}
	r.fails(`echo no ball >&2; exit 3`, time.Minute, lambda.Reported, "the command ended with exit code 3: no ball")
	r.fails(`exit 4`, time.Minute, lambda.Reported,
		"the command ended with exit code 4: it said nothing on standard error")
	r.fails(`kill -9 $$`, time.Minute, lambda.Reported, "the command ended by signal killed")
	r.fails(`echo nonsense`, time.Minute, lambda.BadAnswer, `its answer is not JSON but 9 bytes that begin with "nonsense`)
	r.fails(`true`, time.Minute, lambda.BadAnswer, `its answer is not JSON but nothing`)
	r.fails(`yes`, time.Minute, lambda.Reported, "more than 6 MiB")
	r.fails(`trap '' TERM; (setsid sleep 1000 & echo $! > `+file+`; sleep 1000 & echo $! >> `+file+
		`; echo $$ >> `+file+`); while :; do sleep 1; done`,
		2*time.Second, lambda.TimedOut, "timed out after")
	if got := r.works(`echo 43`); got != "43\n" {
		t.Errorf("answer %q", got)
	}
	gone(t, file)
	if got := r.works(`exec 2>&-; setsid sleep 1000 & echo 44`); got != "44\n" {
		t.Errorf("answer %q", got)
	}
	if got := r.works(`echo 45 #` + strings.Repeat("x", 1<<20)); got != "45\n" {
		t.Errorf("answer %q", got)
	}
}

// A command need not read what it is given.
func TestExecWithoutReading(t *testing.T) {
	r := start(t, nil, "supervise-exec", "echo", "1")
	for range 3 {
		if got := r.works(strings.Repeat("x", 1<<20)); got != "1\n" {
			t.Errorf("answer %q", got)
		}
	}
}

func TestExecCommandThatIsNotThere(t *testing.T) {
	r := start(t, nil, "supervise-exec", "/no/such/command")
	r.fails("x", time.Minute, lambda.Reported,
		"the command cannot be started: fork/exec /no/such/command: no such file or directory")
}

func TestPace(t *testing.T) {
	var p pace
	for i, tt := range []struct{ lived, want time.Duration }{
		{0, 200 * time.Millisecond}, {0, 400 * time.Millisecond}, {0, 800 * time.Millisecond}, {0, 1600 * time.Millisecond},
		{0, 3200 * time.Millisecond}, {0, 5 * time.Second}, {0, 5 * time.Second},
		{time.Minute, 200 * time.Millisecond}, {0, 400 * time.Millisecond},
	} {
		if got := p.after(tt.lived); got != tt.want {
			t.Errorf("step %d: %s, want %s", i, got, tt.want)
		}
	}
}

func TestProbe(t *testing.T) {
	s := lambda.New(lambda.Config{Plugin: "ball", StartTimeout: time.Minute, Other: http.NotFoundHandler(),
		Log: slog.New(slog.DiscardHandler), Health: func(api.PluginHealthReportState, string) {}})
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(t.Context(), l) }()
	if err := Probe(t.Context(), l.Addr().String()); err != nil {
		t.Errorf("before anything: %v", err)
	}
	go func() {
		if resp, err := http.Get("http://" + l.Addr().String() + "/2018-06-01/runtime/invocation/next"); err == nil {
			_ = resp.Body.Close()
		}
	}()
	if _, err := s.Invoke(t.Context(), lambda.Invocation{Timeout: 100 * time.Millisecond,
		Event: func(time.Time) ([]byte, error) { return []byte("1"), nil }}); err == nil {
		t.Fatal("no time-out")
	}
	if err := Probe(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), "timed out after") {
		t.Errorf("after a time-out: %v", err)
	}
	_ = l.Close()
	if err := Probe(t.Context(), "127.0.0.1:1"); err != nil {
		t.Errorf("without an agent: %v", err)
	}
}
