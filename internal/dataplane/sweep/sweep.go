// SPDX-License-Identifier: Apache-2.0

// Package sweep removes objects: those of deleted Events and Replays, and those that no row names, such as what
// a worker uploaded after it had lost its lease.
//
// Every step looks at the bucket and the rows anew and may be repeated or stopped anywhere. What the rows do not
// know is left alone: a bucket may hold other things, and a lost database must not cost the media.
package sweep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// settle is how long after a start unnamed objects are safe: whoever uploaded them while the data plane was away
// registers them now.
const settle = 10 * time.Minute

// Options of a sweeper.
type Options struct {
	// Age is how old an object of a living Event must be before it is removed when no row names it.
	Age time.Duration
	// Swept is told how many objects went.
	Swept func(n int)
}

// Sweeper removes objects.
type Sweeper struct {
	rows    *store.Store
	bucket  *objects.Bucket
	clock   clock.PassiveClock
	options Options
	started time.Time
}

// New makes a sweeper.
func New(rows *store.Store, bucket *objects.Bucket, clock clock.PassiveClock, options Options) *Sweeper {
	return &Sweeper{rows: rows, bucket: bucket, clock: clock, options: options, started: clock.Now()}
}

// Pass looks at the whole bucket once. What fails for one Event does not keep the others from being swept.
func (s *Sweeper) Pass(ctx context.Context) error {
	namespaces, err := s.bucket.Folders(ctx, "")
	if err != nil {
		return err
	}
	failed := []error{s.resume(ctx)}
	for _, namespace := range namespaces {
		uids, err := s.bucket.Folders(ctx, namespace+"/")
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, uid := range uids {
			if err := s.event(ctx, namespace, uid); err != nil {
				failed = append(failed, fmt.Errorf("sweep the objects of Event %s: %w", uid, err))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return errors.Join(failed...)
}

// resume goes on with deletions that nobody asks for any more, as when the manager was told to let the Event go.
func (s *Sweeper) resume(ctx context.Context) error {
	deletions, err := s.rows.Deletions(ctx)
	if err != nil {
		return err
	}
	failed := []error{}
	for _, d := range deletions {
		if d.Phase == store.PhaseDone || s.clock.Now().Sub(d.CreatedAt) < s.options.Age {
			continue
		}
		purge := s.PurgeEvent
		if d.Kind == api.ChangeKindReplay {
			purge = s.PurgeReplay
		}
		if _, err := purge(ctx, d.UID); err != nil {
			failed = append(failed, fmt.Errorf("go on with the deletion of %s %s: %w", d.Kind, d.UID, err))
		}
	}
	return errors.Join(failed...)
}

// event sweeps a folder when it is an Event's.
func (s *Sweeper) event(ctx context.Context, namespace, uid string) error {
	found, err := s.rows.EventNamespace(ctx, uid)
	switch {
	case errors.Is(err, store.ErrGone):
		return s.gone(ctx, namespace, uid)
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	case found != namespace:
		return nil
	}
	return s.living(ctx, namespace, uid)
}

// gone repeats the removal for a deletion that is done: a URL that was signed before it can bring an object back
// until it expires.
func (s *Sweeper) gone(ctx context.Context, namespace, uid string) error {
	deletion, err := s.rows.Deletion(ctx, uid)
	if err != nil {
		return err
	}
	if deletion.Namespace != namespace || deletion.Phase != store.PhaseDone {
		return nil
	}
	keep := keepOf(deletion)
	for {
		more, err := s.remove(ctx, deletion.Prefix, keep)
		if !more || err != nil {
			return err
		}
	}
}

func (s *Sweeper) living(ctx context.Context, namespace, uid string) error {
	now := s.clock.Now()
	if now.Sub(s.started) < min(settle, s.options.Age) {
		return nil
	}
	var old []string
	for object, err := range s.bucket.List(ctx, keys.Event(namespace, uid)) {
		if err != nil {
			return err
		}
		if now.Sub(object.Modified) >= s.options.Age {
			old = append(old, object.Key)
		}
	}
	if len(old) == 0 {
		return nil
	}
	doomed, err := s.rows.Doom(ctx, uid, old)
	if err != nil {
		return err
	}
	return s.delete(ctx, doomed)
}

func (s *Sweeper) delete(ctx context.Context, unwanted []string) error {
	if len(unwanted) == 0 {
		return nil
	}
	if err := s.bucket.Delete(ctx, unwanted); err != nil {
		return err
	}
	if s.options.Swept != nil {
		s.options.Swept(len(unwanted))
	}
	return nil
}
