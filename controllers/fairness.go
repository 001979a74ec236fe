// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// claim is what an Event asks for and has of the workers that all Events share.
type claim struct {
	UID     types.UID
	Created time.Time
	// Wanted is what its chunks ask for now.
	Wanted int32
	// Held is what it was given, or has Jobs for while they leave.
	Held int32
	// Running is how many worker Jobs it had when it was looked at last.
	Running int32
}

// fairShares divides a bound among claims so that the smallest share is as large as it can be, then the
// second smallest, and so on: nobody gets a second worker before everybody who wants one has a first. What
// cannot be divided goes to those that were created first.
func fairShares(bound int32, claims []claim) map[types.UID]int32 {
	waiting := slices.Clone(claims)
	slices.SortFunc(waiting, func(a, b claim) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.UID, b.UID))
	})
	shares := make(map[types.UID]int32, len(claims))
	left := max(bound, 0)
	for left > 0 {
		waiting = slices.DeleteFunc(waiting, func(c claim) bool { return shares[c.UID] >= c.Wanted })
		if len(waiting) == 0 {
			break
		}
		// As many whole rounds as nobody is satisfied in; one worker each in the last, which does not go round.
		rounds := left / int32(len(waiting))
		for _, c := range waiting {
			rounds = min(rounds, c.Wanted-shares[c.UID])
		}
		for _, c := range waiting {
			if give := min(max(rounds, 1), left); give > 0 {
				shares[c.UID] += give
				left -= give
			}
		}
	}
	return shares
}

// grant is how many workers a claim gets of a bound: what it would like (its own number, which comes down
// slowly), as far as the others' shares leave it, and never what others still hold.
func grant(bound int32, me claim, like int32, others []claim) int32 {
	shares := fairShares(bound, append(slices.Clone(others), me))
	spare, free := bound, bound
	for _, o := range others {
		spare -= shares[o.UID]
		free -= o.Held
	}
	return max(0, min(like, max(shares[me.UID], spare), free))
}

// totals are the worker Jobs of an Event, and how many it asks for, over all its pools.
func totals(s mrev1.SlotsStatus) (workers, wanted int32) {
	workers, wanted = s.Workers, s.WorkersWanted
	for _, p := range s.Pools {
		workers, wanted = workers+p.Workers, wanted+p.WorkersWanted
	}
	return workers, wanted
}

// divide spreads what an Event was granted over its pools of workers. With fewer workers than pools, those pools
// come first that can work now: the others wait for what they do, so that the Event goes on with a single worker.
// running are the workers that each pool has; none is added before another has left.
func divide(granted int32, slots mrev1.SlotsStatus, backlog api.Backlog, running map[string]int32) mrev1.SlotsStatus {
	// Who works goes on, as another pool's pod takes long to start; each has its turn when the others wait for it.
	busy, first, later := time.Unix(-1, 0), time.Unix(0, 0), time.Unix(1, 0)
	claimOf := func(name string, like int32, b api.PoolBacklog) claim {
		c := claim{UID: types.UID(name), Wanted: like, Created: later}
		switch {
		case doable(b) > 0 && running[name] > 0:
			c.Created = busy
		case doable(b) > 0:
			c.Created = first
		}
		return c
	}
	claims := []claim{claimOf("", slots.Workers, backlog.Work)}
	for _, p := range slots.Pools {
		claims = append(claims, claimOf(p.Name, p.Workers, backlog.Pools[p.Name]))
	}
	shares := fairShares(granted, claims)
	free := granted
	for _, n := range running {
		free -= n
	}
	give := func(name string) int32 {
		share := shares[types.UID(name)]
		more := min(max(0, share-running[name]), max(0, free))
		free -= more
		return min(share, running[name]+more)
	}
	out := slots
	out.Workers = give("")
	out.Pools = slices.Clone(slots.Pools)
	for i := range out.Pools {
		out.Pools[i].Workers = give(out.Pools[i].Name)
	}
	return out
}

// workerPool shares the install's workers among Events. What it remembers is what the cache does not show yet;
// after a change of the leader it is read from the Events again.
type workerPool struct {
	mu     sync.Mutex
	claims map[types.UID]claim
	// nudges wake up those whom somebody else's claim may concern.
	nudges chan event.TypedGenericEvent[*mrev1.Event]
}

// share settles how many workers an Event gets, and wakes the others up when that may concern them.
func (p *workerPool) share(ctx context.Context, c client.Reader, bound int32, e *mrev1.Event, slots mrev1.SlotsStatus,
	backlog api.Backlog) (mrev1.SlotsStatus, error) {
	if bound <= 0 {
		return slots, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	running, err := runningWorkers(ctx, c)
	if err != nil {
		return slots, err
	}
	events, claims, err := p.observe(ctx, c, running)
	if err != nil {
		return slots, err
	}
	like, wanted := totals(slots)
	me := claim{UID: e.UID, Created: e.CreationTimestamp.Time, Wanted: wanted}
	var others []claim
	for _, other := range claims {
		if other.UID == e.UID {
			me.Running = other.Running
			continue
		}
		others = append(others, other)
	}
	was := p.claims[e.UID]
	me.Held = grant(bound, me, like, others)
	if p.claims == nil {
		p.claims = map[types.UID]claim{}
	}
	p.claims[e.UID] = me
	if me != was {
		p.nudge(events, e.UID)
	}
	return divide(me.Held, slots, backlog, running[e.UID]), nil
}

// runningWorkers counts the worker Jobs of each Event by pool.
func runningWorkers(ctx context.Context, c client.Reader) (map[types.UID]map[string]int32, error) {
	var jobs batchv1.JobList
	if err := c.List(ctx, &jobs, client.MatchingLabels{mrev1.LabelRole: string(RoleWorker)}); err != nil {
		return nil, fmt.Errorf("listing worker Jobs: %w", err)
	}
	out := map[types.UID]map[string]int32{}
	for i := range jobs.Items {
		uid := types.UID(jobs.Items[i].Labels[mrev1.LabelEventUID])
		if j, ok := observeJob(&jobs.Items[i]); ok && j.State == JobRunning {
			if out[uid] == nil {
				out[uid] = map[string]int32{}
			}
			out[uid][j.Pool]++
		}
	}
	return out, nil
}

// observe lists the claims of all Events that ask for workers or still have some.
func (p *workerPool) observe(ctx context.Context, c client.Reader,
	running map[types.UID]map[string]int32) ([]mrev1.Event, []claim, error) {
	var list mrev1.EventList
	if err := c.List(ctx, &list); err != nil {
		return nil, nil, fmt.Errorf("listing Events to share workers: %w", err)
	}
	there := map[types.UID]bool{}
	var claims []claim
	for i := range list.Items {
		e := &list.Items[i]
		there[e.UID] = true
		held, wanted := totals(e.Status.Slots)
		next := claim{UID: e.UID, Created: e.CreationTimestamp.Time, Wanted: wanted, Held: held}
		if fresher, ok := p.claims[e.UID]; ok {
			next = fresher
		}
		if !e.DeletionTimestamp.IsZero() {
			next.Wanted, next.Held = 0, 0
		}
		next.Running = 0
		for _, n := range running[e.UID] {
			next.Running += n
		}
		next.Held = max(next.Held, next.Running)
		if next.Wanted > 0 || next.Held > 0 {
			claims = append(claims, next)
		}
	}
	for uid := range p.claims {
		if !there[uid] {
			delete(p.claims, uid)
		}
	}
	return list.Items, claims, nil
}

// nudge wakes the other Events with workers up. It is a hint: a full channel means that they are about to be
// looked at anyway, and the resync looks at them, too.
func (p *workerPool) nudge(events []mrev1.Event, but types.UID) {
	for i := range events {
		e := &events[i]
		_, wanted := totals(e.Status.Slots)
		if e.UID == but || p.claims[e.UID].Wanted+wanted == 0 {
			continue
		}
		about := &mrev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name, UID: e.UID}}
		select {
		case p.nudges <- event.TypedGenericEvent[*mrev1.Event]{Object: about}:
		default:
		}
	}
}

func (p *workerPool) forget(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.claims, uid)
}
