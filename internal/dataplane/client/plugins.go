// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Plan is the compiled Profile that an Event runs with.
func (c *Client) Plan(ctx context.Context, uid string) (api.Plan, error) {
	r, err := c.raw.GetPlanWithResponse(ctx, uid)
	if err != nil {
		return api.Plan{}, failed("getPlan", err)
	}
	return done("getPlan", r.HTTPResponse, r.JSON200)
}

// PutPluginHealth says what this worker knows of a plugin's process. Its word
// counts for 3 minutes after it was heard of last, by any call for tasks.
func (c *Client) PutPluginHealth(ctx context.Context, uid, plugin string, report api.PluginHealthReport) error {
	if _, err := c.raw.PutPluginHealthWithResponse(ctx, uid, plugin, report); err != nil {
		return failed("putPluginHealth", err)
	}
	return nil
}

// Variables are an Event's context variables: text, numbers and booleans.
func (c *Client) Variables(ctx context.Context, uid string) (map[string]any, error) {
	r, err := c.raw.GetVariablesWithResponse(ctx, uid)
	if err != nil {
		return nil, failed("getVariables", err)
	}
	list, err := done("getVariables", r.HTTPResponse, r.JSON200)
	return list.Variables, err
}

// SwapVariable sets a context variable if it has the expected value; only the
// holder of the task's lease may.
func (c *Client) SwapVariable(ctx context.Context, uid string, task int64,
	swap api.VariableSwap) (api.VariableSwapResult, error) {
	r, err := c.raw.SwapVariableWithResponse(ctx, uid, task, swap)
	if err != nil {
		return api.VariableSwapResult{}, failed("swapVariable", err)
	}
	return done("swapVariable", r.HTTPResponse, r.JSON200)
}

// Feedback is what reviewers think of an Event's clips, by segment.
func (c *Client) Feedback(ctx context.Context, uid string) ([]api.Feedback, error) {
	r, err := c.raw.ListFeedbackWithResponse(ctx, uid)
	if err != nil {
		return nil, failed("listFeedback", err)
	}
	list, err := done("listFeedback", r.HTTPResponse, r.JSON200)
	return list.Items, err
}

// PutFeedback says what a reviewer thinks of a segment's clips.
func (c *Client) PutFeedback(ctx context.Context, uid string, feedback api.Feedback) error {
	if _, err := c.raw.PutFeedbackWithResponse(ctx, uid, feedback); err != nil {
		return failed("putFeedback", err)
	}
	return nil
}
