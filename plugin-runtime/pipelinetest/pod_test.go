// SPDX-License-Identifier: Apache-2.0

package pipelinetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/render"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// pluginKind, in the environment, makes this program a plugin.
const pluginKind = "MRE_TEST_PLUGIN"

// invocationEvent is what these plugins read of an invocation.
type invocationEvent struct {
	Mre struct {
		Task struct {
			Attempt int `json:"attempt"`
		} `json:"task"`
		Chunk struct {
			Number      int   `json:"number"`
			StartMicros int64 `json:"startMicros"`
			EndMicros   int64 `json:"endMicros"`
		} `json:"chunk"`
		Media struct {
			Path  string `json:"path"`
			URL   string `json:"url"`
			Bytes int64  `json:"bytes"`
		} `json:"media"`
	} `json:"Mre"`
}

// pluginMain is a plugin: of the Runtime API, or of protocol Exec.
func pluginMain(kind string) int {
	if kind == "exec" {
		event, err := io.ReadAll(os.Stdin)
		if err != nil {
			return 1
		}
		answer, err := look(event)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_, _ = os.Stdout.Write(answer)
		return 0
	}
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		resp, err := http.Get(base + "next")
		if err != nil {
			return 1
		}
		event, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			return 1
		}
		id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
		verb, answer := "/response", []byte(nil)
		if kind == "sick" {
			answer = misbehave(event)
		}
		if answer == nil {
			if answer, err = look(event); err != nil {
				verb, answer = "/error", fmt.Appendf(nil, `{"errorMessage":%q}`, err)
			}
		}
		if resp, err = http.Post(base+id+verb, "application/json", bytes.NewReader(answer)); err != nil {
			return 1
		}
		_ = resp.Body.Close()
	}
}

// misbehave is in the second chunk a crash at the first try, in the third one that hangs, in the fourth nonsense.
func misbehave(event []byte) []byte {
	var e invocationEvent
	_ = json.Unmarshal(event, &e)
	switch {
	case e.Mre.Chunk.Number == 2 && e.Mre.Task.Attempt == 1:
		fmt.Fprintln(os.Stderr, "the ball is lost")
		os.Exit(3)
	case e.Mre.Chunk.Number == 3:
		time.Sleep(time.Hour)
	case e.Mre.Chunk.Number == 4:
		return []byte("nonsense")
	}
	return nil
}

// look answers with the size of the chunk, which the file and the URL must both have.
func look(event []byte) ([]byte, error) {
	var e invocationEvent
	if err := json.Unmarshal(event, &e); err != nil {
		return nil, err
	}
	st, err := os.Stat(e.Mre.Media.Path)
	if err != nil {
		return nil, err
	}
	resp, err := http.Get(e.Mre.Media.URL)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != st.Size() || n != e.Mre.Media.Bytes || n == 0 {
		return nil, fmt.Errorf("the file has %d bytes, the URL %d, the event says %d: %w",
			st.Size(), n, e.Mre.Media.Bytes, err)
	}
	return fmt.Appendf(nil, `{"Mre":{"contract":"v1","results":[{"startMicros":%d,"endMicros":%d,`+
		`"attributes":{"Seen":%d}}]}}`,
		e.Mre.Chunk.StartMicros, e.Mre.Chunk.EndMicros, e.Mre.Chunk.Number), nil
}

// process is a container of the pod.
type process struct {
	name string
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan error
}

func (p *process) end(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.done:
		p.done <- err
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		t.Errorf("%s does not end: %s", p.name, p.out.String())
	}
}

func run(t *testing.T, name string, env []string, command ...string) *process {
	t.Helper()
	p := &process{name: name, done: make(chan error, 1)}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Logf("%s said: %s", name, p.out.String())
		}
	})
	return p
}

// A pod's processes with the real program: the agent, a supervisor for each plugin, and the main container's
// process. One plugin crashes, hangs and talks nonsense; the Event completes and says so, and what the others found
// is all there.
func TestPluginsInContainers(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 24, Seed: 12})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mre := filepath.Join(dir, "mre")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", mre,
		"../../cmd/mre").CombinedOutput(); err != nil {
		t.Fatalf("build mre: %v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	pl := plan(t, "pod", serve(t, filepath.Dir(m.Path))+"/"+filepath.Base(m.Path), 6)
	kinds := []string{"steady", "sick", "exec"}
	for _, kind := range kinds {
		protocol := api.PlanContainerProtocolLambdaRuntime
		if kind == "exec" {
			protocol = api.PlanContainerProtocolExec
		}
		pl.Plugins = append(pl.Plugins, api.PlanPlugin{Name: kind, Class: api.PlanPluginClassFeaturer,
			MediaType: api.PlanPluginMediaTypeVideo, Container: &api.PlanContainer{Protocol: protocol, StartTimeoutSeconds: 60,
				Warm: new(true)}, Configuration: map[string]any{},
			DependsOn: []string{}, Outputs: []string{"Seen"}, TimeoutSeconds: 3,
			MaxAttempts: 2, OnFailure: api.PlanPluginOnFailureSkip})
	}
	if _, err := p.manager.PutPlan(t.Context(), "pod", pl); err != nil {
		t.Fatal(err)
	}
	base := freePorts(t, len(kinds))
	media, socket := filepath.Join(dir, "media"), filepath.Join(dir, "agent.sock")
	if err := os.Mkdir(media, 0o755); err != nil {
		t.Fatal(err)
	}
	sidecar := run(t, "agent", nil, mre, "worker", "--event-uid=pod", "--dataplane-url="+p.url,
		"--token-file="+p.agentToken("pod"), "--holder=pod-1", "--scratch-dir="+filepath.Join(dir, "scratch"),
		"--media-dir="+media, "--control-socket="+socket, fmt.Sprintf("--plugin-port-base=%d", base))
	var plugins []*process
	for i, kind := range kinds {
		address := fmt.Sprintf("127.0.0.1:%d", base+i)
		command := []string{mre, "supervise", "--runtime-api=" + address}
		if kind == "exec" {
			command = append(command, "--exec")
		}
		plugins = append(plugins, run(t, kind, []string{pluginKind + "=" + kind, "AWS_LAMBDA_RUNTIME_API=" + address},
			append(command, "--", self)...))
	}
	follow := run(t, "follow", nil, mre, "follow", "--control-socket="+socket)

	renderer, err := render.New(filepath.Join(dir, "render"), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(t.Context())
	g.Go(func() error { return p.ingest(ctx, "pod") })
	g.Go(func() error {
		return agent.Run(ctx, agent.Config{Client: p.agent("pod"), EventUID: "pod", Holder: "render", Pool: api.PoolRender,
			Runner: renderer, Patience: time.Minute, Log: discard()})
	})
	g.Go(func() error {
		select {
		case err := <-follow.done:
			follow.done <- err
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	e := p.settled("pod")
	if e.State != api.EventStateStateComplete {
		t.Errorf("the Event is %+v", e)
	}
	got := map[string][]float64{}
	results, err := p.manager.Results(t.Context(), "pod", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if n, ok := r.Result.Attributes["Seen"].(float64); ok {
			got[r.Plugin] = append(got[r.Plugin], n)
		}
	}
	want := map[string][]float64{"steady": {1, 2, 3, 4}, "exec": {1, 2, 3, 4}, "sick": {1, 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	p.saysWhatHappened()

	// The kubelet ends the sidecars when the main container has ended.
	began := time.Now()
	for _, one := range append(plugins, sidecar) {
		one.end(t)
		if err := <-one.done; err != nil {
			t.Errorf("%s ended with %v", one.name, err)
		} else {
			one.done <- nil
		}
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("the sidecars took %s to end", took)
	}
}

// saysWhatHappened wants each of the sick plugin's failures to be told.
func (p *plane) saysWhatHappened() {
	p.t.Helper()
	tasks, err := p.manager.Tasks(p.t.Context(), "pod")
	if err != nil {
		p.t.Fatal(err)
	}
	var said []string
	for _, task := range tasks {
		if task.Error != nil {
			said = append(said, *task.Error)
		}
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"plugin sick: timed out after 3 s",
		`plugin sick: its answer is not JSON but 8 bytes that begin with "nonsense"`} {
		if !strings.Contains(all, want) {
			p.t.Errorf("no task says %q, but:\n%s", want, all)
		}
	}
}

// An agent that is killed fails the pod, and so does the order to stop.
func TestMainContainerEndsAsTheAgentDoes(t *testing.T) {
	dir := t.TempDir()
	mre := filepath.Join(dir, "mre")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", mre,
		"../../cmd/mre").CombinedOutput(); err != nil {
		t.Fatalf("build mre: %v\n%s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), mre, "copy", filepath.Join(dir, "copy")).CombinedOutput(); err != nil {
		t.Fatalf("copy: %v\n%s", err, out)
	}
	mre = filepath.Join(dir, "copy") // What plugins' containers run.
	p := start(t)
	pl := plan(t, "pod", "http://127.0.0.1:1/none.mp4", 6)
	if _, err := p.manager.PutPlan(t.Context(), "pod", pl); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		kill func(agent, follow *process)
		code int
	}{
		"agent is killed":      {func(agent, _ *process) { _ = agent.cmd.Process.Kill() }, 1},
		"agent is told to end": {func(agent, _ *process) { _ = agent.cmd.Process.Signal(syscall.SIGTERM) }, 1},
		"main is told to end":  {func(_, follow *process) { _ = follow.cmd.Process.Signal(syscall.SIGTERM) }, 143},
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".sock")
			follow := run(t, "follow", nil, mre, "follow", "--control-socket="+socket)
			agent := run(t, "agent", nil, mre, "worker", "--event-uid=pod", "--dataplane-url="+p.url,
				"--token-file="+p.agentToken("pod"), "--holder=pod-1", "--scratch-dir="+t.TempDir(),
				"--media-dir="+t.TempDir(), "--control-socket="+socket)
			for until := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
				if exec.CommandContext(t.Context(), mre, "probe", "--control-socket="+socket).Run() == nil {
					break
				}
				if time.Now().After(until) {
					t.Fatal("the agent does not listen")
				}
			}
			time.Sleep(time.Second) // The follower is connected soon after the socket is there; either way it ends rightly.
			tt.kill(agent, follow)
			err := <-follow.done
			follow.done <- err
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tt.code {
				t.Errorf("the main container ended with %v, want %d: %s", err, tt.code, follow.out.String())
			}
		})
	}
}

// freePorts finds ports in a row.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for base := 30000 + os.Getpid()%10000; base < 65000; base += n {
		free := true
		for i := range n {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+i))
			if err != nil {
				free = false
				break
			}
			_ = l.Close()
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}
