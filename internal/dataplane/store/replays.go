// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// replayRow is a row of replays.
type replayRow struct {
	uid, eventUID, namespace, name string
	generation                     int64
	rules                          api.ReplayRules
	planHash                       string
}

const replayColumns = `uid, event_uid, namespace, name, generation, rules, plan_hash`

func scanReplay(row interface{ Scan(...any) error }) (*replayRow, error) {
	var r replayRow
	var rules string
	if err := row.Scan(&r.uid, &r.eventUID, &r.namespace, &r.name, &r.generation, &rules, &r.planHash); err != nil {
		return nil, err
	}
	return &r, fromJSON(rules, &r.rules)
}

// findReplay reads a Replay that is not deleted.
func findReplay(ctx context.Context, q querier, uid string) (*replayRow, error) {
	r, err := scanReplay(q.QueryRowContext(ctx, `SELECT `+replayColumns+` FROM replays WHERE uid = $1`, uid))
	if errors.Is(err, sql.ErrNoRows) {
		if gone, err := isTombstoned(ctx, q, uid); err != nil {
			return nil, err
		} else if gone {
			return nil, refuse(ErrGone, "the Replay with UID %s has been deleted", uid)
		}
		return nil, notFound("there is no Replay with UID %s", uid)
	}
	return r, err
}

// ReplayNamespace is the namespace of a Replay.
func (s *Store) ReplayNamespace(ctx context.Context, uid string) (string, error) {
	r, err := findReplay(ctx, s.reader, uid)
	if err != nil {
		return "", err
	}
	return r.namespace, nil
}

var resolutionPattern = regexp.MustCompile(`^([1-9][0-9]{1,4})x([1-9][0-9]{1,4})$`)

// parseResolution reads WIDTHxHEIGHT.
func parseResolution(s string) (width, height int32, err error) {
	m := resolutionPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, invalid("resolution %q is not WIDTHxHEIGHT, such as 1920x1080", s)
	}
	w, _ := strconv.Atoi(m[1]) // the pattern admits numbers only
	h, _ := strconv.Atoi(m[2])
	return int32(w), int32(h), nil
}

func checkRules(rules api.ReplayRules) error {
	if len(rules.Resolutions) == 0 {
		return invalid("resolutions is empty; name at least one, such as 1920x1080")
	}
	for i, r := range rules.Resolutions {
		if _, _, err := parseResolution(r); err != nil {
			return err
		}
		if slices.Index(rules.Resolutions, r) != i {
			return invalid("resolutions names %s twice", r)
		}
	}
	if rules.ByDuration.DurationSeconds < 1 || rules.ByDuration.ToleranceSeconds < 0 {
		return invalid("byDuration: durationSeconds must be at least 1, toleranceSeconds at least 0")
	}
	return nil
}

// PutReplay stores a Replay's rules. A higher generation replaces a lower one;
// a lower one comes late and changes nothing.
func (s *Store) PutReplay(ctx context.Context, uid string, rules api.ReplayRules) (api.ReplayState, error) {
	if err := checkRules(rules); err != nil {
		return api.ReplayState{}, err
	}
	err := s.onEvent(ctx, rules.EventUID, func(e *eventTx) error {
		known, err := findReplay(ctx, e, uid)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		body, err := toJSON(rules)
		if err != nil {
			return err
		}
		if known != nil {
			if known.eventUID != rules.EventUID {
				return conflict("the Replay belongs to the Event with UID %s; it cannot move to %s", known.eventUID, rules.EventUID)
			}
			if known.generation >= rules.Generation {
				return errUnchanged
			}
		}
		if _, err := e.exec(`INSERT INTO replays (uid, event_uid, namespace, name, generation, rules, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (uid) DO UPDATE SET generation = excluded.generation, rules = excluded.rules`,
			uid, rules.EventUID, rules.Namespace, rules.Name, rules.Generation, body, e.now); err != nil {
			return err
		}
		r, err := findReplay(ctx, e, uid)
		if err != nil {
			return err
		}
		if e.ev.replayable() {
			return e.planReplay(r)
		}
		return e.changed(api.ChangeKindReplay, r.uid, r.namespace, r.name)
	})
	if err != nil {
		return api.ReplayState{}, err
	}
	return s.Replay(ctx, uid)
}

// replays are the Event's Replays.
func (e *eventTx) replays() ([]*replayRow, error) {
	return collect(e.ctx, e, func(r *sql.Rows) (*replayRow, error) { return scanReplay(r) },
		`SELECT `+replayColumns+` FROM replays WHERE event_uid = $1 ORDER BY uid`, e.ev.uid)
}

// planReplays plans every Replay of an Event that has just come to its end.
func (e *eventTx) planReplays() error {
	list, err := e.replays()
	if err != nil {
		return err
	}
	for _, r := range list {
		if err := e.planReplay(r); err != nil {
			return err
		}
	}
	return nil
}

// replaysChanged tells the feed that the Event's Replays will never be made.
func (e *eventTx) replaysChanged() error {
	list, err := e.replays()
	if err != nil {
		return err
	}
	for _, r := range list {
		if err := e.changed(api.ChangeKindReplay, r.uid, r.namespace, r.name); err != nil {
			return err
		}
	}
	return nil
}

// Replay is the state of a Replay.
func (s *Store) Replay(ctx context.Context, uid string) (api.ReplayState, error) {
	var state api.ReplayState
	err := s.read(ctx, func(q querier) error {
		r, err := findReplay(ctx, q, uid)
		if err != nil {
			return err
		}
		ev, err := findEvent(ctx, q, r.eventUID)
		if err != nil {
			return err
		}
		state = api.ReplayState{UID: uid, EventUID: r.eventUID, Generation: r.generation, State: api.ReplayStateStateWaiting,
			Outputs: []api.ReelState{}, Decisions: []api.Decision{}}
		switch {
		case ev.replayable():
			if err := s.replayOutputs(ctx, q, r, ev, &state); err != nil {
				return err
			}
			if ev.state == api.EventStateStateFailed {
				state.BrokenOff = text(ev.message)
			}
		case ev.state == api.EventStateStateFailed:
			state.State = api.ReplayStateStateEventFailed
			state.Message = text("The Event failed: " + ev.message)
		default:
			state.Message = text("The Replay is made when the Event is complete.")
		}
		return nil
	})
	return state, err
}

// replayOutputs fills in the current plan and what was rendered of it.
func (s *Store) replayOutputs(ctx context.Context, q querier, r *replayRow,
	ev *eventRow, state *api.ReplayState) error {
	if r.planHash == "" {
		state.State = api.ReplayStateStateFailed
		if _, err := reelTrack(ev, r.rules.AudioTrack); err != nil {
			state.Message = text(err.Error())
		}
		return nil
	}
	var parts []reelPart
	var partsText, decisions string
	if err := q.QueryRowContext(ctx, `SELECT parts, decisions, duration_us FROM replay_plans
		WHERE replay_uid = $1 AND hash = $2`, r.uid, r.planHash).
		Scan(&partsText, &decisions, &state.DurationMicros); err != nil {
		return fmt.Errorf("read the plan of Replay %s: %w", r.uid, err)
	}
	if err := errors.Join(fromJSON(partsText, &parts), fromJSON(decisions, &state.Decisions)); err != nil {
		return err
	}
	state.PlanHash, state.Selected = &r.planHash, int64(len(parts))
	outputs, err := collect(ctx, q, s.scanReel, `SELECT output, state, object_key, thumbnail_key, proof, error FROM reels
		WHERE replay_uid = $1 AND plan_hash = $2 ORDER BY ordinal`, r.uid, r.planHash)
	if err != nil {
		return err
	}
	if outputs != nil {
		state.Outputs = outputs
	}
	if len(parts) == 0 {
		state.State = api.ReplayStateStateNoMatch
		state.Message = text("No segment has one of the features and fits into the duration; the decisions say why.")
		return nil
	}
	state.State = api.ReplayStateStateRendered
	for _, o := range outputs {
		if o.State == api.ReelStateStatePending {
			state.State, state.Message = api.ReplayStateStateRendering, nil
			return nil
		}
		if o.State == api.ReelStateStateFailed {
			state.State = api.ReplayStateStateFailed
			state.Message = text(fmt.Sprintf("The reel %s could not be rendered: %s", o.Resolution, optionalName(o.Error)))
		}
	}
	return nil
}

func (s *Store) scanReel(rows *sql.Rows) (api.ReelState, error) {
	var o api.ReelState
	var key, thumbnail, proof, failure string
	if err := rows.Scan(&o.Resolution, &o.State, &key, &thumbnail, &proof, &failure); err != nil {
		return o, err
	}
	o.Location, o.Thumbnail, o.Error = s.locate(key), s.locate(thumbnail), text(failure)
	if proof != "" {
		o.Proof = &api.MediaProof{}
	}
	return o, fromJSON(proof, o.Proof)
}

// locate is the s3:// location of a key; nil for none.
func (s *Store) locate(key string) *string {
	if key == "" {
		return nil
	}
	return text(s.location(key))
}
