// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// tellEvery is how often a long sweep says how far it is.
const tellEvery = time.Minute

// tally counts runs by layer and mode.
type tally struct {
	mu          sync.Mutex
	began, told time.Time
	// points is how many there are to run.
	points int
	rows   map[[2]string]*tallyRow
	sum    tallyRow
}

type tallyRow struct {
	ran, unreached, violations, steps int
}

func newTally(points int) *tally {
	return &tally{began: time.Now(), told: time.Now(), points: points, rows: map[[2]string]*tallyRow{}}
}

func (s *tally) row(p point) *tallyRow {
	key := [2]string{p.layer, p.mode}
	if s.rows[key] == nil {
		s.rows[key] = &tallyRow{}
	}
	return s.rows[key]
}

func (s *tally) ran(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, row := range []*tallyRow{s.row(r.at), &s.sum} {
		row.ran++
		row.steps = max(row.steps, r.steps)
		if r.inject.hit == "" {
			row.unreached++
		}
		if len(r.violations) > 0 || r.t.Failed() {
			row.violations++
		}
	}
	if time.Since(s.told) >= tellEvery {
		s.told = time.Now()
		fmt.Printf("%s: %d of %d points, %d violations\n", time.Since(s.began).Round(time.Second),
			s.sum.ran, s.points, s.sum.violations)
	}
}

func (s *tally) table(bases map[string]*run) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "layer\tmode\tcalls\trun\tnot reached\tviolations\tmost steps\t")
	calls := 0
	for _, layer := range layers {
		most := 0
		for _, b := range bases {
			most = max(most, b.inject.counts[layer])
		}
		for _, mode := range modesOf(layer) {
			row := s.row(point{layer: layer, mode: mode})
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", layer, mode,
				most, row.ran, row.unreached, row.violations, row.steps)
			calls += most
		}
	}
	fmt.Fprintf(w, "all\t\t%d\t%d\t%d\t%d\t%d\t\n", calls, s.sum.ran, s.sum.unreached, s.sum.violations, s.sum.steps)
	_ = w.Flush()
	took := time.Since(s.began)
	fmt.Fprintf(&text, "%s, seed %d, %d points, %d steps undisturbed, %s for all runs, one every %s", engine(), *seed,
		s.points, bases["delete"].steps, took.Round(time.Second),
		(took / time.Duration(max(s.sum.ran, 1))).Round(time.Millisecond))
	return text.String()
}
