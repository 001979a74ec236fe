// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Ingest says what ingest has to do, and what is stored already.
func (c *Client) Ingest(ctx context.Context, uid string) (api.IngestSpec, error) {
	r, err := c.raw.GetIngestWithResponse(ctx, uid)
	if err != nil {
		return api.IngestSpec{}, failed("getIngest", err)
	}
	return value("getIngest", r.HTTPResponse, r.Body, r.JSON200)
}

// PutTimeline declares the timeline; it is frozen from then on.
func (c *Client) PutTimeline(ctx context.Context, uid string, tl api.Timeline) error {
	r, err := c.raw.PutTimelineWithResponse(ctx, uid, tl)
	if err != nil {
		return failed("putTimeline", err)
	}
	return check("putTimeline", r.HTTPResponse, r.Body)
}

// MintUnitURL returns a presigned, create-only PUT for a unit.
func (c *Client) MintUnitURL(ctx context.Context, uid string, key api.UnitKey) (api.Upload, error) {
	r, err := c.raw.MintUnitURLWithResponse(ctx, uid, key)
	if err != nil {
		return api.Upload{}, failed("mintUnitURL", err)
	}
	return value("mintUnitURL", r.HTTPResponse, r.Body, r.JSON200)
}

// RegisterUnit registers a stored unit.
func (c *Client) RegisterUnit(ctx context.Context, uid string, unit api.Unit) error {
	r, err := c.raw.RegisterUnitWithResponse(ctx, uid, unit)
	if err != nil {
		return failed("registerUnit", err)
	}
	return check("registerUnit", r.HTTPResponse, r.Body)
}

// EndSource says that the source has ended.
func (c *Client) EndSource(ctx context.Context, uid string, end api.SourceEnd) error {
	r, err := c.raw.EndSourceWithResponse(ctx, uid, end)
	if err != nil {
		return failed("endSource", err)
	}
	return check("endSource", r.HTTPResponse, r.Body)
}

// FailSource says that the source cannot be read.
func (c *Client) FailSource(ctx context.Context, uid string, why api.Failure) error {
	r, err := c.raw.FailSourceWithResponse(ctx, uid, why)
	if err != nil {
		return failed("failSource", err)
	}
	return check("failSource", r.HTTPResponse, r.Body)
}

// Heartbeat extends a lease; the code LeaseLost says that it is gone.
func (c *Client) Heartbeat(ctx context.Context, uid string, task int64, token string) error {
	r, err := c.raw.HeartbeatTaskWithResponse(ctx, uid, task, api.LeaseToken{Token: token})
	if err != nil {
		return failed("heartbeatTask", err)
	}
	return check("heartbeatTask", r.HTTPResponse, r.Body)
}

// Complete publishes a task's output.
func (c *Client) Complete(ctx context.Context, uid string, task int64, out api.TaskOutput) error {
	r, err := c.raw.CompleteTaskWithResponse(ctx, uid, task, out)
	if err != nil {
		return failed("completeTask", err)
	}
	return check("completeTask", r.HTTPResponse, r.Body)
}

// Fail reports that an attempt failed.
func (c *Client) Fail(ctx context.Context, uid string, task int64, why api.TaskFailure) error {
	r, err := c.raw.FailTaskWithResponse(ctx, uid, task, why)
	if err != nil {
		return failed("failTask", err)
	}
	return check("failTask", r.HTTPResponse, r.Body)
}

// Release gives a task back untried.
func (c *Client) Release(ctx context.Context, uid string, task int64, token string) error {
	r, err := c.raw.ReleaseTaskWithResponse(ctx, uid, task, api.LeaseToken{Token: token})
	if err != nil {
		return failed("releaseTask", err)
	}
	return check("releaseTask", r.HTTPResponse, r.Body)
}

// Lease takes the next ready task, or waits for one as long as the request
// says.
func (c *Client) Lease(ctx context.Context, uid string, req api.LeaseRequest) (api.LeaseResponse, error) {
	r, err := c.raw.LeaseTaskWithResponse(longPoll(ctx, req.WaitSeconds), uid, req)
	if err != nil {
		return api.LeaseResponse{}, failed("leaseTask", err)
	}
	return value("leaseTask", r.HTTPResponse, r.Body, r.JSON200)
}

// longPollGrace is how much longer than it was asked to wait the data plane
// may take to answer.
const longPollGrace = 15 * time.Second

func longPoll(ctx context.Context, waitSeconds int32) context.Context {
	return withAttempt(ctx, time.Duration(waitSeconds)*time.Second+longPollGrace)
}

// waitSeconds keeps a wait within what the API takes.
func waitSeconds(d time.Duration) int32 {
	return int32(min(max(d, 0), 30*time.Second) / time.Second)
}

func failed(call string, err error) error { return fmt.Errorf("data plane: %s: %w", call, err) }
