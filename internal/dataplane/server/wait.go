// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"time"
)

// requery bounds how long a long poll trusts hints: one may be lost, or come from another replica.
const requery = 5 * time.Second

// coalesce lets hints that come together cost one look.
const coalesce = 20 * time.Millisecond

// waitFor looks until something is found, the wait is over, the server drains or the caller leaves.
func (s *Server) waitFor(ctx context.Context, wait time.Duration, look func() (found bool, err error)) error {
	// The subscription comes before the first look, so that nothing falls between them.
	hints, cancel := s.store.Hints()
	defer cancel()
	over := time.NewTimer(wait)
	defer over.Stop()
	again := time.NewTicker(requery)
	defer again.Stop()
	for {
		if found, err := look(); found || err != nil {
			return err
		}
		select {
		case <-hints:
		case <-again.C:
		case <-over.C:
			return nil
		case <-s.draining:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		sleep(ctx, coalesce)
	}
}
