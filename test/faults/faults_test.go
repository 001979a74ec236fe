// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	only   = flag.String("faults.run", "", "run one point alone: LAYER:MODE:K:POLICY:SEED, as a failing run prints it")
	traced = flag.Bool("faults.trace", false, "with -faults.run: print every call that is counted")
	all    = flag.Bool("faults.all", os.Getenv("FAULTS") == "all",
		"every call of every layer in every mode, but those that equal others (or FAULTS=all)")
	equal  = flag.Bool("faults.equal", false, "also those that equal others")
	sample = flag.Int("faults.sample", 160, "how many points are run, evenly over layers, modes and calls")
	budget = flag.Duration("faults.for", 2*time.Minute,
		"start no more runs of a sample after so long; the table says how many were run")
	onPG = flag.Bool("faults.postgres", os.Getenv("FAULTS_POSTGRES") != "", "each run has a database on a PostgreSQL "+
		"server, which is started for it, instead of a SQLite file (or FAULTS_POSTGRES=1)")
	seed = flag.Uint64("faults.seed", 1, "the order in which the parts move, and which points a sample has")
)

// TestFaults lets an Event live again and again, each time with another call that fails.
func TestFaults(t *testing.T) {
	startCluster(t)
	if *only != "" {
		p, err := parsePoint(*only)
		if err != nil {
			t.Fatal(err)
		}
		base := undisturbed(t, policies[0], p.seed)
		r := newRun(t, p)
		if *traced {
			r.inject.trace = func(layer string, k int, who, what string) { fmt.Printf("%s %d %s: %s\n", layer, k, who, what) }
		}
		r.life()
		t.Logf("%s failed; %v calls, %d steps", r.inject.hit, r.inject.counts, r.steps)
		judge(t, r, base)
		return
	}
	bases := map[string]*run{}
	for _, policy := range policies {
		bases[policy] = undisturbed(t, policy, *seed)
	}
	points := choose(bases)
	tally := newTally(len(points))
	t.Run("points", func(t *testing.T) {
		for _, p := range points {
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				if stopped() || (!*all && time.Since(tally.began) > *budget) {
					return
				}
				r := newRun(t, p)
				defer tally.ran(r)
				r.life()
				judge(t, r, bases[p.policy])
			})
		}
	})
	t.Log("\n" + tally.table(bases))
	if stopped() {
		t.Error("ended by a signal before all points were run")
	}
}

// undisturbed is the run that the others are compared with.
func undisturbed(t *testing.T, policy string, seed uint64) *run {
	t.Helper()
	r := newRun(t, point{layer: "none", mode: "none", policy: policy, seed: seed})
	r.life()
	for _, v := range r.violations {
		t.Errorf("undisturbed (%s): %s", r.at, v)
	}
	if t.Failed() {
		t.FailNow()
	}
	return r
}

// judge compares a run with the undisturbed one.
func judge(t *testing.T, r, base *run) {
	t.Helper()
	if r.inject.hit == "" {
		t.Logf("call %d of %s was never made, so that nothing failed", r.at.k, r.at.layer)
	}
	if diff := cmp.Diff(base.story, r.story); diff != "" && len(r.story) > 0 {
		r.violate("what came of the Event differs (-undisturbed +this):\n%s", diff)
	}
	if len(r.violations) > 0 {
		t.Errorf("%s\n  failed was %s\n  to run it alone: make faults RUN=%s (-faults.run=%s)",
			strings.Join(r.violations, "\n  "), r.inject.hit, r.at, r.at)
	}
}
