// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// claimsOf makes claims in the order of creation.
func claimsOf(wanted ...int32) []claim {
	var out []claim
	for i, n := range wanted {
		out = append(out, claim{UID: types.UID(fmt.Sprintf("e%02d", i)),
			Created: now0.Add(time.Duration(i) * time.Minute), Wanted: n})
	}
	return out
}

func TestFairShares(t *testing.T) {
	for name, tc := range map[string]struct {
		bound  int32
		wanted []int32
		want   []int32
	}{
		"enough for all":                       {10, []int32{3, 4}, []int32{3, 4}},
		"one each before two":                  {3, []int32{9, 9, 9}, []int32{1, 1, 1}},
		"a small wish is granted whole":        {10, []int32{1, 20, 20}, []int32{1, 5, 4}},
		"the remainder goes to the first":      {5, []int32{9, 9}, []int32{3, 2}},
		"fewer than Events: the first have it": {2, []int32{4, 4, 4}, []int32{1, 1, 0}},
		"who wants none gets none":             {4, []int32{0, 9}, []int32{0, 4}},
		"nothing to share":                     {0, []int32{4}, []int32{0}},
		"nobody":                               {5, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			claims := claimsOf(tc.wanted...)
			shares := fairShares(tc.bound, claims)
			var got []int32
			for _, c := range claims {
				got = append(got, shares[c.UID])
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("shares (-want +got):\n%s", d)
			}
		})
	}
}

// What max-min fairness means, over random claims: nothing is wasted, nobody gets more than it wants, and nobody
// has two more than somebody who still wants one.
func TestFairSharesProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		bound := random.Int32N(40)
		var wanted []int32
		total := int32(0)
		for range random.IntN(12) {
			n := random.Int32N(16)
			wanted = append(wanted, n)
			total += n
		}
		claims := claimsOf(wanted...)
		shares := fairShares(bound, claims)
		given := int32(0)
		for _, c := range claims {
			given += shares[c.UID]
			if shares[c.UID] > c.Wanted {
				t.Fatalf("bound %d, wanted %v: %s got %d", bound, wanted, c.UID, shares[c.UID])
			}
			for _, o := range claims {
				if shares[o.UID] < o.Wanted && shares[c.UID] > shares[o.UID]+1 {
					t.Fatalf("bound %d, wanted %v: %s has %d while %s has %d",
						bound, wanted, c.UID, shares[c.UID], o.UID, shares[o.UID])
				}
				if shares[o.UID] == 0 && o.Wanted > 0 && shares[c.UID] > 1 {
					t.Fatalf("bound %d, wanted %v: %s has two before %s has one", bound, wanted, c.UID, o.UID)
				}
			}
		}
		if given != min(bound, total) {
			t.Fatalf("bound %d, wanted %v: %d were given", bound, wanted, given)
		}
		random.Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
		if again := fairShares(bound, claims); !maps.Equal(shares, again) {
			t.Fatalf("bound %d, wanted %v: the order of claims matters: %v and %v", bound, wanted, shares, again)
		}
	}
}

// Events that ask one after the other, in any order and with any wishes, never have more than the bound together,
// and come to rest at their fair shares.
func TestGrantsConverge(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2_000 {
		bound := 1 + random.Int32N(20)
		claims := claimsOf(make([]int32, 1+random.IntN(8))...)
		pass := func(i int) {
			others := slices.Delete(slices.Clone(claims), i, i+1)
			claims[i].Held = grant(bound, claims[i], claims[i].Wanted, others)
			held := int32(0)
			for _, c := range claims {
				held += c.Held
			}
			if held > bound {
				t.Fatalf("%d workers of %d: %+v", held, bound, claims)
			}
		}
		for range 40 {
			i := random.IntN(len(claims))
			claims[i].Wanted = random.Int32N(12)
			pass(i)
		}
		for range 2 {
			for i := range claims {
				pass(i)
			}
		}
		shares := fairShares(bound, claims)
		for _, c := range claims {
			if c.Held != shares[c.UID] {
				t.Fatalf("bound %d: %s holds %d, its share is %d: %+v", bound, c.UID, c.Held, shares[c.UID], claims)
			}
		}
	}
}

func TestGrantKeepsIdleWorkersWhileNobodyElseAsks(t *testing.T) {
	me := claim{UID: "a", Created: now0, Wanted: 1, Held: 4}
	if got := grant(4, me, 4, nil); got != 4 {
		t.Errorf("alone: %d, want 4", got)
	}
	other := claim{UID: "b", Created: now0.Add(time.Minute), Wanted: 2}
	if got := grant(4, me, 4, []claim{other}); got != 2 {
		t.Errorf("beside another: %d, want 2", got)
	}
	leaving := other
	leaving.Wanted, leaving.Held = 0, 3
	if got := grant(4, me, 4, []claim{leaving}); got != 1 {
		t.Errorf("while another's workers leave: %d, want 1", got)
	}
}

// With fewer workers than pools, those come first that can work; nobody is added before another has left.
func TestDivide(t *testing.T) {
	busy, blocked := api.PoolBacklog{Ready: 1}, api.PoolBacklog{Blocked: 9}
	slots := func(workers, gpu, npu int32) mrev1.SlotsStatus {
		return mrev1.SlotsStatus{Workers: workers,
			Pools: []mrev1.PoolSlotsStatus{{Name: "gpu", Workers: gpu}, {Name: "npu", Workers: npu}}}
	}
	for name, tc := range map[string]struct {
		granted int32
		like    mrev1.SlotsStatus
		work    api.PoolBacklog
		pools   map[string]api.PoolBacklog
		running map[string]int32
		want    mrev1.SlotsStatus
	}{
		"enough for all":              {granted: 6, like: slots(3, 2, 1), want: slots(3, 2, 1)},
		"one for each, then one more": {granted: 4, like: slots(3, 2, 1), want: slots(2, 1, 1)},
		"the pool that can work": {granted: 1, like: slots(1, 1, 1), work: blocked,
			pools: map[string]api.PoolBacklog{"npu": busy}, want: slots(0, 0, 1)},
		"nobody can": {granted: 1, like: slots(1, 1, 1), want: slots(1, 0, 0)},
		"all can": {granted: 2, like: slots(2, 2, 2), work: busy,
			pools: map[string]api.PoolBacklog{"gpu": busy, "npu": busy}, want: slots(1, 1, 0)},
		"after another has left": {granted: 1, like: slots(1, 1, 0), work: blocked,
			pools: map[string]api.PoolBacklog{"gpu": busy}, running: map[string]int32{"": 1}, want: slots(0, 0, 0)},
		"who works goes on": {granted: 1, like: slots(1, 1, 0), work: busy,
			pools: map[string]api.PoolBacklog{"gpu": busy}, running: map[string]int32{"gpu": 1}, want: slots(0, 1, 0)},
		"it has left": {granted: 1, like: slots(1, 1, 0), work: blocked,
			pools: map[string]api.PoolBacklog{"gpu": busy}, want: slots(0, 1, 0)},
		"who is there stays": {granted: 2, like: slots(1, 1, 0),
			running: map[string]int32{"": 1, "gpu": 1}, want: slots(1, 1, 0)},
		"nothing": {granted: 0, like: slots(1, 1, 1), want: slots(0, 0, 0)},
		"one that leaves makes room later": {granted: 3, like: slots(1, 2, 0),
			running: map[string]int32{"": 2, "gpu": 1}, want: slots(1, 1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			got := divide(tc.granted, tc.like, api.Backlog{Work: tc.work, Pools: tc.pools}, tc.running)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("divided (-want +got):\n%s", d)
			}
		})
	}
	if workers, wanted := totals(mrev1.SlotsStatus{Workers: 1, WorkersWanted: 2,
		Pools: []mrev1.PoolSlotsStatus{{Workers: 3, WorkersWanted: 4}}}); workers != 4 || wanted != 6 {
		t.Errorf("totals %d and %d", workers, wanted)
	}
}
