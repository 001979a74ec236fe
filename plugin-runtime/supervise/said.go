// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"io"
	"os"
	"sync"
	"time"
)

const (
	// keep is how much of the end of standard error is kept.
	keep = 4096
	// drain bounds how long a pipe may stay open after its command has ended.
	drain = time.Second
)

// said passes a command's standard error on, unchanged, and keeps its end.
type said struct {
	child, ours *os.File
	done        chan struct{}
	mu          sync.Mutex
	tail        []byte
}

func listenTo(out io.Writer) (*said, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s := &said{child: w, ours: r, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_, _ = io.Copy(io.MultiWriter(s, out), r)
	}()
	return s, nil
}

// started closes the end that is the command's now.
func (s *said) started() { _ = s.child.Close() }

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, p...)
	if len(s.tail) > 4*keep {
		s.tail = append(s.tail[:0], s.tail[len(s.tail)-keep:]...)
	}
	return len(p), nil
}

// end waits for the last words, and returns the end of what was said.
func (s *said) end() string {
	t := time.NewTimer(drain)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
	}
	_ = s.ours.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.tail[max(0, len(s.tail)-keep):])
}
