// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// changed moves an object to the end of the feed.
func (t *txn) changed(kind api.ChangeKind, uid, namespace, name string) error {
	seq, err := t.next("change", 1)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO changes (kind, uid, namespace, name, seq) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (kind, uid) DO UPDATE SET seq = excluded.seq`, string(kind), uid, namespace, name, seq)
	return err
}

// Changes returns what changed after a sequence number, oldest first, and
// where to go on. A number from the future (the database was restored from a
// backup) starts from the beginning, so that a reader never waits for ever.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]api.Change, int64, error) {
	var list []api.Change
	err := s.read(ctx, func(q querier) error {
		last, err := one[int64](ctx, q, `SELECT value FROM counters WHERE name = 'change'`)
		if err != nil {
			return err
		}
		if after > last {
			after = 0
		}
		list, err = collect(ctx, q, func(r *sql.Rows) (c api.Change, err error) {
			return c, r.Scan(&c.Seq, &c.Kind, &c.UID, &c.Namespace, &c.Name)
		}, `SELECT seq, kind, uid, namespace, name FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	if len(list) > 0 {
		after = list[len(list)-1].Seq
	}
	return list, after, nil
}
