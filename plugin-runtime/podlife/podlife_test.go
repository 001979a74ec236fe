// SPDX-License-Identifier: Apache-2.0

package podlife

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func socket(t *testing.T, path string) *Socket {
	t.Helper()
	s, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func follow(ctx context.Context, path string) chan error {
	got := make(chan error, 1)
	go func() { got <- Follow(ctx, path, time.Minute) }()
	return got
}

// followed waits until so many follow.
func (s *Socket) followed(t *testing.T, n int) {
	t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		have := len(s.followers)
		s.mu.Unlock()
		if have == n {
			return
		}
	}
	t.Fatalf("nobody follows")
}

func TestDone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	early := follow(t.Context(), path) // before there is a socket
	time.Sleep(2 * retry)
	s := socket(t, path)
	s.followed(t, 1)
	<-s.Done()
	late := follow(t.Context(), path)
	for _, f := range []chan error{early, late} {
		if err := <-f; err != nil {
			t.Error(err)
		}
	}
}

// The agent is done before the main container has started: it waits for it.
func TestDoneIsHeardByAFollowerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	s := socket(t, path)
	told := s.Done()
	if err := Probe(t.Context(), path); err != nil {
		t.Error(err)
	}
	select {
	case <-told:
		t.Error("a probe counts as a follower")
	case <-time.After(50 * time.Millisecond):
	}
	if err := <-follow(t.Context(), path); err != nil {
		t.Error(err)
	}
	<-told
}

func TestAgentEndsWithoutBeingDone(t *testing.T) {
	tests := map[string]struct {
		end  func(s *Socket)
		want string
	}{
		"dies": {func(s *Socket) { _ = s.Close() }, "without saying why"},
		"fails": {func(s *Socket) {
			s.Failed(errors.New("gave up after 10m\nwithout the data plane"))
			_ = s.Close()
		}, "done: gave up after 10m without the data plane"},
		"fails with a long word": {func(s *Socket) {
			s.Failed(errors.New(strings.Repeat("x", 1<<20)))
			_ = s.Close()
		}, "done: xxx"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "agent.sock")
			s := socket(t, path)
			f := follow(t.Context(), path)
			s.followed(t, 1)
			tt.end(s)
			if err := <-f; err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFollowerIsTold(t *testing.T) {
	why := errors.New("SIGTERM")
	ctx, cancel := context.WithCancelCause(t.Context())
	path := filepath.Join(t.TempDir(), "agent.sock")
	s := socket(t, path)
	f := follow(ctx, path)
	s.followed(t, 1)
	cancel(why)
	if err := <-f; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
}

func TestAgentThatNeverComes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	if err := Follow(t.Context(), path, 50*time.Millisecond); err == nil ||
		!strings.Contains(err.Error(), "did not open "+path) {
		t.Errorf("got %v", err)
	}
	if Probe(t.Context(), path) == nil {
		t.Error("the probe succeeds without an agent")
	}
}

// An agent that died leaves its socket; the next one takes the place.
func TestSocketOfADeadAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	if Probe(t.Context(), path) == nil {
		t.Error("the probe succeeds with a dead agent")
	}
	socket(t, path)
	if err := Probe(t.Context(), path); err != nil {
		t.Error(err)
	}
}

// The main container comes last: whoever only probes does not count for it.
func TestFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	s := socket(t, path)
	probe, err := dial(t.Context(), path, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_ = probe.Close()
	select {
	case <-s.Followed():
		t.Error("a probe is taken for the main container")
	case <-time.After(100 * time.Millisecond):
	}
	follow(t.Context(), path)
	select {
	case <-s.Followed():
	case <-time.After(time.Minute):
		t.Error("nobody is said to follow")
	}
}
