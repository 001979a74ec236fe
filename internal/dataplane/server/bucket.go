// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/mre-operator/mre-operator/internal/objects"
)

const (
	// bucketRetry is the pause between two attempts to reach a bucket that is away, bucketLook that between two
	// looks at one that is there.
	bucketRetry = time.Second
	bucketLook  = 5 * time.Second
	// bucketPatience bounds one look, with its repeats.
	bucketPatience = 10 * time.Second
)

// watchBucket makes the bucket when the object store is there; both may start in any order. Rows can be read
// and written before that; readiness waits for it. From then on it looks whether the bucket still is there. One
// that vanishes is not made again: the media that it held would be missing without a word. Nor is one that rows of
// an earlier process name objects of, and these may be read while it is away.
func (s *Server) watchBucket(ctx context.Context) {
	used := s.bucketUsed(ctx)
	look := s.objects.EnsureBucket
	if used {
		look = s.objects.Look
	}
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, bucketPatience)
		err := look(call)
		cancel()
		if ctx.Err() != nil {
			return
		}
		s.metrics.ran("bucket", err)
		s.noteBucket(ctx, err)
		if err == nil || used {
			s.bucketSeen.Store(true)
		}
		if err != nil {
			sleep(ctx, bucketRetry)
			continue
		}
		look = s.objects.Look
		sleep(ctx, bucketLook)
	}
}

// bucketUsed says whether an earlier process has stored anything, as soon as the database can be asked.
func (s *Server) bucketUsed(ctx context.Context) bool {
	for ctx.Err() == nil {
		used, err := s.store.NamesObjects(ctx)
		if err == nil {
			return used
		}
		if ctx.Err() == nil {
			slog.WarnContext(ctx, "the database could not be asked whether the bucket was used; it is asked again", "error", err)
		}
		sleep(ctx, bucketRetry)
	}
	return false
}

// noteBucket keeps what a look has found, for whoever asks for an Event. When that is news, the feed tells of
// every Event that needs the bucket; a feed that could not be told costs the manager some time.
func (s *Server) noteBucket(ctx context.Context, err error) {
	problem := s.bucketTrouble(err)
	before := s.bucketProblem.Swap(problem)
	switch {
	case text(before) == text(problem):
		return
	case problem == nil:
		slog.InfoContext(ctx, "the bucket is back", "bucket", s.objects.Location(""))
	default:
		slog.WarnContext(ctx, "the bucket cannot be used; it is tried again", "bucket",
			s.objects.Location(""), "problem", *problem, "error", err)
	}
	if err := s.store.ChangedUnfinished(ctx); err != nil {
		slog.WarnContext(ctx, "the change feed could not be told of the bucket", "error", err)
	}
}

// bucketTrouble says in words what is wrong with the bucket and what to do; nil when nothing is. The words are
// the same each time, whatever the store's answer carries.
func (s *Server) bucketTrouble(err error) *string {
	var problem string
	switch at := s.objects.Location(""); {
	case err == nil:
		return nil
	case errors.Is(err, objects.ErrNoBucket):
		problem = "the bucket of " + at +
			" does not exist: bring it back with what it held, or correct the data plane's --bucket"
	case errors.Is(err, objects.ErrRefused):
		problem = "the object store refuses the data plane's keys for " + at +
			": check the keys in its Secret, and what the bucket allows them"
	default:
		problem = "the object store with " + at +
			" does not do what it is asked: check that it runs and that the data plane reaches it, whose log says more"
	}
	return &problem
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
