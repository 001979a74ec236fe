// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	only   = flag.String("faults.run", "", "run one point alone: LAYER:MODE:K:POLICY:SEED, as a failing run prints it")
	traced = flag.Bool("faults.trace", false, "with -faults.run: print every call that is counted")
	all    = flag.Bool("faults.all", os.Getenv("FAULTS") == "all", "every call of every layer in every mode (or FAULTS=all)")
	sample = flag.Int("faults.sample", 160, "how many points are run, evenly over layers, modes and calls")
	budget = flag.Duration("faults.for", 2*time.Minute, "start no more runs of a sample after so long; the table says how many were run")
	// postgres needs a store that opens postgres:// URLs.
	postgres = flag.String("faults.postgres", os.Getenv("FAULTS_POSTGRES"), "postgres:// URL of a server where each run makes a database; a SQLite file each when empty")
	seed     = flag.Uint64("faults.seed", 1, "the order in which the parts move, and which points a sample has")
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
	tally := &tally{began: time.Now(), rows: map[[2]string]*tallyRow{}}
	for _, p := range points {
		tally.row(p).planned++
	}
	t.Run("points", func(t *testing.T) {
		for _, p := range points {
			t.Run(p.String(), func(t *testing.T) {
				t.Parallel()
				if !*all && time.Since(tally.began) > *budget {
					return
				}
				began := time.Now()
				r := newRun(t, p)
				defer func() { tally.ran(r, time.Since(began)) }()
				r.life()
				judge(t, r, bases[p.policy])
			})
		}
	})
	t.Log("\n" + tally.table(bases))
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
		t.Errorf("%s\n  failed was %s\n  to run it alone: make faults RUN=%s (-faults.run=%s)", strings.Join(r.violations, "\n  "), r.inject.hit, r.at, r.at)
	}
}

// choose lists the points of this test: every one, or a sample that is spread evenly.
func choose(bases map[string]*run) []point {
	var out []point
	random := rand.New(rand.NewPCG(*seed, 2))
	for _, layer := range layers {
		most := 0
		for _, b := range bases {
			most = max(most, b.inject.counts[layer])
		}
		for m, mode := range modesOf(layer) {
			var mine []point
			for k := 1; k <= most; k++ {
				// Each policy in turn; the last calls are those of the policy that makes the most.
				turn := k + m
				for k > bases[policies[turn%len(policies)]].inject.counts[layer] {
					turn++
				}
				policy := policies[turn%len(policies)]
				if !*all && layer == layerSQL && (mode == modeAfter || mode == modeKill) && !slices.Contains(bases[policy].inject.commits, k) {
					continue // a sample is for what differs: without its commit a transaction has no effect
				}
				mine = append(mine, point{layer, mode, k, policy, *seed})
			}
			if n := max(1, *sample/(len(layers)*len(modesOf(layer)))); !*all && n < len(mine) {
				// One of each n-th part of the calls.
				picked := make([]point, 0, n)
				for i := range n {
					from, to := i*len(mine)/n, (i+1)*len(mine)/n
					picked = append(picked, mine[from+random.IntN(to-from)])
				}
				mine = picked
			}
			out = append(out, mine...)
		}
	}
	// In a mixed order, so that what a budget leaves out is spread evenly, too.
	random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// tally counts runs by layer and mode.
type tally struct {
	mu    sync.Mutex
	began time.Time
	rows  map[[2]string]*tallyRow
}

type tallyRow struct {
	planned, ran, unreached, violations int
	took                                time.Duration
	steps                               int
}

func (s *tally) row(p point) *tallyRow {
	key := [2]string{p.layer, p.mode}
	if s.rows[key] == nil {
		s.rows[key] = &tallyRow{}
	}
	return s.rows[key]
}

func (s *tally) ran(r *run, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row := s.row(r.at)
	row.ran++
	if r.inject.hit == "" {
		row.unreached++
	}
	row.took += took
	row.steps = max(row.steps, r.steps)
	if len(r.violations) > 0 || r.t.Failed() {
		row.violations++
	}
}

func (s *tally) table(bases map[string]*run) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "layer\tmode\tpoints\trun\tnot reached\tviolations\tmost steps\t")
	var sum tallyRow
	for _, layer := range layers {
		most := 0
		for _, b := range bases {
			most = max(most, b.inject.counts[layer])
		}
		for _, mode := range modesOf(layer) {
			row := s.row(point{layer: layer, mode: mode})
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", layer, mode, most, row.ran, row.unreached, row.violations, row.steps)
			sum.planned += most
			sum.ran += row.ran
			sum.unreached += row.unreached
			sum.violations += row.violations
			sum.took += row.took
			sum.steps = max(sum.steps, row.steps)
		}
	}
	fmt.Fprintf(w, "all\t\t%d\t%d\t%d\t%d\t%d\t\n", sum.planned, sum.ran, sum.unreached, sum.violations, sum.steps)
	_ = w.Flush()
	base := bases[slices.Sorted(slices.Values(policies))[0]]
	fmt.Fprintf(&text, "seed %d, %d steps undisturbed, %s for all runs, %s for each", *seed, base.steps,
		time.Since(s.began).Round(time.Second), (sum.took / time.Duration(max(sum.ran, 1))).Round(time.Millisecond))
	return text.String()
}
