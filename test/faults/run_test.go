// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

const (
	// maxSteps and maxTime bound a run; the undisturbed one takes a tenth.
	maxSteps = 3000
	maxTime  = 3 * time.Hour
	// stepTime is how much time a step takes.
	stepTime = 10 * time.Millisecond
)

// run is one life of an Event.
type run struct {
	t      testing.TB
	ctx    context.Context
	at     point
	inject *injector
	random *rand.Rand
	clock  *testclock.FakePassiveClock
	began  time.Time

	database, url string
	bucket        *objects.Bucket
	network       *http.Transport
	plane         *dataPlane
	manager       *manager
	// side reads the rows past the data plane.
	side *sql.DB
	// version moves with each commit of the store.
	version atomic.Int64

	namespace, eventUID, replayUID string
	objects                        []item
	pods                           []*pod
	jobsMoved                      bool
	// moving is the pod whose step it is.
	moving *proc

	// late are calls under way.
	late []delivery

	// applied counts the manager's writes to the cluster.
	applied    int
	writes     []written
	told       []string
	lastErrors []string
	violations []string
	steps      int
	// story is what came of the Event.
	story []string
}

// delivery is a call that arrives late; without a time, after the Event's deletion.
type delivery struct {
	at   time.Time
	call func()
}

// delay keeps a call back: shorter than a lease, about as long, longer, or until all is over.
func (r *run) delay(call func()) {
	d := delivery{call: call}
	if n := r.at.k % 4; n < 3 {
		d.at = r.now().Add([]time.Duration{lease / 2, lease + time.Second, 2 * lease}[n])
	}
	r.late = append(r.late, d)
}

// underWay says that a call is still to arrive before the Event's deletion.
func (r *run) underWay() bool {
	return slices.ContainsFunc(r.late, func(d delivery) bool { return !d.at.IsZero() })
}

// deliverRest brings what is late to a world that has gone on.
func (r *run) deliverRest() bool {
	for _, d := range r.late {
		d.call()
	}
	r.late = nil
	return true
}

// networkActor brings late calls.
type networkActor struct{ run *run }

func (a networkActor) name() string { return "network" }

func (a networkActor) due() (time.Time, bool) {
	for _, d := range a.run.late {
		if !d.at.IsZero() {
			return d.at, true
		}
	}
	return time.Time{}, false
}

func (a networkActor) step() {
	i := slices.IndexFunc(a.run.late, func(d delivery) bool { return !d.at.IsZero() })
	d := a.run.late[i]
	a.run.late = slices.Delete(a.run.late, i, i+1)
	d.call()
}

// nap is how long an actor has nothing to do.
type nap struct {
	at   time.Time
	news bool
	seen int64
}

func (n *nap) see(r *run)             { n.seen = r.version.Load() }
func (n *nap) until(at time.Time)     { n.at, n.news = at, false }
func (n *nap) untilNews(at time.Time) { n.at, n.news = at, true }

func (n *nap) due(r *run) (time.Time, bool) {
	if n.news && n.seen != r.version.Load() {
		return r.now(), true
	}
	return n.at, true
}

type actor interface {
	name() string
	due() (time.Time, bool)
	step()
}

func (r *run) now() time.Time { return r.clock.Now() }

func (r *run) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", r.at, err)
	}
}

func (r *run) violate(format string, args ...any) {
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

func newRun(t testing.TB, at point) *run {
	t.Helper()
	r := &run{t: t, ctx: context.Background(), at: at,
		inject: &injector{at: at}, random: rand.New(rand.NewPCG(at.seed, 1))}
	// The API server's clock and the object store's are not ours; ours is never behind them.
	r.began = time.Now().Truncate(time.Second).Add(2 * time.Second)
	r.clock = testclock.NewFakePassiveClock(r.began)
	r.inject.later, r.inject.step = r.delay, func() int { return r.steps }
	r.network = &http.Transport{MaxIdleConnsPerHost: 8}
	r.database = newDatabase(t)
	r.side = openSide(t, r.database)
	return r
}

// life runs an Event from its manifests to its end and away again.
func (r *run) life() {
	r.t.Helper()
	store, err := url.Parse(storetest.Endpoint)
	r.must(err)
	gate := httptest.NewServer(&s3Gate{run: r, target: store})
	defer gate.Close()
	r.plane = &dataPlane{proc: newProc(r.ctx, "nobody")}
	r.bucket, err = objects.Open(r.ctx,
		objects.Config{Bucket: fmt.Sprintf("run-%d-%d", time.Now().UnixNano(), buckets.Add(1)),
			Endpoint: gate.URL, Region: "us-east-1", PathStyle: true})
	r.must(err)
	r.must(r.bucket.EnsureBucket(r.ctx))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	front := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = front.Serve(listener) }()
	defer front.Close()
	defer r.network.CloseIdleConnections()
	r.url = "http://" + listener.Addr().String()

	r.apply(r.ctx)
	r.startPlane()
	defer func() { _ = r.plane.rows.Close() }()
	r.startManager()
	r.inject.listen(true)
	phases := []phase{{"process", r.process}, {"check", r.check}, {"sweep", r.sweepUp}, {"check again", r.checkSwept}}
	if r.at.policy == policyEarly {
		phases = []phase{{"begin", r.begin}}
	}
	phases = append(phases, phase{"delete", r.remove}, phase{"deliver the rest", r.deliverRest},
		phase{"sweep again", r.sweepUp}, phase{"check the end", r.checkGone})
	for _, phase := range phases {
		if !phase.do() {
			r.violate("the run ended in phase %q", phase.name)
			return
		}
	}
}

type phase struct {
	name string
	do   func() bool
}

// begin takes the Event some way.
func (r *run) begin() bool {
	return r.until(func() bool { return r.steps >= r.at.steps() })
}

// buckets counts what has to have a name of its own.
var buckets atomic.Int64

// until lets everybody move until done says so.
func (r *run) until(done func() bool) bool {
	r.t.Helper()
	plane, boss := &planeActor{run: r}, &managerActor{run: r}
	limit := r.now().Add(maxTime)
	for count := 0; ; count++ {
		if r.jobsMoved {
			r.playJobs()
		}
		if done() {
			return true
		}
		if count > maxSteps || r.now().After(limit) {
			r.violate("not done after %d steps and %s: %s", count, r.now().Sub(r.began), r.standing())
			return false
		}
		actors := []actor{plane, boss, networkActor{r}}
		for _, p := range r.pods {
			actors = append(actors, p)
		}
		var ready []actor
		var first time.Time
		for _, a := range actors {
			at, ok := a.due()
			if !ok {
				continue
			}
			if !at.After(r.now()) {
				ready = append(ready, a)
			}
			if first.IsZero() || at.Before(first) {
				first = at
			}
		}
		if len(ready) == 0 {
			r.clock.SetTime(first)
			continue
		}
		r.steps++
		ready[r.random.IntN(len(ready))].step()
		r.clock.SetTime(r.now().Add(stepTime))
	}
}

// standing says where a run is that does not end.
func (r *run) standing() string {
	var e mrev1.Event
	err := cluster.admin.Get(r.ctx, client.ObjectKey{Namespace: r.namespace, Name: eventName}, &e)
	text := fmt.Sprintf("queue %v, pods %d, Event %v %v", r.manager.queue, len(r.pods), err, summary(e.Status.Conditions))
	for _, p := range r.pods {
		text += " " + p.name()
	}
	if n := len(r.lastErrors); n > 0 {
		text += "; last error: " + r.lastErrors[n-1]
	}
	return text
}

func summary(list []metav1.Condition) []string {
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s=%s:%s", c.Type, c.Status, c.Reason))
	}
	return out
}

// process runs the Event to its end, and on until all is at rest.
func (r *run) process() bool {
	return r.until(func() bool {
		return r.manager.quiet() && len(r.pods) == 0 && !r.plane.proc.dead.Load() && !r.underWay() && r.planeAtRest()
	})
}

// planeAtRest says that no task is open.
func (r *run) planeAtRest() bool {
	return r.count(`SELECT COUNT(*) FROM tasks WHERE state IN ('blocked', 'ready', 'leased')`) == 0
}

// remove deletes the Event and its Replay, in an order that differs from run to run.
func (r *run) remove() bool {
	names := []item{{"Event", eventName}, {"Replay", replayName}}
	if r.random.IntN(2) == 0 {
		names[0], names[1] = names[1], names[0]
	}
	together := r.random.IntN(2) == 0
	for n, i := range names {
		r.must(cluster.admin.Delete(r.ctx, r.object(i)))
		r.manager.enqueue(i, r.now())
		if i.kind == "Event" {
			r.woke("Event")
		}
		if together && n == 0 {
			continue
		}
		if !r.until(r.gone(names[:n+1])) {
			return false
		}
	}
	return r.until(func() bool { return r.manager.quiet() && len(r.pods) == 0 && !r.plane.proc.dead.Load() })
}

// gone says whether objects are no more. It looks again when the manager has written something: nobody else does.
func (r *run) gone(names []item) func() bool {
	seen := -1
	return func() bool {
		if seen == r.applied {
			return false
		}
		seen = r.applied
		return !slices.ContainsFunc(names, func(i item) bool {
			return !apierrors.IsNotFound(cluster.admin.Get(r.ctx,
				client.ObjectKey{Namespace: r.namespace, Name: i.name}, r.object(i)))
		})
	}
}

func (r *run) object(i item) client.Object {
	meta := metav1.ObjectMeta{Namespace: r.namespace, Name: i.name}
	if i.kind == "Event" {
		return &mrev1.Event{ObjectMeta: meta}
	}
	return &mrev1.Replay{ObjectMeta: meta}
}

// sweepUp lets so much time pass that every object is old and every signed URL has expired, and looks at the bucket
// as often as it takes.
func (r *run) sweepUp() bool {
	r.clock.SetTime(r.now().Add(2 * sweepAge))
	for range 4 {
		if r.plane.proc.dead.Load() {
			_ = r.plane.rows.Close()
			r.startPlane()
			r.clock.SetTime(r.now().Add(2 * sweepAge))
		}
		if err := r.plane.sweeper.Pass(r.plane.proc.ctx); err == nil && !r.plane.proc.dead.Load() {
			return true
		}
	}
	r.violate("the bucket cannot be swept")
	return false
}

// playJobs is the Job controller: a Job has a pod, a pod that ends ends its Job, and a Job that goes takes its pod
// with it.
func (r *run) playJobs() {
	r.jobsMoved = false
	var list batchv1.JobList
	r.must(cluster.admin.List(r.ctx, &list, client.InNamespace(r.namespace)))
	there := map[string]bool{}
	for i := range list.Items {
		job := &list.Items[i]
		there[job.Name] = true
		if job.Status.StartTime != nil {
			continue
		}
		at := metav1.NewTime(r.now())
		job.Status.StartTime, job.Status.Active, job.Status.Ready = &at, 1, new(int32(1))
		r.must(cluster.admin.Status().Update(r.ctx, job))
		ordinal := int32(0)
		_, err := fmt.Sscan(job.Labels[mrev1.LabelOrdinal], &ordinal)
		r.must(err)
		r.pods = append(r.pods, r.newPod(job, ordinal))
	}
	left := r.pods[:0]
	for _, p := range r.pods {
		if there[p.job] {
			left = append(left, p)
		} else {
			p.proc.die()
		}
	}
	r.pods = left
	r.manager.enqueue(item{"Event", eventName}, r.now())
}

// ended ends the Job of a pod.
func (r *run) ended(p *pod) {
	for i := range r.pods {
		if r.pods[i] == p {
			r.pods = append(r.pods[:i:i], r.pods[i+1:]...)
			break
		}
	}
	var job batchv1.Job
	err := cluster.admin.Get(r.ctx, client.ObjectKey{Namespace: r.namespace, Name: p.job}, &job)
	if apierrors.IsNotFound(err) {
		return
	}
	r.must(err)
	at := metav1.NewTime(r.now())
	kinds := []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
	if p.failed {
		kinds = []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
		job.Status.Failed = 1
	} else {
		job.Status.Succeeded, job.Status.CompletionTime = 1, &at
	}
	job.Status.Active, job.Status.Ready = 0, nil
	for _, kind := range kinds {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue,
			Reason: "PodEnded", LastTransitionTime: at, LastProbeTime: at})
	}
	r.must(cluster.admin.Status().Update(r.ctx, &job))
	r.jobsMoved = true
}
