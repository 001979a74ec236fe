// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"log/slog"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// DeleteEvent takes a deletion a step further and says what is left.
func (s *Server) DeleteEvent(ctx context.Context,
	r api.DeleteEventRequestObject) (api.DeleteEventResponseObject, error) {
	if err := s.store.Tombstone(ctx, r.EventUID, r.Params.Policy); err != nil {
		return nil, err
	}
	if !r.Params.Purge {
		return api.DeleteEvent200JSONResponse{
			Remaining: "The Event is tombstoned; its rows and objects go when the call asks for purge, once its Jobs are gone.",
		}, nil
	}
	state, err := s.sweeper.PurgeEvent(ctx, r.EventUID)
	state, err = s.heldUp(ctx, state, err)
	return api.DeleteEvent200JSONResponse(state), err
}

// DeleteReplay deletes the rows of a Replay at once and its reels step by step.
func (s *Server) DeleteReplay(ctx context.Context,
	r api.DeleteReplayRequestObject) (api.DeleteReplayResponseObject, error) {
	if err := s.store.DeleteReplay(ctx, r.ReplayUID, r.Params.Policy); err != nil {
		return nil, err
	}
	state, err := s.sweeper.PurgeReplay(ctx, r.ReplayUID)
	state, err = s.heldUp(ctx, state, err)
	return api.DeleteReplay200JSONResponse(state), err
}

// heldUp makes a state of the deletion out of the bucket's absence: the call has done what it could, and a repeat
// goes on.
func (s *Server) heldUp(ctx context.Context, state api.DeletionState, err error) (api.DeletionState, error) {
	if !errors.Is(err, objects.ErrUnavailable) {
		return state, err
	}
	slog.WarnContext(ctx, "a deletion waits for the bucket", "error", err)
	return api.DeletionState{Remaining: "The rows are deleted; objects are left in the bucket.",
		StorageProblem: s.bucketTrouble(err)}, nil
}
