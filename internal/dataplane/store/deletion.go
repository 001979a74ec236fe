// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
)

// DeletionPhase is how far a deletion has come. Each phase is durable, so a
// deletion goes on where it stopped.
type DeletionPhase string

const (
	// PhaseTombstoned says: late calls are refused; nothing is deleted yet.
	PhaseTombstoned DeletionPhase = "Tombstoned"
	// PhaseRows says: it is settled which objects stay; rows are being deleted.
	PhaseRows DeletionPhase = "Rows"
	// PhaseObjects says: the rows are gone; objects under the prefix are next.
	PhaseObjects DeletionPhase = "Objects"
	// PhaseDone says: only the tombstone is left.
	PhaseDone DeletionPhase = "Done"
)

// Deletion is the tombstone of an Event or a Replay.
type Deletion struct {
	UID, EventUID, Namespace, Name string
	Kind                           api.ChangeKind
	Policy                         api.DeletionPolicy
	Phase                          DeletionPhase
	// Prefix is under what the objects are. Empty when nothing was stored.
	Prefix string
	// Kept are the keys under the prefix that stay. It is settled from
	// PhaseRows on.
	Kept []string
	// CreatedAt is when it began.
	CreatedAt  time.Time
	FinishedAt int64
}

const tombstoneColumns = `uid, event_uid, namespace, name, kind,
	policy, phase, kept, created_at, COALESCE(finished_at, 0)`

func scanDeletion(row interface{ Scan(...any) error }) (Deletion, error) {
	var d Deletion
	var kept string
	var created int64
	if err := row.Scan(&d.UID, &d.EventUID, &d.Namespace, &d.Name, &d.Kind, &d.Policy, &d.Phase,
		&kept, &created, &d.FinishedAt); err != nil {
		return d, err
	}
	d.CreatedAt = time.UnixMicro(created)
	switch {
	case d.Namespace == "":
	case d.Kind == api.ChangeKindReplay:
		d.Prefix = keys.Replay(d.Namespace, d.EventUID, d.UID)
	default:
		d.Prefix = keys.Event(d.Namespace, d.UID)
	}
	return d, fromJSON(kept, &d.Kept)
}

func findDeletion(ctx context.Context, q querier, uid string) (Deletion, error) {
	d, err := scanDeletion(q.QueryRowContext(ctx, `SELECT `+tombstoneColumns+` FROM tombstones WHERE uid = $1`, uid))
	if errors.Is(err, sql.ErrNoRows) {
		return d, notFound("nothing with UID %s is being deleted", uid)
	}
	return d, err
}

// Deletion reads a tombstone.
func (s *Store) Deletion(ctx context.Context, uid string) (Deletion, error) {
	return findDeletion(ctx, s.reader, uid)
}

// Deletions are all tombstones, oldest first: what has to be gone on with after
// a restart, and what a late upload may have left objects for.
func (s *Store) Deletions(ctx context.Context) ([]Deletion, error) {
	return collect(ctx, s.reader, func(r *sql.Rows) (Deletion, error) { return scanDeletion(r) },
		`SELECT `+tombstoneColumns+` FROM tombstones ORDER BY created_at, uid`)
}

// Tombstone starts the deletion of an Event: from now on its Jobs' calls are
// refused with ErrGone. The policy can be changed until the rows go.
func (s *Store) Tombstone(ctx context.Context, uid string, policy api.DeletionPolicy) error {
	return s.write(ctx, func(t *txn) error {
		if err := t.lockName(uid); err != nil {
			return err
		}
		var namespace, name string
		err := t.QueryRowContext(ctx, `UPDATE events SET deleted = 1, drain_due_at = NULL, gap_due_at = NULL WHERE uid = $1
			RETURNING namespace, name`, uid).Scan(&namespace, &name)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := t.exec(`UPDATE tasks SET state = 'skipped', token = '', error = 'the Event was deleted',
			finished_at = $2, due_at = 0, lease_expires_at = 0
			WHERE event_uid = $1 AND `+openStates, uid, t.now); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO tombstones (uid, kind, event_uid, namespace, name, policy, phase, created_at)
			VALUES ($1, 'Event', $1, $2, $3, $4, $5, $6)
			ON CONFLICT (uid) DO UPDATE
			SET policy = CASE WHEN tombstones.phase = $5 THEN excluded.policy ELSE tombstones.policy END`,
			uid, namespace, name, string(policy), string(PhaseTombstoned), t.now)
		return err
	})
}

// PurgeRows deletes the rows of a tombstoned Event and returns the keys of the
// objects that stay. Which ones is settled before the first row goes, so a
// crash between rows and objects loses nothing.
func (s *Store) PurgeRows(ctx context.Context, uid string) ([]string, error) {
	d, err := s.Deletion(ctx, uid)
	if err != nil {
		return nil, err
	}
	if d.Phase == PhaseTombstoned {
		if d, err = s.settleKept(ctx, uid); err != nil {
			return nil, err
		}
	}
	if d.Phase != PhaseRows {
		return d.Kept, nil
	}
	for _, table := range purgeOrder {
		for {
			var n int64
			err := s.write(ctx, func(t *txn) (err error) {
				if err := t.lockName(uid); err != nil {
					return err
				}
				n, err = t.exec(table.statement(), uid, purgeBatch)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("purge %s of Event %s: %w", table.name, uid, err)
			}
			if n < purgeBatch {
				break
			}
		}
	}
	return d.Kept, s.setPhase(ctx, uid, PhaseRows, PhaseObjects)
}

// FinishDeletion notes that the objects are gone, too.
func (s *Store) FinishDeletion(ctx context.Context, uid string) error {
	d, err := s.Deletion(ctx, uid)
	if err != nil || d.Phase == PhaseDone {
		return err
	}
	if d.Phase != PhaseObjects {
		return conflict("the deletion of %s is at %s; its rows go before its objects", uid, d.Phase)
	}
	return s.setPhase(ctx, uid, PhaseObjects, PhaseDone)
}

func (s *Store) setPhase(ctx context.Context, uid string, from, to DeletionPhase) error {
	return s.write(ctx, func(t *txn) error {
		_, err := t.exec(`UPDATE tombstones SET phase = $3, finished_at = CASE WHEN $3 = 'Done' THEN $4 ELSE finished_at END
			WHERE uid = $1 AND phase = $2`,
			uid, string(from), string(to), t.now)
		return err
	})
}

// settleKept decides which objects of an Event stay.
func (s *Store) settleKept(ctx context.Context, uid string) (Deletion, error) {
	var d Deletion
	err := s.write(ctx, func(t *txn) (err error) {
		if err := t.lockName(uid); err != nil {
			return err
		}
		if d, err = findDeletion(ctx, t, uid); err != nil || d.Phase != PhaseTombstoned {
			return err // another call has settled it: rows may be gone by now
		}
		if d.Kept, err = keptKeys(ctx, t, uid, d.Policy); err != nil {
			return err
		}
		kept, err := toJSON(d.Kept)
		if err != nil {
			return err
		}
		d.Phase = PhaseRows
		_, err = t.exec(`UPDATE tombstones SET kept = $2, phase = $3
			WHERE uid = $1 AND phase = $4`, uid, kept, string(PhaseRows), string(PhaseTombstoned))
		return err
	})
	return d, err
}

// purgeBatch bounds what one transaction deletes, so that other Events' calls
// get their turn.
const purgeBatch = 1000

// purgeTable is a table of an Event's rows: its key and which rows.
type purgeTable struct{ name, key, where string }

// purgeOrder deletes rows before those they refer to; the Event's is the last.
var purgeOrder = []purgeTable{
	{"doomed", "event_uid, object_key", "event_uid = $1"},
	{"tries", "event_uid, task_id, attempt", "event_uid = $1"},
	{"notes", "event_uid, task_id, ordinal", "event_uid = $1"},
	{"retries", "event_uid, id", "event_uid = $1"},
	{"gaps", "event_uid, first_frame", "event_uid = $1"},
	{"variables", "event_uid, name", "event_uid = $1"},
	{"plugin_health", "event_uid, plugin, holder", "event_uid = $1"},
	{"feedback", "event_uid, segment_id, track, reviewer", "event_uid = $1"},
	{"results", "event_uid, plugin, track, chunk, attempt, ordinal", "event_uid = $1"},
	{"signals", "event_uid, chunk", "event_uid = $1"},
	{"clips", "event_uid, segment_id, variant, track, mark_version", "event_uid = $1"},
	{"segment_marks", "event_uid, segment_id, source, track, version", "event_uid = $1"},
	{"segments", "event_uid, id", "event_uid = $1"},
	{"tasks", "id", "event_uid = $1"},
	{"chunks", "event_uid, number", "event_uid = $1"},
	{"units", "event_uid, epoch, first_ticks", "event_uid = $1"},
	{"reels", "replay_uid, plan_hash, output", "replay_uid IN (SELECT uid FROM replays WHERE event_uid = $1)"},
	{"replay_plans", "replay_uid, hash", "replay_uid IN (SELECT uid FROM replays WHERE event_uid = $1)"},
	{"changed", "kind, uid", "uid = $1 OR uid IN (SELECT uid FROM replays WHERE event_uid = $1)"},
	{"changes", "kind, uid", "uid = $1 OR uid IN (SELECT uid FROM replays WHERE event_uid = $1)"},
	{"replays", "uid", "event_uid = $1"},
	{"plans", "event_uid", "event_uid = $1"},
	{"events", "uid", "uid = $1"},
}

func (p purgeTable) statement() string {
	return fmt.Sprintf(`DELETE FROM %s WHERE (%s) IN (SELECT %s FROM %s WHERE %s LIMIT $2)`,
		p.name, p.key, p.key, p.name, p.where)
}

// DeleteReplay deletes a Replay's rows. Its objects follow: see Deletion for
// the prefix and the keys that stay, and FinishDeletion.
func (s *Store) DeleteReplay(ctx context.Context, uid string, policy api.DeletionPolicy) error {
	return s.write(ctx, func(t *txn) error {
		if err := t.lockName(uid); err != nil {
			return err
		}
		if gone, err := isTombstoned(ctx, t, uid); err != nil {
			return err
		} else if gone {
			return errUnchanged
		}
		r, err := findReplay(ctx, t, uid)
		if err == nil {
			// The reels of an Event that is being deleted stay or go by the Event's policy, and its rows are going.
			gone, goneErr := isTombstoned(ctx, t, r.eventUID)
			if goneErr != nil {
				return goneErr
			}
			if gone {
				err = ErrNotFound
			}
		}
		if errors.Is(err, ErrNotFound) {
			_, err := t.exec(`INSERT INTO tombstones (uid, kind, event_uid, namespace,
				name, policy, phase, created_at, finished_at)
				VALUES ($1, 'Replay', '', '', '', $2, 'Done', $3, $3)`, uid, string(policy), t.now)
			return err
		}
		if err != nil {
			return err
		}
		// The Event's row comes first, as everywhere. Without the Replay less may be missing from the Event.
		e, err := t.lockEvent(r.eventUID)
		switch {
		case errors.Is(err, ErrGone):
			return t.dropReplay(r, policy)
		case err != nil:
			return err
		}
		return e.run(func(*eventTx) error { return t.dropReplay(r, policy) })
	})
}

// dropReplay deletes a Replay's rows and leaves a tombstone that says which objects stay.
func (t *txn) dropReplay(r *replayRow, policy api.DeletionPolicy) error {
	kept, err := []string{}, error(nil)
	if policy != api.DeletionPolicyDelete {
		if kept, err = keyList(t.ctx, t, reelKeys, r.uid); err != nil {
			return err
		}
	}
	body, err := toJSON(kept)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		`DELETE FROM reels WHERE replay_uid = $1`, `DELETE FROM replay_plans WHERE replay_uid = $1`,
		`DELETE FROM tasks WHERE replay_uid = $1`, `DELETE FROM changes WHERE kind = 'Replay' AND uid = $1`,
		`DELETE FROM changed WHERE kind = 'Replay' AND uid = $1`, `DELETE FROM replays WHERE uid = $1`,
	} {
		if _, err := t.exec(statement, r.uid); err != nil {
			return err
		}
	}
	_, err = t.exec(`INSERT INTO tombstones (uid, kind, event_uid, namespace, name, policy, phase, kept, created_at)
		VALUES ($1, 'Replay', $2, $3, $4, $5, 'Objects', $6, $7)`,
		r.uid, r.eventUID, r.namespace, r.name, string(policy), body, t.now)
	return err
}
