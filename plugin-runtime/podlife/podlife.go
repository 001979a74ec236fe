// SPDX-License-Identifier: Apache-2.0

// Package podlife ends a worker pod rightly.
//
// In a pod with plugins in containers the agent is a sidecar, and the end of a sidecar says nothing to a Job: only
// the main container's does. So the main container follows the agent over a Unix socket in a volume that only the
// two of them mount. The Job is complete when the agent says that it is done; a connection that breaks without
// that word means that the agent has died.
package podlife

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// following is what a follower says first: a probe only connects.
	following = "follow"
	// done and failed are the agent's last words.
	done   = "done"
	failed = "failed "
	// maxLine bounds what either side reads of the other.
	maxLine = 4096
	// retry is the wait before a socket is tried again that is not there yet.
	retry = 100 * time.Millisecond
	// introduction bounds how long one who connects may take to say who it is, and a write.
	introduction = 10 * time.Second
)

// Socket is the agent's end.
type Socket struct {
	listener net.Listener
	mu       sync.Mutex
	// said is the last word, once there is one.
	said      string
	followers map[net.Conn]struct{}
	// joined is closed when the first follower is there, told when one has heard the last word.
	joined, told chan struct{}
}

// Listen opens the socket. From then on the agent's startup probe succeeds.
func Listen(ctx context.Context, path string) (*Socket, error) {
	// An agent before this one may have left it.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket (is its volume mounted and writable?): %w", err)
	}
	s := &Socket{listener: l, followers: map[net.Conn]struct{}{}, joined: make(chan struct{}), told: make(chan struct{})}
	go s.accept()
	return s, nil
}

func (s *Socket) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.welcome(c)
	}
}

func (s *Socket) welcome(c net.Conn) {
	_ = c.SetDeadline(time.Now().Add(introduction))
	line, err := bufio.NewReaderSize(c, maxLine).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != following {
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.followers[c] = struct{}{}
	closeOnce(s.joined)
	if s.said != "" {
		s.tell(c)
	}
}

// tell gives a follower the last word; the lock is held.
func (s *Socket) tell(c net.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(introduction))
	if _, err := fmt.Fprintln(c, s.said); err != nil {
		return
	}
	closeOnce(s.told)
}

// closeOnce closes a channel that may be closed; the lock is held.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// Followed is closed when the pod's main container is there: Kubernetes starts it after all sidecars.
func (s *Socket) Followed() <-chan struct{} { return s.joined }

// Done tells followers, also those that come later, that the work is done. It returns the channel that is closed
// when one has heard it.
func (s *Socket) Done() <-chan struct{} { return s.last(done) }

// Failed tells followers why the agent ends.
func (s *Socket) Failed(why error) { s.last(failed + strings.ReplaceAll(why.Error(), "\n", " ")) }

func (s *Socket) last(word string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = word[:min(len(word), maxLine-1)]
	for c := range s.followers {
		s.tell(c)
	}
	return s.told
}

// Close ends the connections: followers that were told nothing know that the agent has died.
func (s *Socket) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.followers {
		_ = c.Close()
	}
	return err
}

// Follow waits for the agent's last word. It is nil when the agent is done. The socket may take until the deadline
// to appear.
func Follow(ctx context.Context, path string, patience time.Duration) error {
	c, err := dial(ctx, path, patience)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()
	if _, err := fmt.Fprintln(c, following); err != nil {
		return ended(ctx, "")
	}
	line, _ := bufio.NewReaderSize(c, maxLine).ReadString('\n')
	if strings.TrimSpace(line) == done {
		return nil
	}
	return ended(ctx, strings.TrimPrefix(strings.TrimSpace(line), failed))
}

func ended(ctx context.Context, why string) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case why != "":
		return fmt.Errorf("the agent ended before its work was done: %s", why)
	}
	return errors.New("the agent ended before its work was done, without saying why: see the log of " +
		"its container before this one")
}

func dial(ctx context.Context, path string, patience time.Duration) (net.Conn, error) {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-late.C:
			return nil, fmt.Errorf("the agent did not open %s within %s: %w", path, patience, err)
		case <-time.After(retry):
		}
	}
}

// Probe says whether the agent listens.
func Probe(ctx context.Context, path string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("the agent does not listen: %w", err)
	}
	return c.Close()
}
