// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// GetPlan is the compiled Profile that an Event runs with.
func (s *Server) GetPlan(ctx context.Context, r api.GetPlanRequestObject) (api.GetPlanResponseObject, error) {
	plan, err := s.store.Plan(ctx, r.EventUID)
	return api.GetPlan200JSONResponse(plan), err
}

// PutPluginHealth notes what a worker knows of a plugin's process.
func (s *Server) PutPluginHealth(ctx context.Context,
	r api.PutPluginHealthRequestObject) (api.PutPluginHealthResponseObject, error) {
	return api.PutPluginHealth204Response{}, s.store.PutPluginHealth(ctx, r.EventUID, r.Plugin, *r.Body)
}

// GetVariables are an Event's context variables.
func (s *Server) GetVariables(ctx context.Context,
	r api.GetVariablesRequestObject) (api.GetVariablesResponseObject, error) {
	variables, err := s.store.Variables(ctx, r.EventUID)
	return api.GetVariables200JSONResponse{Variables: variables}, err
}

// SwapVariable sets a context variable if it has the expected value.
func (s *Server) SwapVariable(ctx context.Context,
	r api.SwapVariableRequestObject) (api.SwapVariableResponseObject, error) {
	result, err := s.store.SwapVariable(ctx, r.EventUID, r.TaskID, *r.Body)
	return api.SwapVariable200JSONResponse(result), err
}

// ListFeedback lists what reviewers think of clips.
func (s *Server) ListFeedback(ctx context.Context,
	r api.ListFeedbackRequestObject) (api.ListFeedbackResponseObject, error) {
	items, err := s.store.Feedback(ctx, r.EventUID)
	return api.ListFeedback200JSONResponse{Items: list(items)}, err
}

// PutFeedback stores what a reviewer thinks of a segment's clips.
func (s *Server) PutFeedback(ctx context.Context,
	r api.PutFeedbackRequestObject) (api.PutFeedbackResponseObject, error) {
	return api.PutFeedback204Response{}, s.store.PutFeedback(ctx, r.EventUID, *r.Body)
}
