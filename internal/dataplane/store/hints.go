// SPDX-License-Identifier: Apache-2.0

package store

import "sync"

// hints wakes long polls of this process after a commit. A lost hint costs a
// poll's wait, never correctness.
type hints struct {
	mu   sync.Mutex
	subs map[chan struct{}]struct{}
}

// Hints returns a channel that gets a value some time after each commit;
// several commits may share one value. Call cancel when done.
func (s *Store) Hints() (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	s.hints.mu.Lock()
	defer s.hints.mu.Unlock()
	if s.hints.subs == nil {
		s.hints.subs = map[chan struct{}]struct{}{}
	}
	s.hints.subs[ch] = struct{}{}
	return ch, func() {
		s.hints.mu.Lock()
		defer s.hints.mu.Unlock()
		delete(s.hints.subs, ch)
	}
}

func (h *hints) broadcast() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subs {
		select {
		case ch <- struct{}{}:
		default: // a value is waiting already
		}
	}
}
