// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// everyPage collects the pages of a list.
func everyPage[T any](page func(limit *int32, next *string) (items []T, following *string, err error)) ([]T, error) {
	limit := pageSize
	var all []T
	var next *string
	for {
		items, following, err := page(&limit, next)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if following == nil || *following == "" {
			return all, nil
		}
		next = following
	}
}

// State is how far an Event has come.
func (d *DataPlane) State(ctx context.Context, uid string) (api.EventState, error) {
	r, err := d.GetEventWithResponse(ctx, uid)
	if err != nil {
		return api.EventState{}, fmt.Errorf("read event %s: %w", uid, err)
	}
	if r.JSON200 == nil {
		return api.EventState{}, problem("read event "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	}
	return *r.JSON200, nil
}

// Replay is the plan of a Replay and what was rendered of it.
func (d *DataPlane) Replay(ctx context.Context, uid string) (api.ReplayState, error) {
	r, err := d.GetReplayWithResponse(ctx, uid)
	if err != nil {
		return api.ReplayState{}, fmt.Errorf("read replay %s: %w", uid, err)
	}
	if r.JSON200 == nil {
		return api.ReplayState{}, problem("read replay "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
	}
	return *r.JSON200, nil
}

// Segments of an Event, by start.
func (d *DataPlane) Segments(ctx context.Context, uid string) ([]api.Segment, error) {
	return everyPage(func(limit *int32, next *string) ([]api.Segment, *string, error) {
		r, err := d.ListSegmentsWithResponse(ctx, uid, &api.ListSegmentsParams{Limit: limit, Continue: next})
		if err != nil {
			return nil, nil, fmt.Errorf("list segments of %s: %w", uid, err)
		}
		if r.JSON200 == nil {
			return nil, nil, problem("list segments of "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		}
		return r.JSON200.Items, r.JSON200.Continue, nil
	})
}

// Clips of an Event, by segment, variant and track.
func (d *DataPlane) Clips(ctx context.Context, uid string) ([]api.Clip, error) {
	return everyPage(func(limit *int32, next *string) ([]api.Clip, *string, error) {
		r, err := d.ListClipsWithResponse(ctx, uid, &api.ListClipsParams{Limit: limit, Continue: next})
		if err != nil {
			return nil, nil, fmt.Errorf("list clips of %s: %w", uid, err)
		}
		if r.JSON200 == nil {
			return nil, nil, problem("list clips of "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		}
		return r.JSON200.Items, r.JSON200.Continue, nil
	})
}

// Chunks of an Event, by number.
func (d *DataPlane) Chunks(ctx context.Context, uid string) ([]api.Chunk, error) {
	return everyPage(func(limit *int32, next *string) ([]api.Chunk, *string, error) {
		r, err := d.ListChunksWithResponse(ctx, uid, &api.ListChunksParams{Limit: limit, Continue: next})
		if err != nil {
			return nil, nil, fmt.Errorf("list chunks of %s: %w", uid, err)
		}
		if r.JSON200 == nil {
			return nil, nil, problem("list chunks of "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		}
		return r.JSON200.Items, r.JSON200.Continue, nil
	})
}

// Units of an Event, by epoch and first PTS.
func (d *DataPlane) Units(ctx context.Context, uid string) ([]api.Unit, error) {
	return everyPage(func(limit *int32, next *string) ([]api.Unit, *string, error) {
		r, err := d.ListUnitsWithResponse(ctx, uid, &api.ListUnitsParams{Limit: limit, Continue: next})
		if err != nil {
			return nil, nil, fmt.Errorf("list units of %s: %w", uid, err)
		}
		if r.JSON200 == nil {
			return nil, nil, problem("list units of "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		}
		return r.JSON200.Items, r.JSON200.Continue, nil
	})
}

// Tasks of an Event, by id.
func (d *DataPlane) Tasks(ctx context.Context, uid string) ([]api.Task, error) {
	return everyPage(func(limit *int32, next *string) ([]api.Task, *string, error) {
		r, err := d.ListTasksWithResponse(ctx, uid, &api.ListTasksParams{Limit: limit, Continue: next})
		if err != nil {
			return nil, nil, fmt.Errorf("list tasks of %s: %w", uid, err)
		}
		if r.JSON200 == nil {
			return nil, nil, problem("list tasks of "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		}
		return r.JSON200.Items, r.JSON200.Continue, nil
	})
}

// Results of an Event's plugins, by time.
func (d *DataPlane) Results(ctx context.Context, uid string) ([]api.StoredResult, error) {
	return everyPage(func(limit *int32, next *string) ([]api.StoredResult, *string, error) {
		r, err := d.ListResultsWithResponse(ctx, uid, &api.ListResultsParams{Limit: limit, Continue: next})
		if err != nil {
			return nil, nil, fmt.Errorf("list results of %s: %w", uid, err)
		}
		if r.JSON200 == nil {
			return nil, nil, problem("list results of "+uid, r.ApplicationProblemJSONDefault, r.HTTPResponse)
		}
		return r.JSON200.Items, r.JSON200.Continue, nil
	})
}
