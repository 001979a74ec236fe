// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/store/pgtest"
)

func init() {
	databases = append(databases, database{"postgresql", func(t *testing.T) []string {
		address := pgtest.Database(t, nil)
		return []string{address, address} // two replicas
	}})
}
