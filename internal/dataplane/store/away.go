// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// awayFor bounds how long a task is tried again because its holders, and they alone, find the object store away. It
// may be their network that is at fault.
const awayFor = 15 * 60 * microsPerSecond

// Away gives a task back whose media could not be fetched or stored because the object store is away. It is no attempt.
// The task rests as long as it has waited, a minute at most. known says that the data plane finds the store away, too:
// then there is no other end to it than the store's return.
func (s *Store) Away(ctx context.Context, uid string, taskID int64, token, message string, known bool) error {
	return s.onLeased(ctx, uid, taskID, token, func(e *eventTx, t *taskRow) error {
		if t.awaySince == 0 {
			t.awaySince = e.now
		}
		if known {
			t.awaySince = max(t.awaySince, e.now-backoffMax)
		}
		waited := e.now - t.awaySince
		if waited < awayFor {
			return e.giveBack(t, e.now+min(max(waited, backoffBase), backoffMax), api.TryOutcomeReleased, message)
		}
		if err := e.noteTry(t, api.TryOutcomeFailed, message); err != nil {
			return err
		}
		return e.finish(t, api.TaskStateFailed,
			fmt.Sprintf("given up after %s: %s", (time.Duration(waited)*time.Microsecond).Round(time.Second), message))
	})
}
