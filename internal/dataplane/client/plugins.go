// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// ResultFilter chooses results; what is not set does not matter.
type ResultFilter struct {
	Plugin     string
	Track      *int32
	FromMicros *int64
	ToMicros   *int64
	LastChunk  *int64
}

// FilteredResults are the published results that a filter lets through, by time.
func (c *Client) FilteredResults(ctx context.Context, uid string, f ResultFilter) ([]api.StoredResult, error) {
	p := api.ListResultsParams{Track: f.Track, FromMicros: f.FromMicros, ToMicros: f.ToMicros, LastChunk: f.LastChunk, Limit: &pageSize}
	if f.Plugin != "" {
		p.Plugin = &f.Plugin
	}
	return pages(func(next *string) ([]api.StoredResult, *string, error) {
		p.Continue = next
		r, err := c.raw.ListResultsWithResponse(ctx, uid, &p)
		if err != nil {
			return nil, nil, failed("listResults", err)
		}
		list, err := done("listResults", r.HTTPResponse, r.JSON200)
		return list.Items, list.Continue, err
	})
}

// Variables are the Event's context variables.
func (c *Client) Variables(ctx context.Context, uid string) (map[string]any, error) {
	r, err := c.raw.GetVariablesWithResponse(ctx, uid)
	if err != nil {
		return nil, failed("getVariables", err)
	}
	v, err := done("getVariables", r.HTTPResponse, r.JSON200)
	return v.Variables, err
}

// SwapVariable sets a context variable at once if it has the expected value; nil expects that there is none.
func (c *Client) SwapVariable(ctx context.Context, uid string, task int64, token, name string, expected *json.RawMessage, value json.RawMessage) (api.VariableSwapResult, error) {
	r, err := c.raw.SwapVariableWithResponse(ctx, uid, task, api.VariableSwap{Token: token, Name: name, Expected: expected, Value: value})
	if err != nil {
		return api.VariableSwapResult{}, failed("swapVariable", err)
	}
	return done("swapVariable", r.HTTPResponse, r.JSON200)
}

// Feedback is what reviewers think of the Event's clips.
func (c *Client) Feedback(ctx context.Context, uid string) ([]api.Feedback, error) {
	r, err := c.raw.ListFeedbackWithResponse(ctx, uid)
	if err != nil {
		return nil, failed("listFeedback", err)
	}
	list, err := done("listFeedback", r.HTTPResponse, r.JSON200)
	return list.Items, err
}

// PutFeedback stores what a reviewer thinks of a segment's clips.
func (c *Client) PutFeedback(ctx context.Context, uid string, f api.Feedback) error {
	if _, err := c.raw.PutFeedbackWithResponse(ctx, uid, f); err != nil {
		return failed("putFeedback", err)
	}
	return nil
}
