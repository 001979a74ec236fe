// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// changed notes that an object changed. It has no number in the feed yet: who
// gives numbers makes all others wait, and writers of different Events should
// not wait for each other. The row is written also when it is there already,
// so that it is locked: the feed must not tell of it before this transaction
// commits.
func (t *txn) changed(kind api.ChangeKind, uid, namespace, name string) error {
	_, err := t.exec(`INSERT INTO changed (kind, uid, namespace, name) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, uid) DO UPDATE SET name = excluded.name`, string(kind), uid, namespace, name)
	return err
}

// ChangedUnfinished notes that every Event that has not ended changed, as when
// something happened that all of them need.
func (s *Store) ChangedUnfinished(ctx context.Context) error {
	return s.write(ctx, func(t *txn) error {
		n, err := t.exec(`INSERT INTO changed (kind, uid, namespace, name)
			SELECT $1, uid, namespace, name FROM events WHERE deleted = 0 AND state NOT IN ('Complete', 'Failed') ORDER BY uid
			ON CONFLICT (kind, uid) DO UPDATE SET name = excluded.name`, string(api.ChangeKindEvent))
		if err == nil && n == 0 {
			return errUnchanged
		}
		return err
	})
}

// Changes returns what changed after a sequence number, oldest first, and
// where to go on. A number from the future (the database was restored from a
// backup) starts from the beginning, so that a reader never waits for ever.
func (s *Store) Changes(ctx context.Context, after int64, limit int) ([]api.Change, int64, error) {
	if err := s.numberChanges(ctx); err != nil {
		return nil, 0, err
	}
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

// numberChanges moves what waits to the end of the feed. Whoever does it holds
// the counter until the numbers are there, so that none appears behind one
// that a reader has seen.
func (s *Store) numberChanges(ctx context.Context) error {
	waiting, err := one[int64](ctx, s.reader, `SELECT COUNT(*) FROM (SELECT 1 FROM changed LIMIT 1) AS waiting`)
	if err != nil || waiting == 0 {
		return err
	}
	return s.writeQuietly(ctx, func(t *txn) error {
		last, err := one[int64](ctx, t, `UPDATE counters SET value = value WHERE name = 'change' RETURNING value`)
		if err != nil {
			return err
		}
		var moved int64
		for i, statement := range s.dialect.moveChanges {
			args := []any{last}
			if i > 0 {
				args = nil
			}
			n, err := t.exec(statement, args...)
			if err != nil {
				return err
			}
			moved = max(moved, n)
		}
		if moved == 0 {
			return errUnchanged
		}
		_, err = t.exec(`UPDATE counters SET value = value + $1 WHERE name = 'change'`, moved)
		return err
	})
}
