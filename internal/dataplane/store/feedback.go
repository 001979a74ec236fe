// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// maxFeedback bounds an Event's rows: whoever writes them may make reviewers up.
const maxFeedback = 10_000

// PutFeedback stores what a reviewer thinks of a segment's clips on a track. A
// member that is absent keeps what was said before, and `-` takes it back. The
// exports of an Event that is Complete are written again.
func (s *Store) PutFeedback(ctx context.Context, uid string, f api.Feedback) error {
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		t := e.txn
		if err := e.checkFeedback(f); err != nil {
			return err
		}
		if e.ev.state == api.EventStateStateComplete {
			e.ev.revised = true
		}
		row := t.QueryRowContext(ctx, `SELECT `+feedbackColumns+` FROM feedback
			WHERE event_uid = $1 AND segment_id = $2 AND track = $3 AND reviewer = $4`,
			uid, f.SegmentID, f.Track, f.Reviewer)
		known, err := scanFeedback(row)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read feedback: %w", err)
		}
		original, err := opinionJSON(f.Original, known.Original)
		if err != nil {
			return err
		}
		optimized, err := opinionJSON(f.Optimized, known.Optimized)
		if err != nil {
			return err
		}
		if original == "" && optimized == "" {
			_, err := t.exec(`DELETE FROM feedback WHERE event_uid = $1 AND segment_id = $2 AND track = $3
				AND reviewer = $4`, uid, f.SegmentID, f.Track, f.Reviewer)
			return err
		}
		_, err = t.exec(`INSERT INTO feedback (event_uid, segment_id, track, reviewer, original, optimized)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (event_uid, segment_id, track, reviewer)
			DO UPDATE SET original = excluded.original, optimized = excluded.optimized`,
			uid, f.SegmentID, f.Track, f.Reviewer, original, optimized)
		if err != nil {
			return err
		}
		n, err := one[int64](ctx, t, `SELECT COUNT(*) FROM feedback WHERE event_uid = $1`, uid)
		if err == nil && n > maxFeedback {
			return conflict("the Event has feedback in %d rows, of segments, tracks and reviewers; more is not taken",
				maxFeedback)
		}
		return err
	})
}

// checkFeedback refuses feedback on what is not there.
func (e *eventTx) checkFeedback(f api.Feedback) error {
	n, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM segments WHERE event_uid = $1 AND id = $2`, e.ev.uid, f.SegmentID)
	if err != nil {
		return err
	}
	if n == 0 {
		return notFound("the Event has no segment %q", f.SegmentID)
	}
	if tracks := int32(len(e.ev.timeline.AudioTracks)); f.Track < 0 || f.Track > tracks {
		return invalid("track is %d; the Event has audio tracks 1 to %d, and 0 for its video", f.Track, tracks)
	}
	return nil
}

// opinionJSON is what is stored of an opinion; empty for none.
func opinionJSON(said, before *api.Opinion) (string, error) {
	switch {
	case said == nil && before == nil:
		return "", nil
	case said == nil:
		return toJSON(before)
	case said.Feedback == api.OpinionFeedbackMinus:
		return "", nil
	}
	return toJSON(said)
}

const feedbackColumns = `segment_id, track, reviewer, original, optimized`

func scanFeedback(row row) (api.Feedback, error) {
	var f api.Feedback
	var original, optimized string
	if err := row.Scan(&f.SegmentID, &f.Track, &f.Reviewer, &original, &optimized); err != nil {
		return f, err
	}
	for _, o := range []struct {
		body string
		into **api.Opinion
	}{{original, &f.Original}, {optimized, &f.Optimized}} {
		if o.body == "" {
			continue
		}
		*o.into = &api.Opinion{}
		if err := fromJSON(o.body, *o.into); err != nil {
			return f, err
		}
	}
	return f, nil
}

// Feedback lists what reviewers think, by segment, track and reviewer.
func (s *Store) Feedback(ctx context.Context, uid string) ([]api.Feedback, error) {
	var list []api.Feedback
	err := s.read(ctx, func(q querier) error {
		if _, err := findEvent(ctx, q, uid); err != nil {
			return err
		}
		var err error
		list, err = feedbackOf(ctx, q, uid)
		return err
	})
	return list, err
}

func feedbackOf(ctx context.Context, q querier, uid string) ([]api.Feedback, error) {
	return collect(ctx, q, func(r *sql.Rows) (api.Feedback, error) { return scanFeedback(r) },
		`SELECT `+feedbackColumns+` FROM feedback WHERE event_uid = $1 ORDER BY segment_id, track, reviewer`, uid)
}
