// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/store"
)

func TestADatabaseThatIsAway(t *testing.T) {
	p := problemOf(fmt.Errorf("read the Event x: %w", store.ErrUnavailable))
	if p.Status != 503 || p.Detail == nil || !strings.Contains(*p.Detail, "try again") {
		t.Errorf("%+v", p)
	}
}
