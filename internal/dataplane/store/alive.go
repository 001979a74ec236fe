// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"sync"
)

const (
	// aliveEvery is how often it is noted that a data plane is alive.
	aliveEvery = int64(2 * microsPerSecond)
	// outageAfter is how long none may be alive before that time does not
	// count. It is longer than the note ever is old while one is alive.
	outageAfter = int64(5 * microsPerSecond)
)

// pulse is what this process knows of its own life.
type pulse struct {
	mu    sync.Mutex
	noted int64 // when it was noted last, as far as this process knows
	lost  bool  // the database could not be reached since
}

// stayAlive notes that a data plane is alive. After a time without database it
// first gives back what that took from running Events.
func (s *Store) stayAlive(ctx context.Context) error {
	s.pulse.mu.Lock()
	defer s.pulse.mu.Unlock()
	if s.pulse.lost {
		return s.resumeLocked(ctx)
	}
	now := s.now()
	if now-s.pulse.noted < aliveEvery {
		return nil
	}
	err := s.writeQuietly(ctx, func(t *txn) error {
		n, err := t.exec(`UPDATE counters SET value = $1 WHERE name = 'alive' AND value <= $2`, now, now-aliveEvery)
		if err == nil && n == 0 {
			return errUnchanged // another replica has
		}
		return err
	})
	s.pulse.lost = errors.Is(err, ErrUnavailable)
	if err == nil {
		s.pulse.noted = now
	}
	return err
}

// missed notes an error of a database that could not be reached: the time until
// it answers again may be an outage.
func (s *Store) missed(err error) error {
	if errors.Is(err, ErrUnavailable) {
		s.pulse.mu.Lock()
		defer s.pulse.mu.Unlock()
		s.pulse.lost = true
	}
	return err
}

// resume gives running Events the time back in which no data plane was alive:
// no worker could heartbeat, and nothing could drain or arrive. Where another
// replica was alive all the time, nothing happens.
func (s *Store) resume(ctx context.Context) error {
	s.pulse.mu.Lock()
	defer s.pulse.mu.Unlock()
	return s.resumeLocked(ctx)
}

func (s *Store) resumeLocked(ctx context.Context) error {
	var noted int64
	err := s.write(ctx, func(t *txn) error {
		last, err := one[int64](ctx, t, `UPDATE counters SET value = value WHERE name = 'alive' RETURNING value`)
		if err != nil {
			return err
		}
		noted = last
		outage := t.now - last
		if last > 0 && outage < outageAfter {
			return errUnchanged
		}
		noted = t.now
		if _, err := t.exec(`UPDATE counters SET value = $1 WHERE name = 'alive'`, t.now); err != nil || last == 0 {
			return err
		}
		// A suspended Event gets its time back when it goes on.
		if _, err := t.exec(`UPDATE events SET drain_due_at = drain_due_at + $1, gap_due_at = gap_due_at + $1
			WHERE suspended_at IS NULL AND (drain_due_at IS NOT NULL OR gap_due_at IS NOT NULL)`, outage); err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE plugin_health SET heard_at = heard_at + $1`, outage); err != nil {
			return err
		}
		_, err = t.exec(`UPDATE tasks SET lease_expires_at = lease_expires_at + $1 WHERE state = 'leased'`, outage)
		return err
	})
	s.pulse.lost = errors.Is(err, ErrUnavailable)
	if err == nil {
		s.pulse.noted = noted
	}
	return err
}
