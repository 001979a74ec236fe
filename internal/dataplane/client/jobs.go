// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Ingest says what ingest has to do, and what is stored already.
func (c *Client) Ingest(ctx context.Context, uid string) (api.IngestSpec, error) {
	r, err := c.raw.GetIngestWithResponse(ctx, uid)
	if err != nil {
		return api.IngestSpec{}, failed("getIngest", err)
	}
	return done("getIngest", r.HTTPResponse, r.JSON200)
}

// PutTimeline declares the timeline; it is frozen from then on.
func (c *Client) PutTimeline(ctx context.Context, uid string, tl api.Timeline) error {
	if _, err := c.raw.PutTimelineWithResponse(ctx, uid, tl); err != nil {
		return failed("putTimeline", err)
	}
	return nil
}

// MintUnitURL returns a presigned, create-only PUT for a unit.
func (c *Client) MintUnitURL(ctx context.Context, uid string, key api.UnitKey) (api.Upload, error) {
	r, err := c.raw.MintUnitURLWithResponse(ctx, uid, key)
	if err != nil {
		return api.Upload{}, failed("mintUnitURL", err)
	}
	return done("mintUnitURL", r.HTTPResponse, r.JSON200)
}

// RegisterUnit registers a stored unit.
func (c *Client) RegisterUnit(ctx context.Context, uid string, unit api.Unit) error {
	if _, err := c.raw.RegisterUnitWithResponse(ctx, uid, unit); err != nil {
		return failed("registerUnit", err)
	}
	return nil
}

// AddIngestPart says that the source is ingested in another way from a frame on.
func (c *Client) AddIngestPart(ctx context.Context, uid string, part api.IngestPart) error {
	if _, err := c.raw.AddIngestPartWithResponse(ctx, uid, part); err != nil {
		return failed("addIngestPart", err)
	}
	return nil
}

// EndSource says that the source has ended.
func (c *Client) EndSource(ctx context.Context, uid string, end api.SourceEnd) error {
	if _, err := c.raw.EndSourceWithResponse(ctx, uid, end); err != nil {
		return failed("endSource", err)
	}
	return nil
}

// NoteIngest says why a try of ingest ended, while another one is made.
func (c *Client) NoteIngest(ctx context.Context, uid, message string) error {
	if _, err := c.raw.PutIngestProblemWithResponse(ctx, uid, api.IngestProblem{Message: message}); err != nil {
		return failed("putIngestProblem", err)
	}
	return nil
}

// FailSource says that the source cannot be read.
func (c *Client) FailSource(ctx context.Context, uid string, why api.Failure) error {
	if _, err := c.raw.FailSourceWithResponse(ctx, uid, why); err != nil {
		return failed("failSource", err)
	}
	return nil
}

// Heartbeat extends a lease; the code LeaseLost says that it is gone.
func (c *Client) Heartbeat(ctx context.Context, uid string, task int64, token string) error {
	if _, err := c.raw.HeartbeatTaskWithResponse(ctx, uid, task, api.LeaseToken{Token: token}); err != nil {
		return failed("heartbeatTask", err)
	}
	return nil
}

// Complete publishes a task's output. When the output asks for the next task,
// the answer says what to do next; it is nil when the call had been heard
// before.
func (c *Client) Complete(ctx context.Context, uid string, task int64, out api.TaskOutput) (*api.LeaseResponse, error) {
	r, err := c.raw.CompleteTaskWithResponse(ctx, uid, task, out)
	if err != nil {
		return nil, failed("completeTask", err)
	}
	return r.JSON200, nil
}

// Fail reports that an attempt failed.
func (c *Client) Fail(ctx context.Context, uid string, task int64, why api.TaskFailure) error {
	if _, err := c.raw.FailTaskWithResponse(ctx, uid, task, why); err != nil {
		return failed("failTask", err)
	}
	return nil
}

// Release gives a task back. That counts as a loss, unless the task was not begun.
func (c *Client) Release(ctx context.Context, uid string, task int64, token string, untried bool) error {
	if _, err := c.raw.ReleaseTaskWithResponse(ctx, uid, task,
		api.TaskRelease{Token: token, Untried: &untried}); err != nil {
		return failed("releaseTask", err)
	}
	return nil
}

// Lease takes the next ready task, or waits for one as long as the request
// says.
func (c *Client) Lease(ctx context.Context, uid string, req api.LeaseRequest) (api.LeaseResponse, error) {
	r, err := c.raw.LeaseTaskWithResponse(longPoll(ctx, req.WaitSeconds), uid, req)
	if err != nil {
		return api.LeaseResponse{}, failed("leaseTask", err)
	}
	return done("leaseTask", r.HTTPResponse, r.JSON200)
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
