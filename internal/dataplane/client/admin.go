// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// PutPlan stores the compiled Profile of an Event.
func (c *Client) PutPlan(ctx context.Context, uid string, plan api.Plan) (api.EventState, error) {
	r, err := c.raw.PutPlanWithResponse(ctx, uid, plan)
	if err != nil {
		return api.EventState{}, failed("putPlan", err)
	}
	return done("putPlan", r.HTTPResponse, r.JSON200)
}

// PutRun says how many Jobs an Event is to have, and whether it rests.
func (c *Client) PutRun(ctx context.Context, uid string, run api.Run) error {
	if _, err := c.raw.PutRunWithResponse(ctx, uid, run); err != nil {
		return failed("putRun", err)
	}
	return nil
}

// Finish ends the source of an Event now.
func (c *Client) Finish(ctx context.Context, uid string) error {
	if _, err := c.raw.FinishEventWithResponse(ctx, uid); err != nil {
		return failed("finishEvent", err)
	}
	return nil
}

// Retry tries an Event's dead letters again; once for each id of a request.
func (c *Client) Retry(ctx context.Context, uid string, req api.RetryRequest) (api.RetryResult, error) {
	r, err := c.raw.RetryTasksWithResponse(ctx, uid, req)
	if err != nil {
		return api.RetryResult{}, failed("retryTasks", err)
	}
	return done("retryTasks", r.HTTPResponse, r.JSON200)
}

// Event says how far an Event has come.
func (c *Client) Event(ctx context.Context, uid string) (api.EventState, error) {
	r, err := c.raw.GetEventWithResponse(ctx, uid)
	if err != nil {
		return api.EventState{}, failed("getEvent", err)
	}
	return done("getEvent", r.HTTPResponse, r.JSON200)
}

// PutReplay stores the rules of a Replay.
func (c *Client) PutReplay(ctx context.Context, uid string, rules api.ReplayRules) (api.ReplayState, error) {
	r, err := c.raw.PutReplayWithResponse(ctx, uid, rules)
	if err != nil {
		return api.ReplayState{}, failed("putReplay", err)
	}
	return done("putReplay", r.HTTPResponse, r.JSON200)
}

// Replay returns the plan of a Replay and what was rendered of it.
func (c *Client) Replay(ctx context.Context, uid string) (api.ReplayState, error) {
	r, err := c.raw.GetReplayWithResponse(ctx, uid)
	if err != nil {
		return api.ReplayState{}, failed("getReplay", err)
	}
	return done("getReplay", r.HTTPResponse, r.JSON200)
}

// DeleteEvent takes a step of an Event's deletion; repeat it until done.
func (c *Client) DeleteEvent(ctx context.Context, uid string,
	policy api.DeletionPolicy, purge bool) (api.DeletionState, error) {
	r, err := c.raw.DeleteEventWithResponse(ctx, uid, &api.DeleteEventParams{Policy: policy, Purge: purge})
	if err != nil {
		return api.DeletionState{}, failed("deleteEvent", err)
	}
	return done("deleteEvent", r.HTTPResponse, r.JSON200)
}

// DeleteReplay deletes a Replay's rules, plans and reels.
func (c *Client) DeleteReplay(ctx context.Context, uid string, policy api.DeletionPolicy) (api.DeletionState, error) {
	r, err := c.raw.DeleteReplayWithResponse(ctx, uid, &api.DeleteReplayParams{Policy: policy})
	if err != nil {
		return api.DeletionState{}, failed("deleteReplay", err)
	}
	return done("deleteReplay", r.HTTPResponse, r.JSON200)
}

// Changes returns what changed after a sequence number. It waits, up to 30 s,
// when there is nothing.
func (c *Client) Changes(ctx context.Context, after int64, wait time.Duration) (api.ChangeList, error) {
	seconds := waitSeconds(wait)
	r, err := c.raw.ListChangesWithResponse(longPoll(ctx, seconds),
		&api.ListChangesParams{After: after, WaitSeconds: &seconds})
	if err != nil {
		return api.ChangeList{}, failed("listChanges", err)
	}
	return done("listChanges", r.HTTPResponse, r.JSON200)
}
