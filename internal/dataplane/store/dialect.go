// SPDX-License-Identifier: Apache-2.0

package store

import "context"

// dialect is where the two engines' SQL differs.
type dialect struct {
	name string
	// prepares says that statements are prepared here; PostgreSQL's driver
	// does it by itself, for each connection.
	prepares bool
	// lockName takes a name's lock until the transaction ends. SQLite has one
	// writer anyway.
	lockName string
	// takeIDs returns the last of a block of idBlockSize task ids that nobody
	// else gets.
	takeIDs string
	// idsAreKept says that a block stays taken when its transaction is rolled
	// back, so that it can serve the next one.
	idsAreKept bool
	// moveChanges gives every waiting change whose writer has committed a
	// number after $1.
	moveChanges []string
}

const idBlockSize = 256

var sqliteDialect = dialect{
	name:     "sqlite",
	prepares: true,
	takeIDs:  `UPDATE counters SET value = value + 16 WHERE name = 'task' RETURNING value`,
	moveChanges: []string{
		`INSERT INTO changes (kind, uid, namespace, name, seq)
			SELECT kind, uid, namespace, name, $1 + ROW_NUMBER() OVER (ORDER BY kind, uid) FROM changed WHERE true
			ON CONFLICT (kind, uid) DO UPDATE SET seq = excluded.seq`,
		`DELETE FROM changed`,
	},
}

var postgresDialect = dialect{
	name:       "postgres",
	lockName:   `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`,
	takeIDs:    `SELECT nextval('task_ids')`,
	idsAreKept: true,
	// A row that a writer is about to commit is locked and left for the next
	// move: the writer keeps it, and this transaction does not wait.
	moveChanges: []string{
		`WITH free AS MATERIALIZED (SELECT kind, uid FROM changed FOR UPDATE SKIP LOCKED),
			moved AS (DELETE FROM changed USING free WHERE changed.kind = free.kind AND changed.uid = free.uid
				RETURNING changed.kind, changed.uid, changed.namespace, changed.name)
			INSERT INTO changes (kind, uid, namespace, name, seq)
			SELECT kind, uid, namespace, name, $1::bigint + ROW_NUMBER() OVER (ORDER BY kind, uid) FROM moved
			ON CONFLICT (kind, uid) DO UPDATE SET seq = excluded.seq`,
	},
}

// blockSize is how many ids takeIDs takes.
func (d dialect) blockSize() int64 {
	if d.idsAreKept {
		return idBlockSize
	}
	return 16
}

// lockName makes transactions that check whether a name is there and then
// write it follow each other, where no row can be locked.
func (t *txn) lockName(name string) error {
	if t.store.dialect.lockName == "" {
		return nil
	}
	_, err := t.exec(t.store.dialect.lockName, name)
	return err
}

// migrate brings the schema up to date.
func (s *Store) migrate(ctx context.Context) error { return migrate(ctx, s.dialect, s.writer) }
