// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
)

// MintDownloadURL signs a GET on the public endpoint for an object of the Event.
func (s *Server) MintDownloadURL(ctx context.Context,
	r api.MintDownloadURLRequestObject) (api.MintDownloadURLResponseObject, error) {
	key, ok := s.objects.Key(r.Body.Location)
	if !ok {
		return nil, fmt.Errorf("%w: the location is not in the data plane's bucket; locations begin with %s",
			store.ErrInvalid, s.objects.Location(""))
	}
	if err := s.mustOwn(ctx, r.EventUID, key); err != nil {
		return nil, err
	}
	// A signed URL of nothing would only fail later and say less.
	if _, err := s.objects.Head(ctx, key); err != nil {
		return nil, err
	}
	url, err := s.objects.PresignPublicGet(ctx, key, s.options.URLLifetime)
	if err != nil {
		return nil, err
	}
	return api.MintDownloadURL200JSONResponse{URL: url}, nil
}

// ownKey takes only keys below the Event's prefix that mean the same to S3, where a key is a string, and to a
// store on a file system, where it is a path.
func ownKey(namespace, uid, key string) error {
	prefix := keys.Event(namespace, uid)
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok || rest == "" {
		return fmt.Errorf("the object %q is not one of Event %s", key, uid)
	}
	if path.Clean(key) != key || strings.ContainsAny(key, "\\\x00") {
		return fmt.Errorf("the object's key %q is not in its plainest form", key)
	}
	return nil
}
