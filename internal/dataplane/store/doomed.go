// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
)

// doomedFor is how long a key stays refused after it was doomed: longer than a
// call may take between looking at the object and registering it.
const doomedFor = 2 * 60 * microsPerSecond

// Doom says which of an Event's objects may be removed: those that no row
// names. From then on none of them can be registered, until they have long been
// removed: a row must never name an object that is about to go.
func (s *Store) Doom(ctx context.Context, uid string, old []string) ([]string, error) {
	var doomed []string
	err := s.onEvent(ctx, uid, func(e *eventTx) error {
		doomed = nil
		if _, err := e.exec(`DELETE FROM doomed WHERE event_uid = $1 AND doomed_at < $2`, uid, e.now-doomedFor); err != nil {
			return err
		}
		named, err := referencedKeys(ctx, e, uid)
		if err != nil {
			return err
		}
		for _, key := range old {
			if named[key] || (isUnit(e.ev, key) && !e.ev.allStored() && !e.ev.terminal()) {
				continue // ingest may be about to find it
			}
			doomed = append(doomed, key)
			if _, err := e.exec(`INSERT INTO doomed (event_uid, object_key, doomed_at) VALUES ($1, $2, $3)
				ON CONFLICT (event_uid, object_key) DO UPDATE SET doomed_at = excluded.doomed_at`, uid, key, e.now); err != nil {
				return err
			}
		}
		return nil
	})
	return doomed, err
}

// refuseDoomed keeps a row from naming an object that the sweeper removes.
func (e *eventTx) refuseDoomed(key string) error {
	n, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM doomed WHERE event_uid = $1 AND object_key = $2`, e.ev.uid, key)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("%w: the object %s had no owner for so long that it is being removed; store it again",
			ErrUnavailable, key)
	}
	return nil
}
