// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

const (
	// atOnce Events run in a round.
	atOnce       = 3
	matchSeconds = 48
	chunkSeconds = 8
	// gapSeconds is how long a hasty Event waits for a chunk that will be late.
	gapSeconds = 3
)

// deliveries that rounds choose from, by their share.
var deliveries = []delivery{{}, {}, {late: 2}, {late: 4}}

// database is what data planes run on: make gives the address for each of its processes.
type database struct {
	name string
	make func(t *testing.T) []string
}

var databases = []database{
	{"sqlite", func(t *testing.T) []string { return []string{filepath.Join(t.TempDir(), "dataplane.db")} }},
}

// TestKills kills every part at random and wants the same result as without.
func TestKills(t *testing.T) {
	random := seed(t)
	var all []*tally
	for i, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			result := &tally{name: d.name, kills: map[string]int{}}
			all = append(all, result)
			share := *kills / len(databases)
			if i == 0 {
				share += *kills % len(databases)
			}
			w := newWorld(t, random, d.make(t)...)
			defer func() { result.took = time.Since(result.began) }()
			w.disturb(result, share)
		})
	}
	t.Logf("\n%s", table(all))
}

// tally is what happened on a database.
type tally struct {
	name           string
	began          time.Time
	took           time.Duration
	rounds, events int
	kills          map[string]int
	damage         damage
	stuck          []string
	// slowest is the longest time in which an Event stood still, and last the longest from the last kill to the end.
	slowest, last time.Duration
}

func (y *tally) total() (n int) {
	for kind, k := range y.kills {
		if kind != stopped {
			n += k
		}
	}
	return n
}

func table(all []*tally) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DATABASE\tROUNDS\tEVENTS\tKILLS\tWORKER\tRENDER\tDATA PLANE\tMANAGER\tSTOPPED\tLOST\tDOUBLED\t"+
		"CHANGED\tSTUCK\tLONGEST STANDSTILL\tAFTER LAST KILL\tTOOK")
	for _, y := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", y.name, y.rounds, y.events,
			y.total(), y.kills["worker"], y.kills["render"], y.kills["dataplane"], y.kills["manager"], y.kills[stopped],
			len(y.damage.lost), len(y.damage.doubled), len(y.damage.changed), len(y.stuck),
			y.slowest.Round(time.Second), y.last.Round(time.Second), y.took.Round(time.Second))
	}
	w.Flush()
	return text.String()
}

// disturb runs the calm Events, and then rounds of others until so many processes have been killed.
func (w *world) disturb(y *tally, often int) {
	y.began = time.Now()
	source := w.theMatch()
	w.applyProfiles()
	calm := map[string]facts{}

	// The units of all other Events are what the real ingest makes of the file.
	first := w.begin("calm", delivery{}, source, nil, nil)
	w.complete(first)
	m, err := w.material(string(first.UID))
	w.must(err)
	calm[delivery{}.String()] = w.calmFacts(first)
	var late []*running
	for _, d := range deliveries {
		if d.late > 0 {
			late = append(late, w.begin(fmt.Sprintf("calm-%d", d.late), d, source, m, nil))
		}
	}
	for _, e := range late {
		w.complete(e)
		calm[e.delivery.String()] = w.calmFacts(e)
	}
	for how, f := range calm {
		w.Logf("calm, %s: %s", how, f.counts())
	}

	for y.total() < often && !w.Failed() {
		w.round(y, min(*perRound, often-y.total()), source, m, calm)
	}
}

func (w *world) calmFacts(e *running) facts {
	w.Helper()
	f, own, err := w.facts(e)
	w.must(err)
	if !own.none() {
		w.Fatalf("the calm Event %s:\n%s", e.Name, own)
	}
	return f
}

// round runs a few Events at once while processes are killed.
func (w *world) round(y *tally, often int, source string, m *material, calm map[string]facts) {
	w.Helper()
	y.rounds++
	began := time.Now()
	random := w.dice()
	var events []*running
	for i := range atOnce {
		y.events++
		d := deliveries[random.IntN(len(deliveries))]
		events = append(events, w.begin(fmt.Sprintf("round-%d-%d", y.rounds, i), d, source,
			m, rand.New(rand.NewPCG(random.Uint64(), 1))))
	}
	killing, peace := context.WithCancel(w.ctx)
	defer peace()
	diary, err := os.OpenFile(filepath.Join(w.processes.logs, "kills.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	w.must(err)
	defer diary.Close()
	over := make(chan struct{})
	killed := map[string]int{}
	go func() {
		defer close(over)
		w.processes.killAtRandom(killing, random, often, func(p *process, how string) {
			killed[how]++
			fmt.Fprintf(diary, "%s %s %s\n", time.Now().Format(time.TimeOnly+".000"), how, p.name)
		})
	}()
	go func() {
		for _, e := range events {
			<-e.ended
		}
		peace()
	}()
	<-over
	last := time.Now()
	for kind, n := range killed {
		y.kills[kind] += n
	}
	for _, e := range events {
		select {
		case <-e.ended:
		case <-time.After(time.Until(last.Add(*bound))):
			y.stuck = append(y.stuck, e.Name)
			w.fault("Event %s, %s, is not complete %s after the last kill\n%s", e.Name, e.delivery, *bound, w.explain(e))
			continue
		}
		if e.standstill > y.slowest {
			y.slowest = e.standstill
		}
		got, damage, err := w.facts(e)
		if err != nil {
			w.fault("read Event %s: %v", e.Name, err)
			continue
		}
		damage.add(got.against(calm[e.delivery.String()]))
		if !damage.none() {
			w.fault("Event %s, %s:\n%s", e.Name, e.delivery, damage)
		}
		y.damage.add(damage)
	}
	y.last = max(y.last, time.Since(last))
	w.Logf("%s round %d: %v killed, %d in all; done %s after the last kill, %s after the first; "+
		"longest standstill so far %s",
		y.name, y.rounds, killed, y.total(), time.Since(last).Round(time.Second),
		time.Since(began).Round(time.Second), y.slowest.Round(time.Second))
	for _, e := range events {
		w.remove(e)
	}
}

// running is an Event that is looked at all the time.
type running struct {
	*mrev1alpha1.Event
	replay   *mrev1alpha1.Replay
	delivery delivery
	// ended is closed when the Event is Complete and its Replay rendered, or when it failed.
	ended chan struct{}
	// standstill is the longest time without a change of the counters, from the first unit to the end.
	standstill time.Duration
}

// begin applies an Event and delivers to it, calmly without dice; without material, the real ingest does.
func (w *world) begin(name string, d delivery, source string, m *material, random *rand.Rand) *running {
	w.Helper()
	if m != nil {
		w.node.play(name, func(ctx context.Context, agent *dpclient.Client, uid string) error {
			return courier{material: m, agent: agent, plane: w.plane, bucket: w.bucket,
				namespace: namespace, uid: uid, random: random}.deliver(ctx, d)
		})
	}
	e := &running{delivery: d, ended: make(chan struct{}), Event: &mrev1alpha1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: mrev1alpha1.EventSpec{
			Program:        "Chaos",
			Source:         mrev1alpha1.EventSource{File: &mrev1alpha1.FileSource{URL: source}},
			DeletionPolicy: mrev1alpha1.DeletionDelete,
		},
	}}
	e.Spec.ProfileRef.Name = d.profile()
	w.must(w.cluster.Create(w.ctx, e.Event))
	e.replay = &mrev1alpha1.Replay{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-reel", Namespace: namespace},
		Spec: mrev1alpha1.ReplaySpec{
			EventRef: mrev1alpha1.LocalReference{Name: name},
			Select: mrev1alpha1.ReplaySelection{
				ByDuration: &mrev1alpha1.SelectByDuration{DurationSeconds: 15},
				Features:   []mrev1alpha1.FeatureWeight{{Plugin: "detect-audio-peaks", Attribute: "AudioPeak", Weight: 80}},
			},
			Outputs: mrev1alpha1.ReplayOutputs{Resolutions: []string{"320x180"}},
		},
	}
	w.must(w.cluster.Create(w.ctx, e.replay))
	go w.watch(e)
	return e
}

// watch notes how long an Event stands still, until it has ended.
func (w *world) watch(e *running) {
	defer close(e.ended)
	var last string
	var since time.Time
	for w.ctx.Err() == nil {
		time.Sleep(300 * time.Millisecond)
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		s, err := w.plane.Event(ctx, string(e.UID))
		cancel()
		if err != nil || s.State == api.EventStateStatePending {
			continue
		}
		if s.State == api.EventStateStateFailed {
			w.fault("Event %s failed: %v", e.Name, s.Message)
			return
		}
		if now := fmt.Sprintf("%s %+v", s.State, s.Progress); now != last {
			if last != "" {
				e.standstill = max(e.standstill, time.Since(since))
			}
			last, since = now, time.Now()
		}
		if s.State != api.EventStateStateComplete {
			continue
		}
		ctx, cancel = context.WithTimeout(w.ctx, 5*time.Second)
		err = errors.Join(w.cluster.Get(ctx, client.ObjectKeyFromObject(e.Event), e.Event),
			w.cluster.Get(ctx, client.ObjectKeyFromObject(e.replay), e.replay))
		cancel()
		complete, _, _ := clusterclient.ConditionTrue(e.Status.Conditions, mrev1alpha1.ConditionComplete)
		rendered, _, _ := clusterclient.ConditionTrue(e.replay.Status.Conditions, mrev1alpha1.ConditionRendered)
		if err == nil && complete && rendered {
			return
		}
	}
}

// complete waits for an Event that nothing disturbs.
func (w *world) complete(e *running) {
	w.Helper()
	select {
	case <-e.ended:
	case <-time.After(*bound):
		w.Fatalf("the calm Event %s is not complete after %s\n%s", e.Name, *bound, w.explain(e))
	}
}

// explain says what an Event waits for.
func (w *world) explain(e *running) string {
	var text strings.Builder
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	_ = w.cluster.Get(ctx, client.ObjectKeyFromObject(e.Event), e.Event)
	_ = w.cluster.Get(ctx, client.ObjectKeyFromObject(e.replay), e.replay)
	for _, c := range slices.Concat(e.Status.Conditions, e.replay.Status.Conditions) {
		fmt.Fprintf(&text, "%s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	s, err := w.plane.Event(ctx, string(e.UID))
	fmt.Fprintf(&text, "%+v %v\n", s, err)
	tasks, err := w.plane.Tasks(ctx, string(e.UID))
	fmt.Fprintf(&text, "%d tasks %v\n", len(tasks), err)
	for _, t := range tasks {
		if t.FinishedAt == nil || t.Error != nil {
			fmt.Fprintf(&text, "%d %s chunk %d %s %s: %s, %d attempts, %d losses %v\n", t.ID, t.Kind, t.Chunk, t.Plugin,
				t.Subject, t.State, t.Attempts, t.Losses, t.Error)
		}
	}
	w.node.mu.Lock()
	defer w.node.mu.Unlock()
	for _, j := range w.node.jobs {
		if j.Labels[mrev1alpha1.LabelEvent] == e.Name {
			fmt.Fprintf(&text, "Job %s ended %t\n", j.Name, j.ended)
		}
	}
	return text.String()
}

// remove deletes an Event, of which nothing may be left.
func (w *world) remove(e *running) {
	w.Helper()
	if err := errors.Join(w.cluster.Delete(w.ctx, e.Event), w.cluster.Delete(w.ctx, e.replay)); err != nil {
		w.fault("delete Event %s: %v", e.Name, err)
		return
	}
	left := 0
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		if err := w.cluster.Get(w.ctx, client.ObjectKeyFromObject(e.Event), e.Event); !apierrors.IsNotFound(err) {
			continue
		}
		left = 0
		for _, err := range w.bucket.List(w.ctx, namespace+"/"+string(e.UID)+"/") {
			if err == nil {
				left++
			}
		}
		if left == 0 {
			return
		}
	}
	w.fault("5 minutes after its deletion, Event %s has left %d objects, or is still there\n%s", e.Name,
		left, w.explain(e))
}

// theMatch is the recording that all Events show.
func (w *world) theMatch() string {
	w.Helper()
	m, err := match.Generate(w.ctx, match.Options{Seconds: matchSeconds, Seed: 7})
	w.must(err)
	content, err := os.ReadFile(m.Path)
	w.must(err)
	w.must(w.bucket.Put(w.ctx, "inputs/match.mp4", "video/mp4", content))
	return w.bucket.Location("inputs/match.mp4")
}

// applyProfiles applies the sample plugins, and the sample Profile twice: one that waits for holes and one that does
// not.
func (w *world) applyProfiles() {
	w.Helper()
	manifests, err := clusterclient.ReadManifests(root+"/config/samples/plugins.yaml", root+"/config/samples/profile.yaml")
	w.must(err)
	for _, o := range manifests {
		o.SetNamespace(namespace)
		if o.GetKind() != "Profile" {
			w.must(w.cluster.Create(w.ctx, o))
			continue
		}
		for name, gap := range map[string]int64{delivery{}.profile(): 600, delivery{late: 1}.profile(): gapSeconds} {
			p := o.DeepCopy()
			p.SetName(name)
			w.must(unstructured.SetNestedField(p.Object, int64(chunkSeconds), "spec", "chunkSeconds"))
			w.must(unstructured.SetNestedField(p.Object, gap, "spec", "processing", "gapTimeoutSeconds"))
			w.must(w.cluster.Create(w.ctx, p))
		}
	}
}
