// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
)

// Queries for object keys; each takes a UID.
const (
	unitKeys = `SELECT object_key FROM units WHERE event_uid = $1`
	clipKeys = `SELECT object_key FROM clips WHERE event_uid = $1 AND object_key <> '' UNION ALL
		SELECT thumbnail_key FROM clips WHERE event_uid = $1 AND thumbnail_key <> ''`
	eventReelKeys = `SELECT r.object_key FROM reels r JOIN replays p ON p.uid = r.replay_uid
		WHERE p.event_uid = $1 AND r.object_key <> '' UNION ALL
		SELECT r.thumbnail_key FROM reels r JOIN replays p ON p.uid = r.replay_uid
		WHERE p.event_uid = $1 AND r.thumbnail_key <> ''`
	reelKeys = `SELECT object_key FROM reels WHERE replay_uid = $1 AND object_key <> '' UNION ALL
		SELECT thumbnail_key FROM reels WHERE replay_uid = $1 AND thumbnail_key <> ''`
)

func keyList(ctx context.Context, q querier, query, uid string) ([]string, error) {
	return collect(ctx, q, func(r *sql.Rows) (k string, err error) { return k, r.Scan(&k) }, query, uid)
}

// keptKeys are the objects of an Event that a policy keeps: the clips, reels
// and exports that its rows name, or everything, or nothing.
func keptKeys(ctx context.Context, q querier, uid string, policy api.DeletionPolicy) ([]string, error) {
	kept := []string{}
	var queries []string
	switch policy {
	case api.DeletionPolicyDelete:
		return kept, nil
	case api.DeletionPolicyRetain:
		queries = []string{unitKeys, clipKeys, eventReelKeys}
	default:
		queries = []string{clipKeys, eventReelKeys}
	}
	for _, query := range queries {
		list, err := keyList(ctx, q, query, uid)
		if err != nil {
			return nil, err
		}
		kept = append(kept, list...)
	}
	ev, err := scanEvent(q.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM events WHERE uid = $1`, uid))
	if errors.Is(err, sql.ErrNoRows) {
		return kept, nil // its plan was never stored
	}
	if err != nil {
		return nil, err
	}
	if ev.exports.JSON != "" {
		kept = append(kept, ev.exports.JSON)
	}
	kept = append(kept, ev.exports.EDLs...)
	// Reels of Replays that were deleted before, but whose objects stayed.
	replays, err := collect(ctx, q, func(r *sql.Rows) (Deletion, error) { return scanDeletion(r) },
		`SELECT `+tombstoneColumns+` FROM tombstones WHERE event_uid = $1 AND kind = 'Replay' ORDER BY uid`, uid)
	if err != nil {
		return nil, err
	}
	for _, r := range replays {
		kept = append(kept, r.Kept...)
	}
	return kept, nil
}

// NamesObjects says whether any row names an object, so that there was a bucket.
func (s *Store) NamesObjects(ctx context.Context) (bool, error) {
	n, err := one[int64](ctx, s.reader, `SELECT CASE WHEN EXISTS (SELECT 1 FROM units)
		OR EXISTS (SELECT 1 FROM clips WHERE object_key <> '')
		OR EXISTS (SELECT 1 FROM reels WHERE object_key <> '')
		OR EXISTS (SELECT 1 FROM tombstones WHERE kept <> '[]' OR phase <> 'Done') THEN 1 ELSE 0 END`)
	return n > 0, err
}

// isUnit says whether a key is of a unit of an Event.
func isUnit(ev *eventRow, key string) bool {
	return strings.HasPrefix(key, keys.Event(ev.namespace, ev.uid)+"units/")
}

// referencedKeys are the keys of a living Event's objects that a row names.
// Whatever else lies under its prefix and is old was left by an attempt that
// lost.
func referencedKeys(ctx context.Context, q querier, uid string) (map[string]bool, error) {
	list, err := keptKeys(ctx, q, uid, api.DeletionPolicyRetain)
	if err != nil {
		return nil, err
	}
	set := make(map[string]bool, len(list))
	for _, k := range list {
		set[k] = true
	}
	return set, nil
}
