// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// PutPlan stores the compiled Profile of an Event. A plan never changes: the
// same one again does nothing, another one is refused.
func (s *Store) PutPlan(ctx context.Context, uid string, p api.Plan) (api.EventState, error) {
	if err := checkPlan(uid, p); err != nil {
		return api.EventState{}, err
	}
	body, err := toJSON(p)
	if err != nil {
		return api.EventState{}, err
	}
	err = s.write(ctx, func(t *txn) error {
		if err := t.lockName(uid); err != nil {
			return err
		}
		if gone, err := isTombstoned(ctx, t, uid); err != nil {
			return err
		} else if gone {
			return refuse(ErrGone, "the Event %s/%s has been deleted", p.Event.Namespace, p.Event.Name)
		}
		n, err := t.exec(`INSERT INTO events (uid, namespace, name, plan_hash, state, created_at)
			VALUES ($1, $2, $3, $4, 'Pending', $5)
			ON CONFLICT (uid) DO NOTHING`, uid, p.Event.Namespace, p.Event.Name, p.Hash, t.now)
		if err != nil {
			return err
		}
		if n == 0 {
			hash, err := one[string](ctx, t, `SELECT plan_hash FROM events WHERE uid = $1`, uid)
			if err != nil {
				return err
			}
			if hash != p.Hash {
				return conflict("the Event %s/%s runs with plan %s; its plan cannot be replaced by %s",
					p.Event.Namespace, p.Event.Name, hash, p.Hash)
			}
			return errUnchanged
		}
		if _, err := t.exec(`INSERT INTO plans (event_uid, plan) VALUES ($1, $2)`, uid, body); err != nil {
			return err
		}
		variables := make(map[string]any, len(p.Variables))
		for name, value := range p.Variables {
			variables[name] = value
		}
		if err := t.setVariables(uid, variables); err != nil {
			return err
		}
		return t.changed(api.ChangeKindEvent, uid, p.Event.Namespace, p.Event.Name)
	})
	if err != nil {
		return api.EventState{}, err
	}
	return s.Event(ctx, uid)
}

// Plan is the compiled Profile that an Event runs with.
func (s *Store) Plan(ctx context.Context, uid string) (api.Plan, error) {
	var out api.Plan
	err := s.read(ctx, func(q querier) error {
		e, err := findEvent(ctx, q, uid)
		if err != nil {
			return err
		}
		p, err := s.loadPlan(ctx, q, uid, e.planHash)
		if err == nil {
			out = p.Plan
		}
		return err
	})
	return out, err
}

// NamespaceOf is the namespace of an Event that may have been deleted since,
// for deciding who may see it: it never changes, so it is read once.
func (s *Store) NamespaceOf(ctx context.Context, uid string) (string, error) {
	if known, ok := s.namespaces.get(uid); ok {
		return known, nil
	}
	namespace, err := s.EventNamespace(ctx, uid)
	if err == nil {
		s.namespaces.put(uid, namespace)
	}
	return namespace, err
}

// EventNamespace is the namespace of an Event that is not deleted.
func (s *Store) EventNamespace(ctx context.Context, uid string) (string, error) {
	e, err := findEvent(ctx, s.reader, uid)
	if err != nil {
		return "", err
	}
	return e.namespace, nil
}

// Ingest is what ingest has to do. The URL is the plan's, unsigned.
func (s *Store) Ingest(ctx context.Context, uid string) (api.IngestSpec, error) {
	var spec api.IngestSpec
	err := s.read(ctx, func(q querier) error {
		e, err := findEvent(ctx, q, uid)
		if err != nil {
			return err
		}
		p, err := s.loadPlan(ctx, q, uid, e.planHash)
		if err != nil {
			return err
		}
		units, err := collect(ctx, q, func(r *sql.Rows) (k api.UnitKey, err error) {
			return k, r.Scan(&k.Epoch, &k.FirstTicks)
		}, `SELECT epoch, first_ticks FROM units WHERE event_uid = $1 ORDER BY epoch, first_ticks`, uid)
		if err != nil {
			return err
		}
		if units == nil {
			units = []api.UnitKey{}
		}
		spec = api.IngestSpec{
			URL: p.Source.FileURL, UnitMicros: p.UnitMicros, ChunkSeconds: p.ChunkSeconds,
			Ended: e.sourceEnded || e.terminal(), Timeline: e.wireTimeline(), Units: units, Source: &p.Source,
		}
		spec.Next, err = nextPosition(ctx, q, e)
		return err
	})
	return spec, err
}

// nextPosition is where ingest goes on; nil where nothing is stored.
func nextPosition(ctx context.Context, q querier, e *eventRow) (*api.IngestPosition, error) {
	var at api.IngestPosition
	err := q.QueryRowContext(ctx, `SELECT end_frame, end_us FROM units WHERE event_uid = $1 AND end_frame <= $2
		ORDER BY end_frame DESC LIMIT 1`, e.uid, e.frames).Scan(&at.Frame, &at.Micros)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &at, err
}

// Bounds of frame rates: what video has, with room.
const (
	maxRateTerm     = 10_000_000
	maxRate         = 1000
	maxFrameSeconds = 10
)

// PutTimeline declares the timeline, which is frozen from then on.
func (s *Store) PutTimeline(ctx context.Context, uid string, tl api.Timeline) error {
	if !(timeline.Rational{Num: tl.Rate.Num, Den: tl.Rate.Den}).Valid() {
		return invalid("rate is %d/%d; both must be positive", tl.Rate.Num, tl.Rate.Den)
	}
	if tl.Rate.Num > maxRateTerm || tl.Rate.Den > maxRateTerm || tl.Rate.Num > maxRate*tl.Rate.Den ||
		tl.Rate.Num*maxFrameSeconds < tl.Rate.Den {
		return invalid("rate is %d/%d; it must lie between one frame in %d s and %d frames a second, with terms up to %d",
			tl.Rate.Num, tl.Rate.Den, maxFrameSeconds, maxRate, maxRateTerm)
	}
	for i, a := range tl.AudioTracks {
		if a.Track != int32(i+1) {
			return invalid("audioTracks[%d].track is %d; tracks count from 1", i, a.Track)
		}
	}
	tl.Frames, tl.Ended, tl.Parts, tl.PartsTotal, tl.PicturesDropped = nil, nil, nil, nil, nil
	tl.LastPartFrame = nil
	tl.Incomplete, tl.Drifts, tl.Anchors = nil, nil, nil
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		known := e.ev.timeline
		if known == nil {
			if e.ev.terminal() {
				return conflict("the Event is %s", e.ev.state)
			}
			e.ev.timeline = &tl
			return nil
		}
		if known.OriginTicks != tl.OriginTicks || known.Rate != tl.Rate || len(known.AudioTracks) != len(tl.AudioTracks) {
			return conflict("the timeline is frozen at origin %d, rate %d/%d, %d audio tracks; it cannot become origin "+
				"%d, rate %d/%d, %d audio tracks",
				known.OriginTicks, known.Rate.Num, known.Rate.Den, len(known.AudioTracks), tl.OriginTicks,
				tl.Rate.Num, tl.Rate.Den, len(tl.AudioTracks))
		}
		return errUnchanged
	})
}

// EndSource notes that the source has ended. The last chunk closes once all
// its frames are stored, and the Event drains.
func (s *Store) EndSource(ctx context.Context, uid string, end api.SourceEnd) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		switch {
		case e.ev.sourceEnded && e.ev.sourceFrames == end.Frames:
			return errUnchanged
		case e.ev.sourceEnded:
			return conflict("the source has ended with %d frames; it cannot end with %d", e.ev.sourceFrames, end.Frames)
		case e.ev.terminal():
			return conflict("the Event is %s: %s", e.ev.state, e.ev.message)
		case e.ev.timeline == nil || end.Frames < 1:
			return invalid("a source without frames has not ended but failed; report the failure SourceEmpty")
		}
		stored, err := e.storedFrames()
		if err != nil {
			return err
		}
		if stored > end.Frames {
			return invalid("frames is %d, but frames up to %d are stored", end.Frames, stored)
		}
		e.ev.timeline.Incomplete = end.Incomplete
		return e.endSource(end.Frames)
	})
}

// maxParts are listed of an Event's source; more are counted.
const maxParts = 32

// AddIngestPart notes that the source is ingested in another way from a frame on.
func (s *Store) AddIngestPart(ctx context.Context, uid string, part api.IngestPart) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		tl := e.ev.timeline
		switch {
		case tl == nil:
			return conflict("the timeline must be declared before a part of it")
		case e.ev.terminal() || e.ev.sourceEnded:
			return conflict("the source has ended")
		}
		total := int32(0)
		if tl.PartsTotal != nil {
			total = *tl.PartsTotal
		}
		// Parts come in order.
		if tl.LastPartFrame != nil && part.FirstFrame <= *tl.LastPartFrame {
			return errUnchanged
		}
		if total++; len(tl.Parts) < maxParts {
			tl.Parts = append(tl.Parts, part)
		}
		tl.PartsTotal, tl.LastPartFrame = &total, &part.FirstFrame
		return nil
	})
}

// FailSource ends an Event whose source cannot be read. What it gave before is
// processed to the end, so that no clip is lost; then the Event is Failed. After
// EndSource it is ignored: everything was read.
func (s *Store) FailSource(ctx context.Context, uid string, f api.Failure) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		if e.ev.sourceEnded || e.ev.terminal() {
			return errUnchanged
		}
		stored, err := e.storedFrames()
		if err != nil {
			return err
		}
		if stored == 0 {
			return e.failEvent(string(f.Reason), f.Message, api.TaskStateSkipped)
		}
		e.ev.reason, e.ev.message = string(f.Reason), f.Message
		return e.endSource(stored)
	})
}

// maxIngestProblem bounds what is kept of it.
const maxIngestProblem = 2048

// NoteIngest keeps why a try of ingest ended, while another one is made. It is
// forgotten with the next unit that is new, and when the source ends.
func (s *Store) NoteIngest(ctx context.Context, uid, message string) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		message = clip(message, maxIngestProblem)
		if e.ev.sourceEnded || e.ev.terminal() || e.ev.ingestProblem == message {
			return errUnchanged
		}
		e.ev.ingestProblem = message
		return nil
	})
}

// clip cuts a text that is too long, at the border of a character.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const dots = "…"
	return strings.ToValidUTF8(text[:limit-len(dots)], "") + dots
}

// storedFrames is where the last stored unit ends.
func (e *eventTx) storedFrames() (int64, error) {
	return one[int64](e.ctx, e, `SELECT COALESCE(MAX(end_frame), 0) FROM units WHERE event_uid = $1`, e.ev.uid)
}
