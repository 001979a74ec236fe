// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// DeleteEvent takes a deletion a step further and says what is left.
func (s *Server) DeleteEvent(ctx context.Context, r api.DeleteEventRequestObject) (api.DeleteEventResponseObject, error) {
	if err := s.store.Tombstone(ctx, r.EventUID, r.Params.Policy); err != nil {
		return nil, err
	}
	if !r.Params.Purge {
		return api.DeleteEvent200JSONResponse{
			Remaining: "The Event is tombstoned; its rows and objects go when the call asks for purge, once its Jobs are gone.",
		}, nil
	}
	state, err := s.sweeper.PurgeEvent(ctx, r.EventUID)
	return api.DeleteEvent200JSONResponse(state), err
}

// DeleteReplay deletes the rows of a Replay at once and its reels step by step.
func (s *Server) DeleteReplay(ctx context.Context, r api.DeleteReplayRequestObject) (api.DeleteReplayResponseObject, error) {
	if err := s.store.DeleteReplay(ctx, r.ReplayUID, r.Params.Policy); err != nil {
		return nil, err
	}
	state, err := s.sweeper.PurgeReplay(ctx, r.ReplayUID)
	return api.DeleteReplay200JSONResponse(state), err
}
