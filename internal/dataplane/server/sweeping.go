// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"log/slog"
)

// sweep looks at the bucket from time to time. A pass that was missed is made up for by the next one.
func (s *Server) sweep(ctx context.Context) {
	for {
		sleep(ctx, s.options.SweepInterval)
		if ctx.Err() != nil {
			return
		}
		s.forget(ctx)
		err := s.sweeper.Pass(ctx)
		if ctx.Err() != nil {
			return
		}
		s.metrics.ran("sweep", err)
		if err != nil {
			slog.ErrorContext(ctx, "the bucket could not be swept; it is tried again", "error", err)
		}
	}
}

// forget deletes rows that nobody needs any more.
func (s *Server) forget(ctx context.Context) {
	if s.options.RetainRows == 0 {
		return
	}
	_, err := s.store.Forget(ctx, s.options.RetainRows)
	if ctx.Err() != nil {
		return
	}
	s.metrics.ran("retention", err)
	if err != nil {
		slog.ErrorContext(ctx, "old rows could not be deleted; it is tried again", "error", err)
	}
}
