// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/test/support/frames"
)

// parts of mre that the tests kill.
var parts = []string{"ingest", "worker", "render", "manager", "dataplane"}

// randomKills is how long processes are killed at random.
const randomKills = 2 * time.Minute

// TestKills kills every part, one at a time and then at random, and wants the same result as without.
func TestKills(t *testing.T) {
	a := newArea(t)
	m := a.theMatch(matchSeconds())
	location := a.upload(m.Path)
	e, r := a.begin("calm", location)
	a.finished(e, r, 8*time.Minute)
	calm := a.fingerprint(a.readRun(e, r))
	slow := a.serveSlowly(m.Path, 15*time.Second)

	for _, part := range parts {
		name := "kill-" + part
		e, r := a.begin(name, slow)
		// A part is killed when it has begun to work, and its successor once more.
		first := a.killWhenBusy(part, e, nil)
		a.killWhenBusy(part, e, first)
		a.checkUndisturbed(e, r, calm)
	}

	seed := seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	until := time.Now().Add(randomKills)
	for round := 1; time.Now().Before(until); round++ {
		e, r := a.begin(fmt.Sprintf("random-%d", round), slow)
		a.killAtRandom(random, until, r)
		a.checkUndisturbed(e, r, calm)
	}
}

// seed is printed, and can be set to see the same kills again.
func seed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MRE_E2E_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("MRE_E2E_SEED=%s is not a number", text)
		}
		seed = n
	}
	t.Logf("kills by seed %d; the same again: MRE_E2E_SEED=%d", seed, seed)
	return seed
}

func (a *area) begin(name, location string) (*mrev1alpha1.Event, *mrev1alpha1.Replay) {
	a.Helper()
	return a.event(name, location, mrev1alpha1.DeletionDelete), a.replay(name+"-reel", name)
}

// killWhenBusy waits until a part works for the Event and kills it.
func (a *area) killWhenBusy(part string, e *mrev1alpha1.Event, not []int) []int {
	a.Helper()
	var pids []int
	a.Eventually(func() (bool, error) {
		running, err := processes()
		if err != nil || len(running[part]) == 0 || slices.Equal(running[part], not) {
			return false, err
		}
		if busy, err := a.busy(part, e); err != nil || !busy {
			return false, err
		}
		pids, err = kill(part)
		return len(pids) > 0, err
	}, 3*time.Minute, 50*time.Millisecond).Should(BeTrue(), "%s has nothing to do, or no process to kill", part)
	a.Logf("killed %s: %v", part, pids)
	return pids
}

// busy tells whether a part is in the middle of something for the Event.
func (a *area) busy(part string, e *mrev1alpha1.Event) (bool, error) {
	if part == "manager" || part == "dataplane" {
		return true, nil
	}
	if part == "ingest" {
		units, err := dataPlane.Units(a.ctx, string(e.UID))
		return len(units) > 0, orNotYet(err)
	}
	tasks, err := dataPlane.Tasks(a.ctx, string(e.UID))
	for _, t := range tasks {
		rendering := t.Kind == api.TaskKindClip || t.Kind == api.TaskKindReel
		if t.State == api.TaskStateLeased && rendering == (part == "render") {
			return true, nil
		}
	}
	return false, orNotYet(err)
}

// orNotYet forgives that the data plane does not know the Event yet.
func orNotYet(err error) error {
	if dpclient.Is(err, api.ProblemCodeNotFound) {
		return nil
	}
	return err
}

// killAtRandom kills something that runs, every few seconds, until the time is up or the Replay is rendered.
func (a *area) killAtRandom(random *rand.Rand, until time.Time, r *mrev1alpha1.Replay) {
	a.Helper()
	for time.Now().Before(until) {
		time.Sleep(time.Duration(1000+random.IntN(5000)) * time.Millisecond)
		running, err := processes()
		a.Expect(err).NotTo(HaveOccurred())
		if len(running) == 0 {
			continue // all of them wait for the kubelet to start them again
		}
		there := slices.Sorted(maps.Keys(running))
		part := there[random.IntN(len(there))]
		pids, err := kill(part)
		a.Expect(err).NotTo(HaveOccurred())
		a.Logf("killed %s: %v", part, pids)
		if state, err := a.condition(r, mrev1alpha1.ConditionRendered)(); err == nil && strings.HasPrefix(state, "true") {
			return
		}
	}
}

// checkUndisturbed wants the result of a run to be that of the calm one, and nothing to be there twice.
func (a *area) checkUndisturbed(e *mrev1alpha1.Event, r *mrev1alpha1.Replay, calm map[string]string) {
	a.Helper()
	began := time.Now()
	a.finished(e, r, 15*time.Minute)
	a.Logf("%s finished %s after its last kill", e.Name, time.Since(began).Round(time.Second))
	done := a.readRun(e, r)
	a.checkOnce(done)
	a.Expect(a.fingerprint(done)).To(Equal(calm), "what %s made", e.Name)
	a.checkBucket(done)
	a.Expect(cluster.Delete(a.ctx, e)).To(Succeed())
	a.Expect(cluster.Delete(a.ctx, r)).To(Succeed())
	a.Eventually(func() (map[string]int, error) {
		return a.leftovers(done.uid)
	}, sweepAge+2*time.Minute, 2*time.Second).Should(BeEmpty())
	a.checkGone(done.uid, string(r.UID))
}

// fingerprint is everything that must not depend on what died: marks, labels and every decoded frame.
func (a *area) fingerprint(r run) map[string]string {
	a.Helper()
	made := map[string]string{}
	place := map[string]int{}
	for i, s := range r.segments {
		place[s.ID] = i
		text := fmt.Sprintf("%d to %d %q %s", s.In.Frame, s.Out.Frame, s.Label, s.LabelCode)
		for _, o := range s.Optimized {
			text += fmt.Sprintf(", track %d %d to %d %s %s", o.Track, o.In.Frame, o.Out.Frame, o.StartCode, o.EndCode)
		}
		made[fmt.Sprintf("segment %d", i)] = text
	}
	for _, c := range r.clips {
		a.Expect(c.Location).NotTo(BeNil(), "clip %s %s: %v", c.SegmentID, c.Variant, c.Error)
		media, err := frames.Decode(a.ctx, a.download(r.uid, *c.Location))
		a.Expect(err).NotTo(HaveOccurred())
		made[fmt.Sprintf("clip %d %s %d", place[c.SegmentID], c.Variant, c.Track)] = media.Digest()
	}
	for _, reel := range r.reels.Outputs {
		a.Expect(reel.Location).NotTo(BeNil(), "reel %s: %v", reel.Resolution, reel.Error)
		media, err := frames.Decode(a.ctx, a.download(r.uid, *reel.Location))
		a.Expect(err).NotTo(HaveOccurred())
		made["reel "+reel.Resolution] = media.Digest()
	}
	return made
}
