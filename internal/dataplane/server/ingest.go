// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// GetIngest says what to read; a source in a bucket is signed, so that ingest needs no keys.
func (s *Server) GetIngest(ctx context.Context, r api.GetIngestRequestObject) (api.GetIngestResponseObject, error) {
	spec, err := s.store.Ingest(ctx, r.EventUID)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(spec.URL, "s3://") {
		if spec.URL, err = s.signSource(ctx, r.EventUID, spec.URL); err != nil {
			return nil, err
		}
	}
	return api.GetIngest200JSONResponse(spec), nil
}

// signSource signs with the install's credentials, which may read what the Event's author may not: what other
// namespaces' Events stored is refused.
func (s *Server) signSource(ctx context.Context, uid, location string) (string, error) {
	namespace, err := s.store.EventNamespace(ctx, uid)
	if err != nil {
		return "", err
	}
	_, key, err := objects.SplitLocation(location)
	if err != nil {
		return "", fmt.Errorf("%w: the source: %w", store.ErrInvalid, err)
	}
	// A store that keeps objects in folders takes a/../b for b: whose object it is would be judged by another name.
	if path.Clean("/"+key) != "/"+key || strings.ContainsAny(key, "\\\x00") {
		return "", fmt.Errorf("%w: the source: the key %q is not in its plainest form: write it without "+
			"empty, . and .. parts", store.ErrInvalid, key)
	}
	if key, ours := s.objects.Key(location); ours {
		owner, _, owned := keys.Owner(key)
		if owned && owner != namespace && storedByEvent(key) {
			return "", fmt.Errorf("%w: the source %s belongs to an Event of another namespace", auth.ErrForbidden, location)
		}
	}
	return s.objects.PresignSource(ctx, location, s.options.SourceURLLifetime)
}

// storedByEvent tells an Event's objects from files that somebody put into the bucket beside them.
func storedByEvent(key string) bool {
	parts := strings.Split(key, "/")
	switch parts[2] {
	case "units", "clips", "reels", "exports":
		return true
	}
	return len(parts) == 3 && parts[2] == "retained.json"
}

// PutTimeline declares the timeline.
func (s *Server) PutTimeline(ctx context.Context,
	r api.PutTimelineRequestObject) (api.PutTimelineResponseObject, error) {
	return api.PutTimeline204Response{}, s.store.PutTimeline(ctx, r.EventUID, *r.Body)
}

// MintUnitURL signs the upload of one unit.
func (s *Server) MintUnitURL(ctx context.Context,
	r api.MintUnitURLRequestObject) (api.MintUnitURLResponseObject, error) {
	namespace, err := s.store.EventNamespace(ctx, r.EventUID)
	if err != nil {
		return nil, err
	}
	key := keys.Unit(namespace, r.EventUID, r.Body.Epoch, r.Body.FirstTicks)
	upload, err := s.objects.PresignPutCreateOnly(ctx, key, contentType(key), s.options.URLLifetime)
	if err != nil {
		return nil, err
	}
	existing, err := s.objects.PresignGet(ctx, key, s.options.URLLifetime)
	if err != nil {
		return nil, err
	}
	return api.MintUnitURL200JSONResponse{Key: key, URL: upload.URL, Headers: upload.Headers, Existing: &existing}, nil
}

// RegisterUnit registers a unit that is in the bucket. Its size is not compared: after a restart of ingest the
// object can be the twin of what ingest made again, with the same payload in other packets, which ingest checks.
func (s *Server) RegisterUnit(ctx context.Context,
	r api.RegisterUnitRequestObject) (api.RegisterUnitResponseObject, error) {
	if err := s.mustBeStored(ctx, r.EventUID, r.Body.Key, nil); err != nil {
		return nil, err
	}
	return api.RegisterUnit204Response{}, s.store.RegisterUnit(ctx, r.EventUID, *r.Body)
}

// AddIngestPart notes that the source is ingested in another way from a frame on.
func (s *Server) AddIngestPart(ctx context.Context,
	r api.AddIngestPartRequestObject) (api.AddIngestPartResponseObject, error) {
	return api.AddIngestPart204Response{}, s.store.AddIngestPart(ctx, r.EventUID, *r.Body)
}

// EndSource notes that the source has ended.
func (s *Server) EndSource(ctx context.Context, r api.EndSourceRequestObject) (api.EndSourceResponseObject, error) {
	return api.EndSource204Response{}, s.store.EndSource(ctx, r.EventUID, *r.Body)
}

// FailSource notes that the source cannot be read.
func (s *Server) FailSource(ctx context.Context, r api.FailSourceRequestObject) (api.FailSourceResponseObject, error) {
	return api.FailSource204Response{}, s.store.FailSource(ctx, r.EventUID, *r.Body)
}

// PutIngestProblem notes why a try of ingest ended.
func (s *Server) PutIngestProblem(ctx context.Context,
	r api.PutIngestProblemRequestObject) (api.PutIngestProblemResponseObject, error) {
	return api.PutIngestProblem204Response{}, s.store.NoteIngest(ctx, r.EventUID, r.Body.Message)
}

// mustOwn refuses keys outside the Event's own prefix, whatever they look like.
func (s *Server) mustOwn(ctx context.Context, uid, key string) error {
	namespace, err := s.store.EventNamespace(ctx, uid)
	if err != nil {
		return err
	}
	if err := ownKey(namespace, uid, key); err != nil {
		return fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	return nil
}
