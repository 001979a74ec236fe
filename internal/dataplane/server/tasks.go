// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// HeartbeatTask extends a lease.
func (s *Server) HeartbeatTask(ctx context.Context,
	r api.HeartbeatTaskRequestObject) (api.HeartbeatTaskResponseObject, error) {
	return api.HeartbeatTask204Response{}, s.store.Heartbeat(ctx, r.EventUID, r.TaskID, r.Body.Token)
}

// CompleteTask publishes what a task found. What was rendered must be in the bucket by then, so that no row
// ever names an object that is not there.
func (s *Server) CompleteTask(ctx context.Context,
	r api.CompleteTaskRequestObject) (api.CompleteTaskResponseObject, error) {
	if err := s.mediaStored(ctx, r.EventUID, r.Body.Media); err != nil {
		// The objects of a task that is gone, as with its Replay, are gone too: the lease is what is wrong, not the output.
		if errors.Is(err, store.ErrInvalid) {
			err = cmp.Or(s.store.Heartbeat(ctx, r.EventUID, r.TaskID, r.Body.Token), err)
		}
		return nil, err
	}
	next, err := s.store.Complete(ctx, r.EventUID, r.TaskID, *r.Body)
	if err != nil || next == nil {
		return api.CompleteTask204Response{}, err
	}
	if next.Lease != nil {
		if err := s.sign(ctx, next.Lease); err != nil {
			// The output is published; only the next task is not handed out.
			s.giveBack(ctx, r.EventUID, next.Lease)
			next = &api.LeaseResponse{Outcome: api.LeaseResponseOutcomeIdle}
		}
	}
	return api.CompleteTask200JSONResponse(*next), nil
}

// FailTask notes a failed attempt, or that there was none for want of the object store.
func (s *Server) FailTask(ctx context.Context, r api.FailTaskRequestObject) (api.FailTaskResponseObject, error) {
	if f := r.Body; f.StoreAway != nil && *f.StoreAway {
		return api.FailTask204Response{}, s.store.Away(ctx, r.EventUID, r.TaskID,
			f.Token, f.Message, s.bucketProblem.Load() != nil)
	}
	return api.FailTask204Response{}, s.store.Fail(ctx, r.EventUID, r.TaskID, *r.Body)
}

// ReleaseTask takes a task back. Only its holder knows whether it had begun; one that does not say so had.
func (s *Server) ReleaseTask(ctx context.Context,
	r api.ReleaseTaskRequestObject) (api.ReleaseTaskResponseObject, error) {
	release := s.store.GiveBack
	if r.Body.Untried != nil && *r.Body.Untried {
		release = s.store.Release
	}
	return api.ReleaseTask204Response{}, release(ctx, r.EventUID, r.TaskID, r.Body.Token)
}

// mediaStored refuses media whose objects are not there.
func (s *Server) mediaStored(ctx context.Context, uid string, media *api.MediaProof) error {
	if media == nil {
		return nil
	}
	if err := s.mustBeStored(ctx, uid, media.Key, &media.Bytes); err != nil || media.ThumbnailKey == nil {
		return err
	}
	return s.mustBeStored(ctx, uid, *media.ThumbnailKey, nil)
}

// mustBeStored refuses a key that is not the Event's, has no object or one of another size.
func (s *Server) mustBeStored(ctx context.Context, uid, key string, bytes *int64) error {
	if err := s.mustOwn(ctx, uid, key); err != nil {
		return err
	}
	info, err := s.objects.Head(ctx, key)
	switch {
	case errors.Is(err, objects.ErrNotFound):
		// With the bucket every object is gone, which is no fault of the caller.
		if err := s.objects.Look(ctx); err != nil {
			return err
		}
		return fmt.Errorf("%w: there is no object %s; upload it before it is registered", store.ErrInvalid, key)
	case err != nil:
		return err
	case bytes != nil && info.Bytes != *bytes:
		return fmt.Errorf("%w: object %s has %d bytes, not %d", store.ErrInvalid, key, info.Bytes, *bytes)
	}
	return nil
}
