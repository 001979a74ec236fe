// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProperties draws events and rules and checks what holds for every plan.
func TestProperties(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		candidates, r := draw(rnd)
		plan := ByDuration(candidates, r)

		shuffled := slices.Clone(candidates)
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(plan, ByDuration(shuffled, r)); diff != "" {
			t.Fatalf("seed %d: the order of the candidates matters:\n%s", seed, diff)
		}
		if err := check(candidates, r, plan); err != nil {
			t.Fatalf("seed %d: %v\nrules %+v\nplan %+v", seed, err, r, plan)
		}
	}
}

// draw makes up to 40 segments, with equal starts, lengths and scores now and
// then, in an event of up to five hours.
func draw(rnd *rand.Rand) ([]Candidate, Rules) {
	keys := []FeatureKey{goal, noise, other}
	r := Rules{DurationMicros: 1 + rnd.Int64N(300*sec), ToleranceMicros: rnd.Int64N(60 * sec),
		Distribution: ByScore, Overlap: rnd.IntN(2) == 0}
	if rnd.IntN(2) == 0 {
		r.Distribution = Equal
	}
	for _, k := range keys[:1+rnd.IntN(3)] {
		r.Features = append(r.Features, Feature{k, rnd.Int64N(4)})
	}
	span := 1 + rnd.Int64N(5*3600)
	var candidates []Candidate
	for i := range rnd.IntN(40) {
		in := rnd.Int64N(span) * sec
		c := Candidate{ID: fmt.Sprintf("%06d-%d", i, rnd.IntN(3)), InMicros: in,
			OutMicros: in + rnd.Int64N(90)*sec/2, Has: map[FeatureKey]bool{}}
		for _, k := range keys {
			c.Has[k] = rnd.IntN(3) == 0
		}
		candidates = append(candidates, c)
	}
	return candidates, r
}

func check(candidates []Candidate, r Rules, plan Plan) error {
	limit := r.DurationMicros + r.ToleranceMicros
	byID := map[string]Candidate{}
	for _, c := range candidates {
		byID[c.ID] = c
	}
	if len(plan.Decisions) != len(candidates) {
		return fmt.Errorf("%d decisions for %d candidates", len(plan.Decisions), len(candidates))
	}
	shown := map[int64]bool{} // half seconds, which draw reckons in
	var total int64
	// length is how much longer the reel is with a segment.
	length := func(c Candidate) (sum int64) {
		for at := c.InMicros; at < c.OutMicros; at += sec / 2 {
			if !r.Overlap || !shown[at] {
				sum += sec / 2
			}
		}
		return sum
	}
	var takenIDs []string
	for i, d := range plan.Decisions {
		c := byID[d.ID]
		if d.Reason == "" {
			return fmt.Errorf("%s has no reason", d.ID)
		}
		if i > 0 && c.InMicros < byID[plan.Decisions[i-1].ID].InMicros {
			return fmt.Errorf("%s is not in the order of marks", d.ID)
		}
		if d.Taken {
			takenIDs = append(takenIDs, d.ID)
			total += length(c)
			for at := c.InMicros; at < c.OutMicros; at += sec / 2 {
				shown[at] = true
			}
			if d.Score == 0 || c.OutMicros <= c.InMicros {
				return fmt.Errorf("%s has no score or no frames, and is taken", d.ID)
			}
		}
	}
	if !slices.Equal(takenIDs, plan.Selected) {
		return fmt.Errorf("selected %v, decisions take %v", plan.Selected, takenIDs)
	}
	if total != plan.DurationMicros || total > limit {
		return fmt.Errorf("%d us taken, %d said, limit %d", total, plan.DurationMicros, limit)
	}
	// Nothing that would still fit is left out.
	for _, d := range plan.Decisions {
		c := byID[d.ID]
		if c.OutMicros > c.InMicros && !d.Taken && d.Score > 0 && length(c) <= limit-total {
			return fmt.Errorf("%s fits and is left out", d.ID)
		}
	}
	return nil
}
