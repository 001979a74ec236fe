// SPDX-License-Identifier: Apache-2.0

package sweep_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testclock "k8s.io/utils/clock/testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/dataplane/sweep"
	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	namespace = "football"
	uid       = "event-1"
	origin    = 126_000
	age       = time.Hour
)

// ground is real rows, a real bucket and a clock that the test moves.
type ground struct {
	t      *testing.T
	rows   *store.Store
	bucket *objects.Bucket
	clock  *testclock.FakePassiveClock
	swept  int
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{t: t, bucket: storetest.Bucket(t), clock: testclock.NewFakePassiveClock(time.Now())}
	rows, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "rows.db"),
		store.Options{Clock: g.clock, Location: g.bucket.Location})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	g.rows = rows
	_, err = rows.PutPlan(t.Context(), uid, api.Plan{
		Hash:         "plan",
		Event:        api.PlanEvent{UID: uid, Namespace: namespace, Name: "final", Start: time.Unix(0, 0)},
		ChunkSeconds: 6, UnitMicros: 6_000_000, MaxSegmentSeconds: 60, GapTimeoutSeconds: 60, DrainTimeoutSeconds: 60,
		Segmenter: "moments", Plugins: []api.PlanPlugin{{Name: "moments", Class: api.PlanPluginClassSegmenter,
			MediaType: api.PlanPluginMediaTypeVideo, MaxAttempts: 1, TimeoutSeconds: 60}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = rows.PutTimeline(t.Context(), uid, api.Timeline{
		OriginTicks: origin, Rate: api.Rational{Num: 25, Den: 1}, Width: 640, Height: 360,
		Ingest: api.TimelineIngestCopy, AudioTracks: []api.AudioTrack{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *ground) sweeper() *sweep.Sweeper {
	return sweep.New(g.rows, g.bucket, g.clock, sweep.Options{Age: age, Swept: func(n int) { g.swept += n }})
}

func (g *ground) put(keys ...string) {
	g.t.Helper()
	for _, key := range keys {
		if err := g.bucket.Put(g.t.Context(), key, "application/octet-stream", []byte("x")); err != nil {
			g.t.Fatal(err)
		}
	}
}

// register stores a unit and its row.
func (g *ground) register(n int64) string {
	g.t.Helper()
	ticks := origin + n*150*3600
	key := keys.Unit(namespace, uid, 0, ticks)
	g.put(key)
	err := g.rows.RegisterUnit(g.t.Context(), uid, api.Unit{
		FirstTicks: ticks, Key: key, StartMicros: n * 6_000_000, EndMicros: (n + 1) * 6_000_000, FirstFrame: n * 150,
		Frames: 150, IdrFrames: []int64{n * 150}, PayloadSHA256: strings.Repeat("0", 64), Bytes: 1,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return key
}

func (g *ground) want(want ...string) {
	g.t.Helper()
	var got []string
	for object, err := range g.bucket.List(g.t.Context(), "") {
		if err != nil {
			g.t.Fatal(err)
		}
		got = append(got, object.Key)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("objects (-want +got):\n%s", diff)
	}
}

func (g *ground) pass(s *sweep.Sweeper) {
	g.t.Helper()
	if err := s.Pass(g.t.Context()); err != nil {
		g.t.Fatal(err)
	}
}

func TestOnlyOldObjectsThatNoRowNamesGo(t *testing.T) {
	g := newGround(t)
	s := g.sweeper()
	registered := g.register(0)
	loser := namespace + "/" + uid + "/clips/000001-0/original-t1-m1-a1.mp4"
	// What is not an Event's, or is of an Event that the rows do not know, is nobody's business here.
	others := []string{"readme.txt", "sources/cup/final.mp4", namespace + "/unknown-uid/units/0/1.ts",
		"tennis/" + uid + "/units/0/1.ts"}
	g.put(append(others, loser)...)
	all := append(slices.Clone(others), registered, loser)

	g.pass(s)
	g.want(all...)

	g.clock.SetTime(g.clock.Now().Add(age - time.Minute))
	g.pass(s)
	g.want(all...)

	g.clock.SetTime(g.clock.Now().Add(2 * time.Minute))
	g.pass(s)
	g.pass(s)
	g.want(append(slices.Clone(others), registered)...)
	if g.swept != 1 {
		t.Errorf("%d objects were counted", g.swept)
	}
}

func TestAfterARestartUploadersHaveTimeToRegister(t *testing.T) {
	g := newGround(t)
	late := namespace + "/" + uid + "/clips/000001-0/original-t1-m1-a1.mp4"
	g.put(late)
	g.clock.SetTime(g.clock.Now().Add(2 * age))
	s := g.sweeper()
	g.pass(s)
	g.want(late)
	g.clock.SetTime(g.clock.Now().Add(11 * time.Minute))
	g.pass(s)
	g.want()
}

// A unit that no row names may be found by an ingest that comes back, so it stays until the source has ended.
func TestUnitsStayWhileTheSourceRuns(t *testing.T) {
	g := newGround(t)
	registered := g.register(0)
	stray := keys.Unit(namespace, uid, 0, origin+7)
	g.put(stray)
	s := g.sweeper()
	g.clock.SetTime(g.clock.Now().Add(2 * age))
	g.pass(s)
	g.want(registered, stray)
	if err := g.rows.EndSource(t.Context(), uid, api.SourceEnd{Frames: 150}); err != nil {
		t.Fatal(err)
	}
	g.pass(s)
	g.want(registered)
}

// A deletion that nobody asks for any more is gone on with all the same.
func TestADeletionThatWasGivenUpIsFinished(t *testing.T) {
	g := newGround(t)
	g.register(0)
	if err := g.rows.Tombstone(t.Context(), uid, api.DeletionPolicyDelete); err != nil {
		t.Fatal(err)
	}
	s := g.sweeper()
	g.pass(s)
	if d, err := g.rows.Deletion(t.Context(), uid); err != nil || d.Phase != store.PhaseTombstoned {
		t.Fatalf("its Jobs may still be going: %+v %v", d, err)
	}
	g.clock.SetTime(g.clock.Now().Add(2 * age))
	g.pass(s)
	g.want()
	if d, err := g.rows.Deletion(t.Context(), uid); err != nil || d.Phase != store.PhaseDone {
		t.Fatalf("%+v %v", d, err)
	}
}

func TestADeletionCanBeInterruptedAnywhere(t *testing.T) {
	for _, policy := range []api.DeletionPolicy{api.DeletionPolicyDelete, api.DeletionPolicyRetain} {
		t.Run(string(policy), func(t *testing.T) {
			g := newGround(t)
			registered := g.register(0)
			loser := namespace + "/" + uid + "/clips/000001-0/original-t1-m1-a1.mp4"
			g.put(loser)
			if err := g.rows.Tombstone(t.Context(), uid, policy); err != nil {
				t.Fatal(err)
			}
			// The rows went, and then the process died.
			if _, err := g.rows.PurgeRows(t.Context(), uid); err != nil {
				t.Fatal(err)
			}
			g.pass(g.sweeper())
			g.want(registered, loser)

			for range 2 {
				state, err := g.sweeper().PurgeEvent(t.Context(), uid)
				if err != nil || !state.Done {
					t.Fatalf("%+v, %v", state, err)
				}
			}
			list := keys.Retained(namespace, uid)
			var left []string
			if policy == api.DeletionPolicyRetain {
				left = []string{registered, list}
			}
			g.want(left...)
			if policy == api.DeletionPolicyRetain {
				g.wantRetained(list, g.bucket.Location(registered))
			}

			// A URL that was signed before brings an object back; the next pass takes it.
			g.put(loser)
			g.pass(g.sweeper())
			g.want(left...)
		})
	}
}

func (g *ground) wantRetained(key string, want ...string) {
	g.t.Helper()
	body, err := g.bucket.Get(g.t.Context(), key)
	if err != nil {
		g.t.Fatal(err)
	}
	defer body.Close()
	var list sweep.Retained
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		g.t.Fatal(err)
	}
	if !cmp.Equal(list.Objects, want) || list.UID != uid || list.Namespace != namespace {
		g.t.Errorf("retained.json: %+v", list)
	}
}

func TestALargeDeletionGoesInSteps(t *testing.T) {
	g := newGround(t)
	for n := range 2100 {
		g.put(keys.Unit(namespace, uid, 0, int64(n)))
	}
	if err := g.rows.Tombstone(t.Context(), uid, api.DeletionPolicyDelete); err != nil {
		t.Fatal(err)
	}
	first, err := g.sweeper().PurgeEvent(t.Context(), uid)
	if err != nil || first.Done || !strings.Contains(first.Remaining, "objects") {
		t.Fatalf("first step: %+v, %v", first, err)
	}
	second, err := g.sweeper().PurgeEvent(t.Context(), uid)
	if err != nil || !second.Done {
		t.Fatalf("second step: %+v, %v", second, err)
	}
	g.want()
}

func TestAnEventThatNeverHadAPlanCanBeDeleted(t *testing.T) {
	g := newGround(t)
	if err := g.rows.Tombstone(t.Context(), "never", api.DeletionPolicyDelete); err != nil {
		t.Fatal(err)
	}
	state, err := g.sweeper().PurgeEvent(t.Context(), "never")
	if err != nil || !state.Done {
		t.Errorf("%+v, %v", state, err)
	}
}
