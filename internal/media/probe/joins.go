// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"slices"
	"sync"

	"github.com/mre-operator/mre-operator/internal/media/source"
)

// Joins are the places where recordings were joined and the source's clock was
// closed, as they are met. Each reading of the source meets the same ones.
type Joins struct {
	mu    sync.Mutex
	ticks []int64
	end   int64
}

func (j *Joins) add(at source.Join) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ticks := at.Ticks + OffsetTicks
	if i, met := slices.BinarySearch(j.ticks, ticks); !met {
		j.ticks = slices.Insert(j.ticks, i, ticks)
	}
}

func (j *Joins) ended(at int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.end = at + OffsetTicks
}

// End is where the container said at its end that the video does, in the ticks
// of the units; 0 if it was not read so far, or did not say.
func (j *Joins) End() int64 {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.end
}

// UpTo counts the joins up to a time, in the ticks of the units.
func (j *Joins) UpTo(ticks int64) int {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, _ := slices.BinarySearch(j.ticks, ticks+1)
	return n
}
