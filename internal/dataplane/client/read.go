// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Chunks returns all chunks of an Event by number.
func (c *Client) Chunks(ctx context.Context, uid string) ([]api.Chunk, error) {
	return pages(func(next *string) ([]api.Chunk, *string, error) {
		r, err := c.raw.ListChunksWithResponse(ctx, uid, &api.ListChunksParams{Limit: &pageSize, Continue: next})
		if err != nil {
			return nil, nil, failed("listChunks", err)
		}
		list, err := done("listChunks", r.HTTPResponse, r.JSON200)
		return list.Items, list.Continue, err
	})
}

// ExplainChunk is all that is known of a chunk.
func (c *Client) ExplainChunk(ctx context.Context, uid string, chunk int64) (api.ChunkDetail, error) {
	r, err := c.raw.ExplainChunkWithResponse(ctx, uid, chunk)
	if err != nil {
		return api.ChunkDetail{}, failed("explainChunk", err)
	}
	return done("explainChunk", r.HTTPResponse, r.JSON200)
}

// Units returns all units of an Event by epoch and first PTS.
func (c *Client) Units(ctx context.Context, uid string) ([]api.Unit, error) {
	return pages(func(next *string) ([]api.Unit, *string, error) {
		r, err := c.raw.ListUnitsWithResponse(ctx, uid, &api.ListUnitsParams{Limit: &pageSize, Continue: next})
		if err != nil {
			return nil, nil, failed("listUnits", err)
		}
		list, err := done("listUnits", r.HTTPResponse, r.JSON200)
		return list.Items, list.Continue, err
	})
}

// Tasks returns all tasks of an Event by id.
func (c *Client) Tasks(ctx context.Context, uid string) ([]api.Task, error) {
	return pages(func(next *string) ([]api.Task, *string, error) {
		r, err := c.raw.ListTasksWithResponse(ctx, uid, &api.ListTasksParams{Limit: &pageSize, Continue: next})
		if err != nil {
			return nil, nil, failed("listTasks", err)
		}
		list, err := done("listTasks", r.HTTPResponse, r.JSON200)
		return list.Items, list.Continue, err
	})
}

// Segments returns all segments of an Event by start.
func (c *Client) Segments(ctx context.Context, uid string) ([]api.Segment, error) {
	return pages(func(next *string) ([]api.Segment, *string, error) {
		r, err := c.raw.ListSegmentsWithResponse(ctx, uid, &api.ListSegmentsParams{Limit: &pageSize, Continue: next})
		if err != nil {
			return nil, nil, failed("listSegments", err)
		}
		list, err := done("listSegments", r.HTTPResponse, r.JSON200)
		return list.Items, list.Continue, err
	})
}

// Clips returns all clips of an Event by segment, variant and track.
func (c *Client) Clips(ctx context.Context, uid string) ([]api.Clip, error) {
	return pages(func(next *string) ([]api.Clip, *string, error) {
		r, err := c.raw.ListClipsWithResponse(ctx, uid, &api.ListClipsParams{Limit: &pageSize, Continue: next})
		if err != nil {
			return nil, nil, failed("listClips", err)
		}
		list, err := done("listClips", r.HTTPResponse, r.JSON200)
		return list.Items, list.Continue, err
	})
}

// Results returns all published plugin results by time; of every plugin when
// none is named.
func (c *Client) Results(ctx context.Context, uid, plugin string) ([]api.StoredResult, error) {
	var only api.ListResultsParams
	if plugin != "" {
		only.Plugin = &plugin
	}
	return c.ResultsWhere(ctx, uid, only)
}

// ResultsWhere returns the published plugin results that fit, by time. Paging
// is its own.
func (c *Client) ResultsWhere(ctx context.Context, uid string, only api.ListResultsParams) ([]api.StoredResult, error) {
	only.Limit = &pageSize
	return pages(func(next *string) ([]api.StoredResult, *string, error) {
		only.Continue = next
		r, err := c.raw.ListResultsWithResponse(ctx, uid, &only)
		if err != nil {
			return nil, nil, failed("listResults", err)
		}
		list, err := done("listResults", r.HTTPResponse, r.JSON200)
		return list.Items, list.Continue, err
	})
}

// Export returns the Event in MRE's export schema.
func (c *Client) Export(ctx context.Context, uid string) (json.RawMessage, error) {
	r, err := c.raw.ExportEventWithResponse(ctx, uid)
	if err != nil {
		return nil, failed("exportEvent", err)
	}
	return done("exportEvent", r.HTTPResponse, r.JSON200)
}

// EDL returns the Event's segments as an edit decision list.
func (c *Client) EDL(ctx context.Context, uid string, track int32) (string, error) {
	r, err := c.raw.ExportEDLWithResponse(ctx, uid, &api.ExportEDLParams{Track: &track})
	if err != nil {
		return "", failed("exportEDL", err)
	}
	return string(r.Body), nil
}

// DownloadURL returns a presigned GET for an s3:// location of the Event.
func (c *Client) DownloadURL(ctx context.Context, uid, location string) (string, error) {
	r, err := c.raw.MintDownloadURLWithResponse(ctx, uid, api.Location{Location: location})
	if err != nil {
		return "", failed("mintDownloadURL", err)
	}
	signed, err := done("mintDownloadURL", r.HTTPResponse, r.JSON200)
	return signed.URL, err
}

// pageSize is the API's maximum.
var pageSize = int32(1000)

// pages follows a list to its end.
func pages[T any](page func(next *string) ([]T, *string, error)) ([]T, error) {
	var all []T
	var next *string
	for {
		items, more, err := page(next)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if more == nil || *more == "" {
			return all, nil
		}
		next = more
	}
}
