// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Backup writes a copy of a SQLite database to a file that is not there yet.
// The data plane may go on working: the copy is of one moment.
func Backup(ctx context.Context, database, file string) (err error) {
	if IsPostgres(database) {
		return errors.New("this database is PostgreSQL's; back it up with pg_dump")
	}
	if _, err := os.Stat(database); err != nil {
		return fmt.Errorf("back up the database: %w", err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already; name a new file", file)
	}
	db, err := sqlitePool(database, "deferred", "", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
		return errors.Join(fmt.Errorf("back up %s: %w", database, err), os.RemoveAll(file))
	}
	written, err := os.Open(file)
	if err != nil {
		return err
	}
	return errors.Join(written.Sync(), written.Close())
}
