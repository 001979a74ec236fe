// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// changesPage bounds one answer of the change feed.
const changesPage = 1000

// PutPlan stores the compiled Profile of an Event.
func (s *Server) PutPlan(ctx context.Context, r api.PutPlanRequestObject) (api.PutPlanResponseObject, error) {
	state, err := s.store.PutPlan(ctx, r.EventUID, *r.Body)
	state.StorageProblem = s.bucketProblem.Load()
	return api.PutPlan200JSONResponse(state), err
}

// PutRun stores how many Jobs an Event is to have, and whether it rests.
func (s *Server) PutRun(ctx context.Context, r api.PutRunRequestObject) (api.PutRunResponseObject, error) {
	return api.PutRun204Response{}, s.store.PutRun(ctx, r.EventUID, *r.Body)
}

// FinishEvent ends an Event's source now.
func (s *Server) FinishEvent(ctx context.Context,
	r api.FinishEventRequestObject) (api.FinishEventResponseObject, error) {
	return api.FinishEvent204Response{}, s.store.Finish(ctx, r.EventUID)
}

// RetryTasks tries dead letters again.
func (s *Server) RetryTasks(ctx context.Context, r api.RetryTasksRequestObject) (api.RetryTasksResponseObject, error) {
	result, err := s.store.Retry(ctx, r.EventUID, *r.Body)
	return api.RetryTasks200JSONResponse(result), err
}

// PutReplay stores the rules of a Replay.
func (s *Server) PutReplay(ctx context.Context, r api.PutReplayRequestObject) (api.PutReplayResponseObject, error) {
	state, err := s.store.PutReplay(ctx, r.ReplayUID, *r.Body)
	return api.PutReplay200JSONResponse(state), err
}

// ListChanges waits for changes after a sequence number.
func (s *Server) ListChanges(ctx context.Context,
	r api.ListChangesRequestObject) (api.ListChangesResponseObject, error) {
	var wait time.Duration
	if r.Params.WaitSeconds != nil {
		wait = time.Duration(*r.Params.WaitSeconds) * time.Second
	}
	answer := api.ListChanges200JSONResponse{Changes: []api.Change{}, Next: r.Params.After}
	err := s.waitFor(ctx, wait, func() (bool, error) {
		changes, next, err := s.store.Changes(ctx, r.Params.After, changesPage)
		if err != nil {
			return false, err
		}
		answer.Changes, answer.Next = list(changes), next
		return len(changes) > 0, nil
	})
	return answer, err
}
