// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// victims are what is killed, and how often compared with the others. A leader that dies costs 15 s of leadership, so
// that more of them would only test an install without a manager.
//
// Some are stopped instead, and go on after everybody has taken them for dead: for longer than a lease, or the
// manager's 15 s. What they then write must be refused.
var victims = []struct {
	kind  string
	share int
	stop  func() time.Duration
}{
	{"worker", 10, func() time.Duration { return *lease * 3 / 2 }},
	{"render", 10, func() time.Duration { return *lease * 3 / 2 }},
	{"dataplane", 4, func() time.Duration { return *lease * 3 / 2 }},
	{"manager", 1, func() time.Duration { return 18 * time.Second }},
}

// stopped is the kind under which those are counted that were stopped and not killed; one in so many is.
const (
	stopped     = "stopped"
	stoppedOnce = 10
)

// killAtRandom kills something that runs, again and again, until it has done so often enough or the context ends.
func (ps *processes) killAtRandom(ctx context.Context, random *rand.Rand,
	often int, told func(p *process, how string)) {
	total := 0
	for _, v := range victims {
		total += v.share
	}
	for done := 0; done < often; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(time.Duration(random.ExpFloat64()*float64(*pause)), 10**pause)):
		}
		n := random.IntN(total)
		victim := victims[0]
		for _, victim = range victims {
			if n -= victim.share; n < 0 {
				break
			}
		}
		there := ps.of(victim.kind)
		if len(there) == 0 {
			continue // all of them wait to be started again
		}
		slices.SortFunc(there, func(a, b *process) int { return cmp.Compare(a.name, b.name) })
		p := there[random.IntN(len(there))]
		if random.IntN(stoppedOnce) == 0 {
			if p.signal(syscall.SIGSTOP) {
				// One that is killed meanwhile does not notice.
				time.AfterFunc(victim.stop(), func() { p.signal(syscall.SIGCONT) })
				told(p, stopped)
			}
			continue
		}
		p.killed.Store(true)
		if p.signal(syscall.SIGKILL) {
			<-p.ended
			told(p, victim.kind)
			done++
		}
	}
}
