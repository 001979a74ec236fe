// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	_ "modernc.org/sqlite" // the data plane's database
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rowsWith counts the rows that hold one of the values in any column, by table. Tombstones are left out: they are
// what a deletion leaves on purpose.
func rowsWith(ctx context.Context, values ...string) (found map[string]int, err error) {
	path, err := databaseFile(ctx)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, fmt.Errorf("open the data plane's database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	columns, err := textColumns(ctx, db)
	if err != nil {
		return nil, err
	}
	found = map[string]int{}
	for table, names := range columns {
		for _, column := range names {
			for _, value := range values {
				if value == "" {
					continue
				}
				var n int
				query := fmt.Sprintf("SELECT count(*) FROM %q WHERE %q = ?", table, column)
				if err := db.QueryRowContext(ctx, query, value).Scan(&n); err != nil {
					return nil, fmt.Errorf("count rows of %s: %w", table, err)
				}
				if n > 0 {
					found[table] += n
				}
			}
		}
	}
	return found, nil
}

// textColumns are the columns that can hold a UID, of every table but the tombstones.
func textColumns(ctx context.Context, db *sql.DB) (map[string][]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name <> 'tombstones' AND c.type = 'TEXT'`)
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	defer rows.Close()
	columns := map[string][]string{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return nil, fmt.Errorf("read the tables: %w", err)
		}
		columns[table] = append(columns[table], column)
	}
	return columns, rows.Err()
}

// databaseFile finds the data plane's database on the node, which is this machine.
func databaseFile(ctx context.Context) (string, error) {
	var claims corev1.PersistentVolumeClaimList
	if err := cluster.List(ctx, &claims, client.InNamespace(installNamespace)); err != nil {
		return "", fmt.Errorf("find the data plane's volume: %w", err)
	}
	for i := range claims.Items {
		if !strings.Contains(claims.Items[i].Name, "dataplane") {
			continue
		}
		var volume corev1.PersistentVolume
		if err := cluster.Get(ctx, client.ObjectKey{Name: claims.Items[i].Spec.VolumeName}, &volume); err != nil {
			return "", fmt.Errorf("find the data plane's volume: %w", err)
		}
		if volume.Spec.Local == nil {
			return "", errors.New("the data plane's volume is not a local one: run this test on the cluster of hack/cluster")
		}
		files, err := filepath.Glob(filepath.Join(volume.Spec.Local.Path, "*.db"))
		if err != nil || len(files) != 1 {
			return "", fmt.Errorf("the data plane's volume %s has not one database but %d", volume.Spec.Local.Path, len(files))
		}
		return files[0], nil
	}
	return "", errors.New("the install has no claim for the data plane's volume")
}
