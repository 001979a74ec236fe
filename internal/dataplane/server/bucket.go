// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"log/slog"
	"time"
)

// bucketRetry is the pause between two attempts to reach the object store.
const bucketRetry = time.Second

// ensureBucket makes the bucket when the object store is there; both may start in any order. Rows can be read
// and written before that; readiness waits for it.
func (s *Server) ensureBucket(ctx context.Context) {
	for {
		err := s.objects.EnsureBucket(ctx)
		if err == nil {
			s.bucketSeen.Store(true)
			return
		}
		if ctx.Err() != nil {
			return
		}
		s.metrics.ran("bucket", err)
		slog.WarnContext(ctx, "the bucket cannot be reached or made; it is tried again", "bucket", s.objects.Location(""), "error", err)
		sleep(ctx, bucketRetry)
	}
}
