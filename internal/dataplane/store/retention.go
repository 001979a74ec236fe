// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"
)

// forgets are rows that nobody needs once they are old enough: reels and plans
// of Replays that a newer plan took the place of, and tombstones whose objects
// are gone. A tombstone that keeps objects stays, since it says which; so does
// that of a Replay whose Event is there, for the same reason.
var forgets = []string{
	`DELETE FROM reels WHERE (replay_uid, plan_hash) IN (SELECT p.replay_uid, p.hash
		FROM replay_plans p JOIN replays r ON r.uid = p.replay_uid
		WHERE p.hash <> r.plan_hash AND p.created_at < $1)`,
	`DELETE FROM replay_plans WHERE (replay_uid, hash) IN (SELECT p.replay_uid, p.hash
		FROM replay_plans p JOIN replays r ON r.uid = p.replay_uid
		WHERE p.hash <> r.plan_hash AND p.created_at < $1)
		AND NOT EXISTS (SELECT 1 FROM reels l WHERE l.replay_uid = replay_plans.replay_uid
		AND l.plan_hash = replay_plans.hash)`,
	`DELETE FROM tombstones WHERE phase = 'Done' AND finished_at < $1 AND kept = '[]'`,
}

// Forget deletes rows that nobody needs and that are older than an age, and
// says how many. The objects of reels that are forgotten are removed by the
// sweeper, as no row names them any more.
func (s *Store) Forget(ctx context.Context, age time.Duration) (int64, error) {
	var n int64
	err := s.writeQuietly(ctx, func(t *txn) error {
		n = 0
		for _, statement := range forgets {
			rows, err := t.exec(statement, t.now-age.Microseconds())
			if err != nil {
				return fmt.Errorf("forget old rows: %w", err)
			}
			n += rows
		}
		if n == 0 {
			return errUnchanged
		}
		return nil
	})
	return n, err
}
