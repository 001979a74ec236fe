// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/store/pgtest"
)

// replicas are stores on the harness's database: as many as the engine allows.
func (h *harness) replicas(n int) []*Store {
	h.t.Helper()
	out := []*Store{h.s}
	for len(out) < n {
		if backend == sqliteDialect.name {
			out = append(out, h.s)
			continue
		}
		s, err := Open(h.ctx, h.path, h.options())
		h.must(err)
		h.t.Cleanup(func() { _ = s.Close() })
		out = append(out, s)
	}
	return out
}

// TestFeedMissesNothing has writers of many Events and readers of the feed at
// work at once. A reader that asks again after each answer must see every
// Event at the version that its last writer committed, or a later one, and
// each object at most once in an answer.
func TestFeedMissesNothing(t *testing.T) {
	h := newHarness(t)
	stores := h.replicas(3)
	const events, units = 6, 12
	var working sync.WaitGroup
	var done atomic.Bool
	var committed sync.Map // uid to version
	for n := range events {
		uid := fmt.Sprintf("event-%d", n)
		s := stores[n%len(stores)]
		working.Go(func() {
			p := testPlan(uid)
			if _, err := s.PutPlan(h.ctx, uid, p); err != nil {
				t.Error(err)
				return
			}
			own := &harness{t: t, ctx: h.ctx, s: s, clock: h.clock, uid: uid}
			if err := s.PutTimeline(h.ctx, uid, testTimeline()); err != nil {
				t.Error(err)
				return
			}
			for i := range int64(units) {
				if err := s.RegisterUnit(h.ctx, uid, own.nthUnit(i)); err != nil {
					t.Error(err)
				}
				e, err := s.Event(h.ctx, uid)
				if err != nil {
					t.Error(err)
				}
				committed.Store(uid, e.Version)
			}
		})
	}
	var reading sync.WaitGroup
	seen := make([]map[string]int64, len(stores))
	for i, s := range stores {
		seen[i] = map[string]int64{}
		reading.Go(func() {
			var after int64
			for last := false; ; {
				limit := 1 + rand.IntN(10)
				list, next, err := s.Changes(h.ctx, after, limit)
				if err != nil {
					t.Error(err)
					return
				}
				once := map[string]bool{}
				for j, c := range list {
					if once[c.UID] || (j > 0 && c.Seq <= list[j-1].Seq) || c.Seq <= after {
						t.Errorf("after %d: %+v", after, list)
					}
					once[c.UID] = true
					e, err := s.Event(h.ctx, c.UID)
					if err != nil {
						t.Error(err)
						return
					}
					seen[i][c.UID] = e.Version
				}
				after = next
				if len(list) == 0 {
					if last {
						return
					}
					last = done.Load() // one more look after the last commit
				}
			}
		})
	}
	working.Wait()
	done.Store(true)
	reading.Wait()
	committed.Range(func(uid, version any) bool {
		for i := range seen {
			if got := seen[i][uid.(string)]; got < version.(int64) {
				t.Errorf("reader %d last saw %s at version %d, want %d", i, uid, got, version)
			}
		}
		return true
	})
	if got := h.rows("changed"); len(got) != 0 {
		t.Errorf("left in the queue: %v", got)
	}
}

// TestReplicasShareAnEvent has workers at several replicas work at the same
// Events. Each task is done once, and the story is that of one worker.
func TestReplicasShareAnEvent(t *testing.T) {
	m := match{moments: []int64{1, 8, 9, 16}}
	one := newHarness(t)
	one.start()
	one.ingest(9)
	one.drain(m)
	want := strings.Join(one.story(), "\n")

	h := newHarness(t)
	stores := h.replicas(3)
	h.start()
	h.ingest(9)
	ctx, cancel := context.WithTimeout(h.ctx, 2*time.Minute)
	defer cancel()
	var working sync.WaitGroup
	var ids sync.Map
	for i, s := range stores {
		for _, pool := range []api.Pool{api.PoolWork, api.PoolRender, api.PoolWork} {
			working.Go(func() {
				w := &harness{t: t, ctx: ctx, s: s, clock: h.clock, uid: h.uid}
				for ctx.Err() == nil {
					if x, err := s.LeaseExport(ctx); err != nil {
						t.Error(err)
					} else if x != nil {
						if err := s.CompleteExport(ctx, *x, "json", nil); err != nil {
							t.Error(err)
						}
					}
					r, err := s.Lease(ctx, h.uid, api.LeaseRequest{Pool: pool, Holder: fmt.Sprintf("pod-%d", i)})
					if err != nil {
						t.Error(err)
						return
					}
					switch r.Outcome {
					case api.LeaseResponseOutcomeDone:
						if e, err := s.Event(ctx, h.uid); err != nil || e.State == api.EventStateStateComplete {
							return
						}
					case api.LeaseResponseOutcomeTask:
						if _, twice := ids.LoadOrStore(r.Lease.TaskID, true); twice {
							t.Errorf("task %d was handed out twice", r.Lease.TaskID)
						}
						if err := w.completeTask(r.Lease.TaskID, m.work(r.Lease)); err != nil {
							t.Error(err)
						}
						continue
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
	}
	working.Wait()
	if got := strings.Join(h.story(), "\n"); got != want {
		t.Errorf("together:\n%s\nalone:\n%s", got, want)
	}
	if e := h.event(); e.State != api.EventStateStateComplete {
		t.Errorf("%+v", e)
	}
}

func TestOutageDoesNotCount(t *testing.T) {
	h := newHarness(t)
	h.start(func(p *api.Plan) { p.DrainTimeoutSeconds = 60 })
	h.ingest(3)
	l := h.lease(api.PoolWork)
	_, err := h.s.Housekeep(h.ctx)
	h.must(err)
	h.must(h.s.Close())
	h.clock.Step(time.Hour)
	h.open()
	_, err = h.s.Housekeep(h.ctx)
	h.must(err)
	if e := h.event(); e.State != api.EventStateStateDraining {
		t.Fatalf("after an outage: %s, %v", e.State, e.Message)
	}
	if got := h.task(l.TaskID); got.State != api.TaskStateLeased {
		t.Fatalf("after an outage: %+v", got)
	}
	h.must(h.s.Heartbeat(h.ctx, h.uid, l.TaskID, l.Token))
	h.clock.Step(61 * time.Second)
	_, err = h.s.Housekeep(h.ctx)
	h.must(err)
	if e := h.event(); e.State != api.EventStateStateFailed {
		t.Fatalf("after its time: %s", e.State)
	}
}

func TestARestartBesideOthersChangesNothing(t *testing.T) {
	h := newHarness(t)
	h.start(func(p *api.Plan) { p.DrainTimeoutSeconds = 60 })
	h.ingest(3)
	for range 70 { // another replica is alive all the time
		h.clock.Step(time.Second)
		_, err := h.s.Housekeep(h.ctx)
		h.must(err)
		if e := h.event(); e.State == api.EventStateStateFailed {
			return
		}
		h.reopen()
	}
	t.Fatal("restarts have kept the drain from timing out")
}

func TestADamagedEventDoesNotStopTheOthers(t *testing.T) {
	h := newHarness(t)
	bad := testPlan("00000000-bad")
	_, err := h.s.PutPlan(h.ctx, bad.Event.UID, bad)
	h.must(err)
	for _, uid := range []string{bad.Event.UID, h.uid} {
		_, err := h.s.PutPlan(h.ctx, uid, testPlan(uid))
		h.must(err)
		own := &harness{t: t, ctx: h.ctx, s: h.s, clock: h.clock, uid: uid}
		own.start()
		own.ingest(3)
		for _, pool := range []api.Pool{api.PoolWork, api.PoolRender} {
			for l := own.lease(pool); l != nil; l = own.lease(pool) {
				h.must(own.completeTask(l.TaskID, match{}.work(l)))
			}
		}
	}
	_, err = h.s.writer.Exec(`UPDATE plans SET plan = '{' WHERE event_uid = $1`, bad.Event.UID)
	h.must(err)
	h.reopen()
	x, err := h.s.LeaseExport(h.ctx)
	if err != nil || x == nil || x.EventUID != h.uid {
		t.Fatalf("the export behind the damaged one: %+v, %v", x, err)
	}
	h.clock.Step(700 * time.Second)
	_, err = h.s.Housekeep(h.ctx)
	if err == nil || !strings.Contains(err.Error(), bad.Event.UID) || !strings.Contains(err.Error(), "damaged") {
		t.Fatalf("the damaged Event is not named: %v", err)
	}
	if e := h.event(); e.State != api.EventStateStateFailed {
		t.Fatalf("the Event behind the damaged one is %s", e.State)
	}
}

func TestWritesThatPanicOrGo(t *testing.T) {
	h := newHarness(t)
	h.start()
	broken := func(*eventTx) error { panic("a bug") }
	if err := h.s.onEvent(h.ctx, h.uid, func(e *eventTx) error {
		if err := e.changed(api.ChangeKindReplay, "ghost", "x", "y"); err != nil {
			return err
		}
		return broken(e)
	}); err == nil || !strings.Contains(err.Error(), "a bug") {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(h.ctx)
	cancel()
	if err := h.s.RegisterUnit(gone, h.uid, h.nthUnit(0)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if list, _, err := h.s.Changes(h.ctx, 0, 10); err != nil || len(list) != 1 {
		t.Fatalf("the panic left %+v, %v", list, err)
	}
	h.register(0)
}

// TestVerbsShareCommits has verbs that fail, panic and go among others: each
// gets its own answer, and only what succeeded is there.
func TestVerbsShareCommits(t *testing.T) {
	h := newHarness(t)
	h.start()
	var working sync.WaitGroup
	for n := range 200 {
		working.Go(func() {
			name := fmt.Sprintf("o%03d", n)
			ctx, cancel := context.WithCancel(h.ctx)
			defer cancel()
			refused := errors.New("refused")
			err := h.s.write(ctx, func(x *txn) error {
				if err := x.changed(api.ChangeKindReplay, name, "ns", name); err != nil {
					return err
				}
				switch n % 4 {
				case 1:
					return refused
				case 2:
					panic("a bug")
				}
				return nil
			})
			switch n % 4 {
			case 0, 3:
				if err != nil {
					t.Error(err)
				}
			case 1:
				if !errors.Is(err, refused) {
					t.Error(err)
				}
			case 2:
				if err == nil {
					t.Error("a panic was no error")
				}
			}
		})
	}
	working.Wait()
	list, _, err := h.s.Changes(h.ctx, 0, 1000)
	h.must(err)
	if len(list) != 101 { // the Event, and a hundred
		t.Errorf("%d objects changed", len(list))
	}
}

func TestTextWithoutPlace(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	l := h.lease(api.PoolWork)
	h.must(h.s.Fail(h.ctx, h.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "core\x00dump", Retryable: true}))
	if got := h.task(l.TaskID); *got.Error != "core\uFFFDdump" {
		t.Errorf("%q", *got.Error)
	}
}

// TestPasswordStaysSecret looks at what is said of databases that cannot be
// opened.
func TestPasswordStaysSecret(t *testing.T) {
	for _, address := range []string{
		"postgres://mre:s3cret@127.0.0.1:1/mre?connect_timeout=1",
		"postgres://mre:s3cret%zz@127.0.0.1:1/mre",
		"postgresql://mre:s3cret@127.0.0.1:port/mre",
		"postgres://127.0.0.1:1/mre?user=mre&password=s3cret&connect_timeout=1",
	} {
		_, err := Open(t.Context(), address, Options{})
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v", err)
		}
	}
}

// TestServerGoesAway needs a server of its own, which it kills.
func TestServerGoesAway(t *testing.T) {
	if backend != postgresDialect.name {
		return // a file does not go away
	}
	server, err := pgtest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	address, err := server.Create(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, ctx: t.Context(), uid: testEvent, path: address}
	if h.s, err = Open(h.ctx, address, Options{Clock: clock.RealClock{}}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.s.Close() }()
	h.start()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		_, read := h.s.Event(h.ctx, h.uid)
		written := h.s.RegisterUnit(h.ctx, h.uid, h.nthUnit(0))
		_, kept := h.s.Housekeep(h.ctx)
		if errors.Is(read, ErrUnavailable) && errors.Is(written, ErrUnavailable) && errors.Is(kept, ErrUnavailable) {
			break
		}
		if read != nil && !errors.Is(read, ErrUnavailable) || written != nil && !errors.Is(written, ErrUnavailable) {
			t.Fatalf("read: %v; write: %v", read, written)
		}
		if time.Now().After(deadline) {
			t.Fatal("the server is still there")
		}
	}
}
