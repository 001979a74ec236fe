// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// pageSize is how many rows a list holds when the caller does not say.
const pageSize = 500

func page(limit *api.Limit, cont *api.Continue) (int, string) {
	size, from := pageSize, ""
	if limit != nil {
		size = int(*limit)
	}
	if cont != nil {
		from = *cont
	}
	return size, from
}

// more leaves the field out after the last page.
func more(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}

// list makes an empty list `[]` and not `null`.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// GetHealth says whether the database answers.
func (s *Server) GetHealth(ctx context.Context, _ api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	return api.GetHealth200Response{}, s.store.Ping(ctx)
}

// GetReadiness says whether work can begin: what is sent here before the bucket exists could not be stored.
// A bucket that goes away later does not count, as rows can be read and written without it; Events tell of it.
func (s *Server) GetReadiness(ctx context.Context,
	_ api.GetReadinessRequestObject) (api.GetReadinessResponseObject, error) {
	if !s.bucketSeen.Load() {
		// No error: the kubelet asks every second, and the loop that waits for the bucket logs why it does.
		waits := problemOf(fmt.Errorf("%w: the bucket %s was not reached yet",
			objects.ErrUnavailable, s.objects.Location("")))
		return api.GetReadinessdefaultApplicationProblemPlusJSONResponse{Body: waits, StatusCode: int(waits.Status)}, nil
	}
	return api.GetReadiness200Response{}, s.store.Ping(ctx)
}

// GetEvent tells how far an Event has come.
func (s *Server) GetEvent(ctx context.Context, r api.GetEventRequestObject) (api.GetEventResponseObject, error) {
	state, err := s.store.Event(ctx, r.EventUID)
	state.StorageProblem = s.bucketProblem.Load()
	return api.GetEvent200JSONResponse(state), err
}

// GetReplay tells a Replay's plan and what was rendered of it.
func (s *Server) GetReplay(ctx context.Context, r api.GetReplayRequestObject) (api.GetReplayResponseObject, error) {
	state, err := s.store.Replay(ctx, r.ReplayUID)
	return api.GetReplay200JSONResponse(state), err
}

// ListChunks lists chunks by number.
func (s *Server) ListChunks(ctx context.Context, r api.ListChunksRequestObject) (api.ListChunksResponseObject, error) {
	limit, from := page(r.Params.Limit, r.Params.Continue)
	items, next, err := s.store.Chunks(ctx, r.EventUID, limit, from)
	return api.ListChunks200JSONResponse{Items: list(items), Continue: more(next)}, err
}

// ExplainChunk tells all about a chunk.
func (s *Server) ExplainChunk(ctx context.Context,
	r api.ExplainChunkRequestObject) (api.ExplainChunkResponseObject, error) {
	detail, err := s.store.ExplainChunk(ctx, r.EventUID, r.Chunk)
	return api.ExplainChunk200JSONResponse(detail), err
}

// ListUnits lists units by epoch and first PTS.
func (s *Server) ListUnits(ctx context.Context, r api.ListUnitsRequestObject) (api.ListUnitsResponseObject, error) {
	limit, from := page(r.Params.Limit, r.Params.Continue)
	items, next, err := s.store.Units(ctx, r.EventUID, limit, from)
	return api.ListUnits200JSONResponse{Items: list(items), Continue: more(next)}, err
}

// ListTasks lists tasks by id.
func (s *Server) ListTasks(ctx context.Context, r api.ListTasksRequestObject) (api.ListTasksResponseObject, error) {
	limit, from := page(r.Params.Limit, r.Params.Continue)
	items, next, err := s.store.Tasks(ctx, r.EventUID, limit, from)
	return api.ListTasks200JSONResponse{Items: list(items), Continue: more(next)}, err
}

// ListResults lists published plugin results by time.
func (s *Server) ListResults(ctx context.Context,
	r api.ListResultsRequestObject) (api.ListResultsResponseObject, error) {
	limit, from := page(r.Params.Limit, r.Params.Continue)
	filter := store.ResultFilter{Track: r.Params.Track, From: r.Params.FromMicros,
		To: r.Params.ToMicros, LastChunk: r.Params.LastChunk}
	if r.Params.Plugin != nil {
		filter.Plugin = *r.Params.Plugin
	}
	items, next, err := s.store.Results(ctx, r.EventUID, filter, limit, from)
	return api.ListResults200JSONResponse{Items: list(items), Continue: more(next)}, err
}

// ListSegments lists segments by start.
func (s *Server) ListSegments(ctx context.Context,
	r api.ListSegmentsRequestObject) (api.ListSegmentsResponseObject, error) {
	limit, from := page(r.Params.Limit, r.Params.Continue)
	items, next, err := s.store.Segments(ctx, r.EventUID, limit, from)
	return api.ListSegments200JSONResponse{Items: list(items), Continue: more(next)}, err
}

// ListClips lists clips by segment, variant and track.
func (s *Server) ListClips(ctx context.Context, r api.ListClipsRequestObject) (api.ListClipsResponseObject, error) {
	limit, from := page(r.Params.Limit, r.Params.Continue)
	items, next, err := s.store.Clips(ctx, r.EventUID, limit, from)
	return api.ListClips200JSONResponse{Items: list(items), Continue: more(next)}, err
}
