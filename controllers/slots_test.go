// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const running = -time.Nanosecond

func TestNeededRoles(t *testing.T) {
	busy := api.PoolBacklog{Ready: 1}
	all := needs{ingest: true, work: true, render: true, pools: []string{"gpu"}}
	bounded := bounds{Pools: map[string]poolBounds{"gpu": {1, 2}}}
	for name, tc := range map[string]struct {
		state     api.EventState
		suspended bool
		noClips   bool
		want      needs
	}{
		"no clips": {state: api.EventState{State: api.EventStateStateActive}, noClips: true,
			want: needs{ingest: true, work: true, pools: []string{"gpu"}}},
		"no clips, and a reel": {state: api.EventState{State: api.EventStateStateComplete, SourceEnded: new(true),
			Backlog: api.Backlog{Render: busy}}, noClips: true,
			want: needs{render: true}},
		"pending": {state: api.EventState{State: api.EventStateStatePending}, want: all},
		"active":  {state: api.EventState{State: api.EventStateStateActive}, want: all},
		"suspended": {state: api.EventState{State: api.EventStateStateActive,
			Backlog: api.Backlog{Work: busy}}, suspended: true},
		"source ended": {state: api.EventState{State: api.EventStateStateDraining, SourceEnded: new(true),
			Backlog: api.Backlog{Work: busy}}, want: needs{work: true, render: true}},
		"clips are left": {state: api.EventState{State: api.EventStateStateDraining, SourceEnded: new(true),
			Backlog: api.Backlog{Render: api.PoolBacklog{Leased: 1}}}, want: needs{render: true}},
		"only the export is left": {
			state: api.EventState{State: api.EventStateStateDraining, SourceEnded: new(true)}},
		"complete": {state: api.EventState{State: api.EventStateStateComplete, SourceEnded: new(true)}},
		"a reel for later": {state: api.EventState{State: api.EventStateStateComplete, SourceEnded: new(true),
			Backlog: api.Backlog{Render: busy}}, want: needs{render: true}},
		"a retry after it": {state: api.EventState{State: api.EventStateStateComplete, SourceEnded: new(true),
			Backlog: api.Backlog{Work: busy}}, want: needs{work: true, render: true}},
		"a pool has work left": {state: api.EventState{State: api.EventStateStateDraining, SourceEnded: new(true),
			Backlog: api.Backlog{Pools: map[string]api.PoolBacklog{"gpu": {Blocked: 1}}}},
			want: needs{render: true, pools: []string{"gpu"}}},
		"failed": {state: api.EventState{State: api.EventStateStateFailed, Backlog: api.Backlog{Work: busy}}},
		"failed, with a reel": {state: api.EventState{State: api.EventStateStateFailed, Backlog: api.Backlog{Render: busy}},
			want: needs{render: true}},
		"complete, end unsaid": {state: api.EventState{State: api.EventStateStateComplete}},
	} {
		t.Run(name, func(t *testing.T) {
			b := bounded
			b.NoClips = tc.noClips
			if got := neededRoles(tc.state, tc.suspended, b); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("needs %+v, want %+v", got, tc.want)
			}
		})
	}
	slots := mrev1.SlotsStatus{Workers: 2, Renderers: 3, Pools: []mrev1.PoolSlotsStatus{{Name: "gpu", Workers: 4}}}
	if d := cmp.Diff(map[Crew]int32{{RoleIngest, ""}: 1, {RoleWorker, ""}: 2, {RoleWorker, "gpu"}: 4, {RoleRender, ""}: 3},
		wantedJobs(all, slots)); d != "" {
		t.Errorf("wanted (-want +got):\n%s", d)
	}
	if got := wantedJobs(needs{}, slots); len(got) != 0 {
		t.Errorf("wanted %v for no work", got)
	}
}

// leavingAll is what every role knows of an end.
func leavingAll(since time.Duration) map[Role]time.Duration {
	return map[Role]time.Duration{RoleIngest: since, RoleWorker: since, RoleRender: since}
}

func TestPlanJobs(t *testing.T) {
	worker0, worker1, render0 := Slot{RoleWorker, "", 0}, Slot{RoleWorker, "", 1}, Slot{RoleRender, "", 0}
	gpu0, gpu1 := Slot{RoleWorker, "gpu", 0}, Slot{RoleWorker, "gpu", 1}
	ago := func(d time.Duration) time.Time { return now0.Add(-d) }
	job := func(s Slot, attempt int32, state JobState, change ...func(*ObservedJob)) ObservedJob {
		j := ObservedJob{Slot: s, Name: jobName(makeEvent(), s, attempt), Attempt: attempt,
			State: state, Created: ago(10 * time.Minute)}
		if state != JobRunning {
			j.Finished = ago(time.Second)
		}
		for _, f := range change {
			f(&j)
		}
		return j
	}
	quick := func(failures int32) func(*ObservedJob) {
		return func(j *ObservedJob) { j.Created, j.QuickFailures = ago(5*time.Second), failures }
	}
	deleting := func(j *ObservedJob) { j.Deleting = true }
	ready := func(j *ObservedJob) { j.Ready = true }
	failed := job(worker0, 1, JobFailed)
	third := job(worker0, 3, JobFailed, quick(2))
	for name, tc := range map[string]struct {
		want     map[Crew]int32
		observed []ObservedJob
		ended    time.Duration
		recycles bool
		plan     JobsPlan
	}{
		"from nothing": {
			want: map[Crew]int32{{RoleIngest, ""}: 1, {RoleWorker, ""}: 2}, ended: running,
			plan: JobsPlan{Create: []NewJob{
				{Slot: Slot{RoleIngest, "", 0}, Attempt: 1}, {Slot: worker0, Attempt: 1}, {Slot: worker1, Attempt: 1}}},
		},
		"only the missing slot": {
			want: map[Crew]int32{{RoleWorker, ""}: 2}, ended: running, observed: []ObservedJob{job(worker0, 1, JobRunning)},
			plan: JobsPlan{Create: []NewJob{{Slot: worker1, Attempt: 1}}},
		},
		"a failed one is replaced and removed": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running, observed: []ObservedJob{failed},
			plan: JobsPlan{Create: []NewJob{{Slot: worker0, Attempt: 2, Replaces: &failed}}, Delete: []string{failed.Name}},
		},
		"three quick failures are forgiven": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running, observed: []ObservedJob{third},
			plan: JobsPlan{Create: []NewJob{{Slot: worker0, Attempt: 4, QuickFailures: 3, Replaces: &third}},
				Delete: []string{third.Name}},
		},
		"the sixth waits": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 6, JobFailed, quick(5))},
			plan:     JobsPlan{After: 3 * time.Second},
		},
		"the wait has a bound": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 99, JobFailed, quick(98))},
			plan:     JobsPlan{After: 29 * time.Second},
		},
		"a predecessor left over is removed": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{failed, job(worker0, 2, JobRunning)},
			plan:     JobsPlan{Delete: []string{failed.Name}},
		},
		"a Job that is being deleted is waited for": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 1, JobRunning, deleting)},
		},
		"a finished slot stays": {
			want: map[Crew]int32{{RoleRender, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 1, JobSucceeded), job(render0, 1, JobRunning)},
		},
		"new work after the end": {
			want: map[Crew]int32{{RoleRender, ""}: 1}, ended: time.Hour, observed: []ObservedJob{job(render0, 1, JobSucceeded)},
			plan: JobsPlan{Create: []NewJob{{Slot: render0, Attempt: 2}}, Delete: []string{jobName(makeEvent(), render0, 1)}},
		},
		"finished Jobs of an ended Event go": {
			ended: 0, observed: []ObservedJob{job(worker0, 1, JobSucceeded), job(render0, 2, JobFailed)},
			plan: JobsPlan{Delete: []string{jobName(makeEvent(), render0, 2), jobName(makeEvent(), worker0, 1)}},
		},
		"one too many that has retired goes": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 1, JobRunning), job(worker1, 1, JobSucceeded)},
			plan:     JobsPlan{Delete: []string{jobName(makeEvent(), worker1, 1)}},
		},
		"one too many that works is told by the data plane": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 1, JobRunning), job(worker1, 1, JobRunning, ready)},
		},
		"one too many that has not started goes": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 1, JobRunning), job(worker1, 1, JobRunning)},
			plan:     JobsPlan{Delete: []string{jobName(makeEvent(), worker1, 1)}},
		},
		"none may work now": {
			want: map[Crew]int32{{RoleWorker, ""}: 0}, ended: running, observed: []ObservedJob{job(worker0, 1, JobFailed)},
			plan: JobsPlan{Delete: []string{jobName(makeEvent(), worker0, 1)}},
		},
		"a recycled worker has a successor at once, every time": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running, recycles: true,
			observed: []ObservedJob{job(worker0, 40, JobSucceeded, quick(0))},
			plan: JobsPlan{Create: []NewJob{{Slot: worker0, Attempt: 41}},
				Delete: []string{jobName(makeEvent(), worker0, 40)}},
		},
		"one that ends for nothing is held back": {
			want: map[Crew]int32{{RoleWorker, ""}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 6, JobSucceeded, quick(5))},
			plan:     JobsPlan{After: 3 * time.Second},
		},
		"pools are crews of their own": {
			want: map[Crew]int32{{RoleWorker, ""}: 1, {RoleWorker, "gpu"}: 1}, ended: running,
			observed: []ObservedJob{job(worker0, 1, JobRunning), job(gpu0, 1, JobRunning), job(gpu1, 1, JobRunning)},
			plan:     JobsPlan{Delete: []string{jobName(makeEvent(), gpu1, 1)}},
		},
		"a pool from nothing": {
			want: map[Crew]int32{{RoleWorker, ""}: 1, {RoleWorker, "gpu"}: 2}, ended: running,
			observed: []ObservedJob{job(worker0, 1, JobRunning)},
			plan:     JobsPlan{Create: []NewJob{{Slot: gpu0, Attempt: 1}, {Slot: gpu1, Attempt: 1}}},
		},
		"a recycled worker of a pool": {
			want: map[Crew]int32{{RoleWorker, "gpu"}: 1}, ended: running, recycles: true,
			observed: []ObservedJob{job(gpu0, 40, JobSucceeded, quick(0))},
			plan:     JobsPlan{Create: []NewJob{{Slot: gpu0, Attempt: 41}}, Delete: []string{jobName(makeEvent(), gpu0, 40)}},
		},
		"a pool leaves with the end": {
			ended: time.Minute, observed: []ObservedJob{job(gpu0, 1, JobRunning)},
			plan: JobsPlan{Delete: []string{jobName(makeEvent(), gpu0, 1)}},
		},
		"running ones have a minute": {
			ended: 20 * time.Second, observed: []ObservedJob{job(worker0, 1, JobRunning)},
			plan: JobsPlan{After: 40 * time.Second},
		},
		"and no more": {
			ended: time.Minute, observed: []ObservedJob{job(worker0, 1, JobRunning)},
			plan: JobsPlan{Delete: []string{jobName(makeEvent(), worker0, 1)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.plan, planJobs(JobsWanted{Slots: tc.want, Recycles: tc.recycles, Leaving: leavingAll(tc.ended)},
				tc.observed, now0)); d != "" {
				t.Errorf("plan (-want +got):\n%s", d)
			}
		})
	}
}

// Two managers that see the same Jobs decide the same, and acting twice on one picture makes no second Job.
func TestPlanJobsIsDeterministic(t *testing.T) {
	want := JobsWanted{Slots: map[Crew]int32{{RoleIngest, ""}: 1, {RoleWorker, ""}: 8, {RoleWorker, "gpu"}: 4,
		{RoleWorker, "npu"}: 4, {RoleRender, ""}: 8}, Leaving: leavingAll(running)}
	first := planJobs(want, nil, now0)
	for range 20 {
		if d := cmp.Diff(first, planJobs(want, nil, now0)); d != "" {
			t.Fatalf("two plans differ:\n%s", d)
		}
	}
	names := map[string]bool{}
	for _, j := range first.Create {
		names[jobName(makeEvent(), j.Slot, j.Attempt)] = true
	}
	if len(names) != 25 {
		t.Errorf("%d names for 25 Jobs", len(names))
	}
}

func TestJobName(t *testing.T) {
	e := makeEvent(func(e *mrev1.Event) { e.Name = strings.Repeat("a", 40) })
	name := jobName(e, Slot{RoleWorker, "", 63}, 99999)
	if problems := validation.IsDNS1123Label(name); problems != nil {
		t.Errorf("%s (%d characters): %v", name, len(name), problems)
	}
	for _, pool := range []string{"gpu", strings.Repeat("p", 32), "worker", "gpu-1"} {
		name := jobName(e, Slot{RoleWorker, pool, 63}, 99999)
		if problems := validation.IsDNS1123Label(name); problems != nil {
			t.Errorf("%s (%d characters): %v", name, len(name), problems)
		}
		if !strings.HasPrefix(name, "aaaaaaaaaaaaaa") || !strings.Contains(name, "-"+pool+"-63-99999") {
			t.Errorf("%s does not tell the Event, the pool and the slot", name)
		}
		if name == jobName(e, Slot{RoleWorker, "", 63}, 99999) ||
			jobName(e, Slot{RoleWorker, "gpu", 11}, 1) == jobName(e, Slot{RoleWorker, "gpu-1", 1}, 1) {
			t.Errorf("%s: two slots share a Job name", name)
		}
	}
	other := makeEvent(func(e *mrev1.Event) { e.UID = "another" })
	if jobName(makeEvent(), Slot{RoleWorker, "", 0}, 1) == jobName(other, Slot{RoleWorker, "", 0}, 1) {
		t.Error("two Events of one name share a Job name")
	}
}

func TestObserveJob(t *testing.T) {
	built := buildJob(makeEvent(), NewJob{Slot: Slot{RoleRender, "", 2}, Attempt: 5, QuickFailures: 3},
		podNeeds{}, DefaultOptions())
	condition := func(kind batchv1.JobConditionType) func(*batchv1.Job) {
		return func(j *batchv1.Job) {
			j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{
				Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now0)})
		}
	}
	for name, tc := range map[string]struct {
		change   func(*batchv1.Job)
		state    JobState
		finished time.Time
	}{
		"running":        {func(*batchv1.Job) {}, JobRunning, time.Time{}},
		"complete":       {condition(batchv1.JobComplete), JobSucceeded, now0},
		"failed":         {condition(batchv1.JobFailed), JobFailed, now0},
		"about to fail":  {condition(batchv1.JobFailureTarget), JobFailed, now0},
		"suspended only": {condition(batchv1.JobSuspended), JobRunning, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			job := built.DeepCopy()
			tc.change(job)
			got, ok := observeJob(job)
			if !ok {
				t.Fatal("not recognised")
			}
			want := ObservedJob{Slot: Slot{RoleRender, "", 2}, Name: job.Name, Attempt: 5,
				QuickFailures: 3, State: tc.state, Finished: tc.finished}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("observed (-want +got):\n%s", d)
			}
		})
	}
	pooled, ok := observeJob(buildJob(makeEvent(),
		NewJob{Slot: Slot{RoleWorker, "gpu", 1}, Attempt: 2}, podNeeds{}, DefaultOptions()))
	if want := (Slot{RoleWorker, "gpu", 1}); !ok || pooled.Slot != want {
		t.Errorf("observed %+v, want %+v", pooled.Slot, want)
	}
	if _, ok := observeJob(&batchv1.Job{}); ok {
		t.Error("a foreign Job was recognised")
	}
}

func TestCheckStarts(t *testing.T) {
	job := ObservedJob{Slot: Slot{RoleWorker, "", 0}, Name: "w", Created: now0.Add(-6 * time.Minute)}
	pod := func(change func(*corev1.Pod)) []corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"batch.kubernetes.io/job-name": "w"}},
			Status: corev1.PodStatus{Phase: corev1.PodPending}}
		change(&p)
		return []corev1.Pod{p}
	}
	for name, tc := range map[string]struct {
		job  ObservedJob
		pods []corev1.Pod
		want wantFinding
	}{
		"young":  {job: ObservedJob{Name: "w", Created: now0.Add(-time.Minute)}},
		"runs":   {job: job, pods: pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning })},
		"no pod": {job: job, want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait, []string{"Job w has no pod"}}},
		"unknown": {job: job, pods: pod(func(*corev1.Pod) {}),
			want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait, []string{"no reason given"}}},
		"image": {job: job, pods: pod(func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}}}
		}), want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait, []string{"5m0s", "ImagePullBackOff: no such image"}}},
		"a plugin's image": {job: job, pods: pod(func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "install", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
				{Name: "agent", Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
				{Name: "plugin-crowd", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull",
					Message: "not found"}}},
				{Name: "plugin-late",
					State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}},
			}
		}), want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait,
			[]string{"Plugin crowd, image registry.example.com/crowd:v1: ErrImagePull: not found"}}},
		"an agent that dies": {job: job, pods: pod(func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "agent", Started: new(false),
					State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
						Message: "back-off 10s"}},
					LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1,
						Message: "no such flag\n"}}},
				{Name: "plugin-crowd",
					State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}},
			}
		}), want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait,
			[]string{"container agent: CrashLoopBackOff: back-off 10s; it said last: no such flag"}}},
		"an agent that is not ready": {job: job, pods: pod(func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "agent", Started: new(false), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
				{Name: "plugin-crowd",
					State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}},
			}
		}), want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait, []string{"the agent runs and is not ready"}}},
		"a volume": {job: job, pods: pod(func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{
				{Name: "install", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}}
		}), want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait, []string{"PodInitializing"}}},
		"no room": {job: job, pods: pod(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: "Unschedulable", Message: "0/1 nodes"}}
		}), want: wantFinding{mrev1.ReasonStartDeadlineExceeded, Wait, []string{"Unschedulable: 0/1 nodes"}}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.check(t, checkStarts([]ObservedJob{tc.job}, tc.pods,
				map[string]string{"plugin-crowd": "registry.example.com/crowd:v1"}, 5*time.Minute, now0))
		})
	}
}
