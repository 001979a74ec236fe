// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mre-operator/mre-operator/controllers"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	dataplane "github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// feedPause is how long the manager gathers the changes of one object.
const feedPause = 500 * time.Millisecond

// item is an object in the manager's queue.
type item struct{ kind, name string }

type reconciler interface {
	Reconcile(context.Context, ctrl.Request) (ctrl.Result, error)
}

// manager is one process of the manager: its reconcilers, its queue, its place in the feed.
type manager struct {
	run         *run
	proc        *proc
	data        *dataplane.Client
	reconcilers map[string]reconciler
	queue       map[item]time.Time
	after       int64
	broken      bool
	feedDue     time.Time
	feedSeen    int64
}

// startManager makes a process that knows nothing yet: its informers bring every object.
func (r *run) startManager() {
	r.t.Helper()
	m := &manager{run: r, proc: newProc(r.ctx, "manager"), queue: map[item]time.Time{}, feedSeen: -1}
	m.data = r.dial(m.proc, authtest.Token("mre-system", "mre-manager"))
	c, err := client.New(cluster.config,
		client.Options{Scheme: cluster.scheme, Mapper: cluster.mapper, HTTPClient: &http.Client{
			Transport: &faultyTransport{next: cluster.http.Transport, layer: layerAPI,
				inject: r.inject, proc: m.proc, answered: r.sawAPI}}})
	r.must(err)
	o := controllers.DefaultOptions()
	o.AgentImage, o.DataPlaneURL = "registry.example.com/mre:test", "http://mre-dataplane:8080"
	o.Resources, err = controllers.AgentResources("250m", "256Mi", "2Gi")
	r.must(err)
	m.reconcilers = map[string]reconciler{
		"Plugin":  &controllers.PluginReconciler{Client: c, Recorder: r, Clock: r.clock},
		"Profile": &controllers.ProfileReconciler{Client: c, Recorder: r, Clock: r.clock},
		"Event": &controllers.EventReconciler{Client: c, Live: c,
			DataPlane: m.data, Recorder: r, Clock: r.clock, Options: o},
		"Replay": &controllers.ReplayReconciler{Client: c, DataPlane: m.data, Recorder: r, Clock: r.clock, Options: o},
	}
	for _, i := range r.objects {
		m.queue[i] = r.now()
	}
	r.manager = m
}

func (m *manager) enqueue(i item, at time.Time) {
	if due, ok := m.queue[i]; !ok || at.Before(due) {
		m.queue[i] = at
	}
}

// Eventf notes what the manager tells people.
func (r *run) Eventf(regarding, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	o, err := apimeta.Accessor(regarding)
	if err != nil {
		return
	}
	r.told = append(r.told, o.GetName()+" "+reason)
}

// woke plays the watches: a status that was written wakes those who wait for it.
func (r *run) woke(kind string) {
	wakes := map[string][]string{"Plugin": {"Profile"}, "Profile": {"Event"}, "Event": {"Replay"}}[kind]
	for _, i := range r.objects {
		if slices.Contains(wakes, i.kind) {
			r.manager.enqueue(i, r.now())
		}
	}
}

// managerActor is the manager, whichever process it is.
type managerActor struct {
	run *run
	nap nap
}

func (a *managerActor) name() string { return "manager" }

func (a *managerActor) due() (time.Time, bool) {
	m := a.run.manager
	if m.proc.dead.Load() {
		return a.nap.due(a.run)
	}
	due := m.feedDue
	if m.feedSeen != a.run.version.Load() && !m.broken {
		due = a.run.now()
	}
	for _, at := range m.queue {
		if at.Before(due) {
			due = at
		}
	}
	return due, true
}

func (a *managerActor) step() {
	r := a.run
	m := r.manager
	if m.proc.dead.Load() {
		r.startManager()
		return
	}
	a.nap.until(r.now().Add(2 * time.Second)) // how long another process takes, should this one die now
	now := r.now()
	feed := !m.feedDue.After(now) || (m.feedSeen != r.version.Load() && !m.broken)
	next, ready := m.next(now)
	if feed && (!ready || r.random.IntN(2) == 0) {
		m.listen()
		return
	}
	if ready {
		m.reconcile(next)
	}
}

func (m *manager) next(now time.Time) (item, bool) {
	var ready []item
	for i, at := range m.queue {
		if !at.After(now) {
			ready = append(ready, i)
		}
	}
	if len(ready) == 0 {
		return item{}, false
	}
	slices.SortFunc(ready, func(a, b item) int {
		return cmp.Or(m.queue[a].Compare(m.queue[b]), cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
	})
	return ready[m.run.random.IntN(len(ready))], true
}

func (m *manager) reconcile(i item) {
	r := m.run
	delete(m.queue, i)
	result, err := m.reconcilers[i.kind].Reconcile(m.proc.ctx,
		ctrl.Request{NamespacedName: types.NamespacedName{Namespace: r.namespace, Name: i.name}})
	switch {
	case m.proc.dead.Load():
	case err != nil:
		r.lastErrors = append(r.lastErrors, err.Error())
		m.enqueue(i, r.now().Add(time.Second))
	case result.RequeueAfter > 0:
		m.enqueue(i, r.now().Add(result.RequeueAfter))
	}
}

// listen follows the change feed, one call at a time.
func (m *manager) listen() {
	r := m.run
	version := r.version.Load()
	list, err := m.data.Changes(m.proc.ctx, m.after, 0)
	if err != nil {
		m.broken, m.feedDue = true, r.now().Add(2*time.Second)
		return
	}
	if m.broken || list.Next < m.after {
		for _, i := range r.objects {
			if i.kind == "Event" || i.kind == "Replay" {
				m.enqueue(i, r.now().Add(feedPause))
			}
		}
	}
	m.broken, m.after, m.feedSeen, m.feedDue = false, list.Next, version, r.now().Add(25*time.Second)
	for _, c := range list.Changes {
		kind := "Event"
		if c.Kind == api.ChangeKindReplay {
			kind = "Replay"
		}
		m.enqueue(item{kind, c.Name}, r.now().Add(feedPause))
	}
}

// quiet says that nothing is to be done any more.
func (m *manager) quiet() bool {
	return len(m.queue) == 0 && !m.broken && m.feedSeen == m.run.version.Load() && !m.proc.dead.Load()
}
