// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/export"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// exportPoll bounds how long an export waits for a hint that was lost.
const exportPoll = 2 * time.Second

// runExports does the export tasks, which need no media and so no Job. What it writes is the same every time,
// so an attempt that was cut off is simply repeated.
func (s *Server) runExports(ctx context.Context) {
	hints, cancel := s.store.Hints()
	defer cancel()
	for ctx.Err() == nil {
		found, err := s.ExportNext(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			slog.ErrorContext(ctx, "an export failed; it is tried again", "error", err)
			sleep(ctx, exportPoll)
		case !found:
			waitHint(ctx, hints, exportPoll)
		}
	}
}

// ExportNext writes the exports of an Event that waits for them, and says whether there was one.
func (s *Server) ExportNext(ctx context.Context) (bool, error) {
	task, err := s.store.LeaseExport(ctx)
	if err != nil || task == nil {
		return false, err
	}
	err = s.runExport(ctx, *task)
	s.metrics.ran("export", err)
	return true, err
}

// runExport writes one Event's exports. That the object store or the database is away is no failure of the task.
func (s *Server) runExport(ctx context.Context, task store.ExportTask) error {
	written, err := s.writeLeased(ctx, task)
	if err == nil {
		err = s.store.CompleteExport(ctx, task, written.json, written.edls)
	}
	switch {
	case ctx.Err() != nil, errors.Is(err, store.ErrGone), errors.Is(err, store.ErrLeaseLost):
		return nil //nolint:nilerr // there is nothing left to export, or somebody else does it
	case errors.Is(err, objects.ErrUnavailable), errors.Is(err, store.ErrUnavailable):
		return errors.Join(err, s.store.Release(ctx, task.EventUID, task.TaskID, task.Token))
	case err != nil:
		return errors.Join(err, s.store.Fail(ctx, task.EventUID, task.TaskID, api.TaskFailure{
			Token: task.Token, Message: err.Error(), Retryable: true,
		}))
	}
	return nil
}

// exported names what an export has written.
type exported struct {
	json string
	edls []string
}

// writeLeased writes the exports and keeps the lease meanwhile, however long it takes.
func (s *Server) writeLeased(ctx context.Context, task store.ExportTask) (exported, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		for ctx.Err() == nil {
			sleep(ctx, task.Lease/3)
			if err := s.store.Heartbeat(ctx, task.EventUID, task.TaskID, task.Token); errors.Is(err, store.ErrLeaseLost) ||
				errors.Is(err, store.ErrGone) {
				stop(err)
			}
		}
	}()
	written, err := s.writeExports(ctx, task)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return written, err
}

func (s *Server) writeExports(ctx context.Context, task store.ExportTask) (exported, error) {
	data, err := s.store.ExportData(ctx, task.EventUID)
	if err != nil {
		return exported{}, err
	}
	namespace, uid := data.Plan.Event.Namespace, data.Plan.Event.UID
	document, err := export.EventJSON(data)
	if err != nil {
		return exported{}, fmt.Errorf("export Event %s: %w", uid, err)
	}
	written := exported{json: keys.EventExport(namespace, uid)}
	if err := s.objects.Put(ctx, written.json, "application/json", document); err != nil {
		return exported{}, err
	}
	// An Event without audio has one list, of its video.
	for track := int32(1); track <= max(1, int32(len(data.Timeline.AudioTracks))); track++ {
		list, err := export.EDL(data, track)
		if errors.Is(err, export.ErrNotExpressible) {
			// There is no time code for this Event; the JSON says everything.
			return written, nil
		}
		if err != nil {
			return exported{}, fmt.Errorf("write the edit decision list of Event %s: %w", uid, err)
		}
		key := keys.EDLExport(namespace, uid, track)
		if err := s.objects.Put(ctx, key, "text/plain; charset=utf-8", []byte(list)); err != nil {
			return exported{}, err
		}
		written.edls = append(written.edls, key)
	}
	return written, nil
}

func waitHint(ctx context.Context, hints <-chan struct{}, longest time.Duration) {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-hints:
	case <-timer.C:
	}
}
