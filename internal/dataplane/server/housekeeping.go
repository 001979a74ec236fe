// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"log/slog"
	"time"
)

const (
	// longestNap bounds how late something that became due after the last look can be.
	longestNap = time.Second
	// shortestNap keeps a due time in the past from spinning.
	shortestNap = 20 * time.Millisecond
)

// housekeep does what is due by the database's clock: leases that expired, drains that took too long. A missed
// or repeated run changes nothing, so it may stop anywhere.
func (s *Server) housekeep(ctx context.Context) {
	for ctx.Err() == nil {
		next, err := s.store.Housekeep(ctx)
		nap := longestNap
		if err == nil && !next.IsZero() {
			nap = min(max(time.Until(next), shortestNap), longestNap)
		}
		if ctx.Err() != nil {
			return
		}
		s.metrics.ran("housekeeping", err)
		if err != nil {
			slog.ErrorContext(ctx, "housekeeping failed; it is tried again", "error", err)
		}
		sleep(ctx, nap)
	}
}

// sleep ends early with the context.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
