// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"slices"
	"time"
)

// Role is what a Job of an Event does. It is the name of the mre subcommand, too.
type Role string

const (
	// RoleIngest stores the source as units.
	RoleIngest Role = "ingest"
	// RoleWorker runs plugins.
	RoleWorker Role = "worker"
	// RoleRender makes clips and reels.
	RoleRender Role = "render"
)

const (
	// quickFailure is the life of a Job below which its end holds the next one back.
	quickFailure = time.Minute
	// quickFailuresForgiven are replaced at once: whole nodes die, and one death must not cost time.
	quickFailuresForgiven = 3
	// maxBackOff keeps a slot that always fails from filling the API server, and no more than that.
	maxBackOff = 30 * time.Second
	// leaveTime is how long Jobs of an ended Event have to end by themselves.
	leaveTime = time.Minute
)

// JobState is how far a Job has come.
type JobState int

const (
	// JobRunning has not ended; its pod may not have started either.
	JobRunning JobState = iota
	// JobSucceeded was told by the data plane that no work is left.
	JobSucceeded
	// JobFailed died.
	JobFailed
)

// Slot is a place for one Job at a time.
type Slot struct {
	Role Role
	// Pool is the named pool whose plugins a worker runs; empty for all else.
	Pool    string
	Ordinal int32
}

// Crew is all slots that do the same work.
type Crew struct {
	Role Role
	Pool string
}

func (s Slot) crew() Crew { return Crew{s.Role, s.Pool} }

func (c Crew) String() string {
	if c.Pool != "" {
		return string(c.Role) + " of pool " + c.Pool
	}
	return string(c.Role)
}

// ObservedJob is what the planner needs to know of a Job.
type ObservedJob struct {
	Slot
	Name          string
	Attempt       int32
	QuickFailures int32
	State         JobState
	Created       time.Time
	Finished      time.Time
	Deleting      bool
	// Ready: the Job's pod runs.
	Ready bool
	// LastWords are what the Job before said at its end, when the slot fails again and again.
	LastWords string
}

// NewJob is a Job to be created.
type NewJob struct {
	Slot
	Attempt       int32
	QuickFailures int32
	// Replaces is the failed Job of the slot, if there is one, and LastWords what it said at its end.
	Replaces  *ObservedJob
	LastWords string
	// RecycleAfterChunks ends a worker after so many chunks; 0 is never.
	RecycleAfterChunks int32
}

// JobsPlan is what is to be done about an Event's Jobs.
type JobsPlan struct {
	Create []NewJob
	// Delete names Jobs that are replaced or no longer needed.
	Delete []string
	// After is when to plan again though nothing changes; zero for never.
	After time.Duration
}

// JobsWanted is what an Event's Jobs are compared with.
type JobsWanted struct {
	// Slots is how many Jobs of each crew there should be. A crew that is absent has no work.
	Slots map[Crew]int32
	// Leaving is for how long the Jobs of a role that has no work have known that they have to leave; negative
	// while they do not.
	Leaving map[Role]time.Duration
	// Recycles: workers end by themselves to be replaced by fresh ones, however short they lived.
	Recycles bool
}

// planJobs decides about an Event's Jobs, slot by slot.
//
// A Job that ended while its slot is still wanted gets a successor: a failed one at once, unless
// its slot fails again and again; a finished one when the data plane has new work.
func planJobs(want JobsWanted, observed []ObservedJob, now time.Time) JobsPlan {
	var plan JobsPlan
	bySlot := map[Slot][]ObservedJob{}
	for _, j := range observed {
		bySlot[j.Slot] = append(bySlot[j.Slot], j)
	}
	for crew, n := range want.Slots {
		for i := range n {
			slot := Slot{crew.Role, crew.Pool, i}
			if _, ok := bySlot[slot]; !ok {
				bySlot[slot] = nil
			}
		}
	}
	for slot, jobs := range bySlot {
		slices.SortFunc(jobs, func(a, b ObservedJob) int { return cmp.Compare(b.Attempt, a.Attempt) })
		for i, j := range jobs {
			if i > 0 && !j.Deleting {
				plan.Delete = append(plan.Delete, j.Name)
			}
		}
		planSlot(&plan, want, slot, jobs, now)
	}
	slices.Sort(plan.Delete)
	slices.SortFunc(plan.Create, func(a, b NewJob) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Ordinal, b.Ordinal))
	})
	return plan
}

// planSlot decides about one slot; jobs are its Jobs, the newest first.
func planSlot(plan *JobsPlan, want JobsWanted, slot Slot, jobs []ObservedJob, now time.Time) {
	n, work := want.Slots[slot.crew()]
	switch {
	case len(jobs) == 0:
		if slot.Ordinal < n {
			plan.Create = append(plan.Create, NewJob{Slot: slot, Attempt: 1})
		}
	case jobs[0].Deleting:
		// Its name is free again when it is gone, which wakes the manager up.
	case work && slot.Ordinal >= n:
		planRetiring(plan, jobs[0])
	case !work:
		planLeaving(plan, jobs[0], want.Leaving[slot.Role])
	case jobs[0].State != JobRunning:
		planSuccessor(plan, want, jobs[0], now)
	}
}

// planRetiring takes back the slot of a Job that is one too many. The data plane tells it to retire when it asks
// for its next task; one whose pod does not run would never ask.
func planRetiring(plan *JobsPlan, j ObservedJob) {
	if j.State != JobRunning || !j.Ready {
		plan.Delete = append(plan.Delete, j.Name)
	}
}

// planLeaving tidies up after an Event that has ended or rests. A Job that does not leave by itself has a pod
// that never started, a long task, or an agent that cannot reach the data plane.
func planLeaving(plan *JobsPlan, j ObservedJob, leaving time.Duration) {
	switch {
	case leaving < 0:
	case j.State != JobRunning || leaving >= leaveTime:
		plan.Delete = append(plan.Delete, j.Name)
	default:
		plan.again(leaveTime - leaving)
	}
}

func planSuccessor(plan *JobsPlan, want JobsWanted, j ObservedJob, now time.Time) {
	next := NewJob{Slot: j.Slot, Attempt: j.Attempt + 1}
	recycled := want.Recycles && j.Role == RoleWorker && j.State == JobSucceeded
	if j.Finished.Sub(j.Created) < quickFailure && !recycled {
		next.QuickFailures = j.QuickFailures + 1
	}
	if j.State == JobFailed {
		next.Replaces = &j
	}
	if wait := j.Finished.Add(backOff(next.QuickFailures)).Sub(now); wait > 0 {
		plan.again(wait)
		return
	}
	plan.Create = append(plan.Create, next)
	plan.Delete = append(plan.Delete, j.Name)
}

// backOff is the pause before a slot's next Job.
func backOff(quickFailures int32) time.Duration {
	n := quickFailures - quickFailuresForgiven
	if n <= 0 {
		return 0
	}
	return min(maxBackOff, time.Second<<min(n-1, 10))
}

func (p *JobsPlan) again(after time.Duration) {
	if p.After == 0 || after < p.After {
		p.After = after
	}
}
