// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// uploadSlack is how much longer than its task an upload URL lives: what was rendered must still be sent.
const uploadSlack = 5 * time.Minute

// LeaseTask waits for a task and hands it out with URLs for everything it reads and writes.
func (s *Server) LeaseTask(ctx context.Context, r api.LeaseTaskRequestObject) (api.LeaseTaskResponseObject, error) {
	var answer api.LeaseResponse
	err := s.waitFor(ctx, time.Duration(r.Body.WaitSeconds)*time.Second, func() (bool, error) {
		var err error
		answer, err = s.store.Lease(ctx, r.EventUID, *r.Body)
		return err == nil && answer.Outcome != api.LeaseResponseOutcomeIdle, err
	})
	if err != nil {
		return nil, err
	}
	if answer.Lease == nil {
		return api.LeaseTask200JSONResponse(answer), nil
	}
	if err := s.sign(ctx, answer.Lease); err != nil {
		s.giveBack(ctx, r.EventUID, answer.Lease)
		return nil, err
	}
	return api.LeaseTask200JSONResponse(answer), nil
}

// giveBack spares the next holder the wait for the lease to expire.
func (s *Server) giveBack(ctx context.Context, uid string, lease *api.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.store.Release(ctx, uid, lease.TaskID, lease.Token)
	if err != nil && !errors.Is(err, store.ErrLeaseLost) {
		slog.WarnContext(ctx, "a task that could not be handed out returns when its lease expires",
			"event", uid, "task", lease.TaskID, "error", err)
	}
}

func (s *Server) sign(ctx context.Context, lease *api.Lease) error {
	lifetime := max(s.options.URLLifetime, time.Duration(lease.TimeoutSeconds)*time.Second+uploadSlack)
	sign := &signer{ctx: ctx, bucket: s.objects, lifetime: lifetime}
	if framer := lease.Input.Framer; framer != nil {
		sign.units(framer.Units)
		if framer.PreviousUnit != nil {
			sign.unit(framer.PreviousUnit)
		}
	}
	if lease.Media != nil {
		sign.units(lease.Media.Units)
	}
	if clip := lease.Input.Clip; clip != nil {
		sign.units(clip.Units)
		sign.upload(&clip.Mp4)
		sign.upload(clip.Jpg)
	}
	if reel := lease.Input.Reel; reel != nil {
		for i := range reel.Parts {
			sign.units(reel.Parts[i].Units)
		}
		sign.upload(&reel.Mp4)
		sign.upload(&reel.Jpg)
	}
	return sign.err
}

// signer fills URLs in and keeps the first error.
type signer struct {
	ctx      context.Context
	bucket   *objects.Bucket
	lifetime time.Duration
	err      error
}

func (s *signer) units(units []api.UnitRef) {
	for i := range units {
		s.unit(&units[i])
	}
}

func (s *signer) unit(unit *api.UnitRef) {
	if s.err != nil {
		return
	}
	unit.URL, s.err = s.bucket.PresignGet(s.ctx, unit.Key, s.lifetime)
}

func (s *signer) upload(upload *api.Upload) {
	if s.err != nil || upload == nil {
		return
	}
	signed, err := s.bucket.PresignPutCreateOnly(s.ctx, upload.Key, contentType(upload.Key), s.lifetime)
	upload.URL, upload.Headers, s.err = signed.URL, signed.Headers, err
}

// contentType is what browsers and players are told later.
func contentType(key string) string {
	switch {
	case strings.HasSuffix(key, ".mp4"):
		return "video/mp4"
	case strings.HasSuffix(key, ".jpg"):
		return "image/jpeg"
	case strings.HasSuffix(key, ".ts"):
		return "video/mp2t"
	default:
		return "application/octet-stream"
	}
}
