// SPDX-License-Identifier: Apache-2.0

package faults

import "math/rand/v2"

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
			seen := map[visited]bool{}
			for k := 1; k <= most; k++ {
				// Each policy in turn; the last calls are those of the policy that makes the most.
				turn := k + m
				for k > bases[policies[turn%len(policies)]].inject.counts[layer] {
					turn++
				}
				p := point{layer, mode, k, policies[turn%len(policies)], *seed}
				if *equal || differs(p, bases[p.policy].inject, seen) {
					mine = append(mine, p)
				}
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

// visited is a place in the run of a policy.
type visited struct {
	policy string
	place  place
}

// differs says whether a point proves more than others do. Of a statement that leaves nothing behind, a lost answer is
// its failure: either way it is taken back, which is checked. Who ends at such a statement might have ended at any
// other one since the last effect in the same call. Where an Event that is deleted early has come to is not known.
func differs(p point, undisturbed *injector, seen map[visited]bool) bool {
	if p.layer != layerSQL || p.mode == modeBefore {
		return true
	}
	if p.mode != modeStop {
		return undisturbed.lasting[p.k]
	}
	at := visited{p.policy, undisturbed.places[p.k-1]}
	if p.policy != policyEarly && seen[at] {
		return false
	}
	seen[at] = true
	return true
}
