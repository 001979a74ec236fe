// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"sync"
)

// idBlock is a range of task ids that nobody else gets: the ids after next, up
// to last.
type idBlock struct {
	mu         sync.Mutex
	next, last int64
}

// take gives an id out, and asks for another block when there is none left.
func (b *idBlock) take(size int64, refill func() (last int64, err error)) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next >= b.last {
		last, err := refill()
		if err != nil {
			return 0, fmt.Errorf("take task ids: %w", err)
		}
		b.next, b.last = last-size, last
	}
	b.next++
	return b.next, nil
}

// nextTaskID is an id that no other task has. Ids are taken in blocks, so
// those of different processes do not say which task is older.
func (t *txn) nextTaskID() (int64, error) {
	d := t.store.dialect
	block := &t.ids
	if d.idsAreKept {
		block = &t.store.ids
	}
	return block.take(d.blockSize(), func() (int64, error) { return one[int64](t.ctx, t, d.takeIDs) })
}
