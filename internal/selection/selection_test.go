// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sec = int64(1_000_000)

var (
	goal  = FeatureKey{"detect-goal", "Goal"}
	noise = FeatureKey{"detect-noise", "Peak"}
	// other has the attribute's name of goal, and is another plugin's.
	other = FeatureKey{"detect-other", "Goal"}
)

// seg is a candidate in whole seconds.
func seg(id string, in, out int64, has ...FeatureKey) Candidate {
	c := Candidate{ID: id, InMicros: in * sec, OutMicros: out * sec, Has: map[FeatureKey]bool{}}
	for _, k := range has {
		c.Has[k] = true
	}
	return c
}

func rules(duration, tolerance int64, d Distribution) Rules {
	return Rules{
		Features:       []Feature{{goal, 80}, {noise, 30}},
		DurationMicros: duration * sec, ToleranceMicros: tolerance * sec, Distribution: d,
	}
}

func TestByDuration(t *testing.T) {
	cases := []struct {
		name       string
		candidates []Candidate
		rules      Rules
		want       []string
		seconds    int64
	}{
		{name: "nothing", rules: rules(60, 0, ByScore), want: []string{}},
		{
			name:       "no feature, no place, even with room",
			candidates: []Candidate{seg("a", 0, 10), seg("b", 10, 20, noise)},
			rules:      rules(60, 0, ByScore), want: []string{"b"}, seconds: 10,
		},
		{
			name:       "all that match fit exactly into duration and tolerance",
			candidates: []Candidate{seg("c", 40, 55, noise), seg("a", 0, 10, noise), seg("b", 20, 30, goal)},
			rules:      rules(30, 5, ByScore), want: []string{"a", "b", "c"}, seconds: 35,
		},
		{
			name:       "one second too much: the weakest goes",
			candidates: []Candidate{seg("a", 0, 10, noise), seg("b", 20, 30, goal), seg("c", 40, 56, goal, noise)},
			rules:      rules(30, 5, ByScore), want: []string{"b", "c"}, seconds: 26,
		},
		{
			name:       "what is too long for the rest is passed over, a weaker and shorter one is taken",
			candidates: []Candidate{seg("a", 0, 20, goal, noise), seg("b", 20, 40, goal), seg("c", 40, 48, noise)},
			rules:      rules(30, 0, ByScore), want: []string{"a", "c"}, seconds: 28,
		},
		{
			name:       "of equal scores the earlier one wins",
			candidates: []Candidate{seg("late", 50, 60, goal), seg("early", 0, 10, goal), seg("middle", 20, 30, goal)},
			rules:      rules(20, 0, ByScore), want: []string{"early", "middle"}, seconds: 20,
		},
		{
			name:       "every segment longer than the reel: nothing",
			candidates: []Candidate{seg("a", 0, 50, goal), seg("b", 50, 100, goal)},
			rules:      rules(30, 10, ByScore), want: []string{},
		},
		{
			name:       "greedy takes a strong long one rather than two weak ones, as MRE does",
			candidates: []Candidate{seg("a", 0, 10, noise), seg("b", 10, 20, noise), seg("c", 20, 40, goal)},
			rules:      rules(20, 0, ByScore), want: []string{"c"}, seconds: 20,
		},
		{
			name:       "repaired: another plugin's attribute of the same name does not count",
			candidates: []Candidate{seg("a", 0, 10, other), seg("b", 10, 20, goal)},
			rules:      rules(60, 0, ByScore), want: []string{"b"}, seconds: 10,
		},
		{
			name:       "a weight of zero turns a feature off",
			candidates: []Candidate{seg("a", 0, 10, noise), seg("b", 10, 20, goal)},
			rules:      Rules{Features: []Feature{{goal, 1}, {noise, 0}}, DurationMicros: 60 * sec},
			want:       []string{"b"}, seconds: 10,
		},
		{
			name:       "a segment without frames is left out",
			candidates: []Candidate{seg("a", 5, 5, goal), seg("b", 10, 20, goal)},
			rules:      rules(60, 0, ByScore), want: []string{"b"}, seconds: 10,
		},
		{
			name: "equal: every part's best comes before any part's second",
			candidates: []Candidate{
				seg("a", 0, 10, goal, noise), seg("b", 10, 20, goal, noise), seg("c", 20, 30, goal), seg("d", 90, 100, noise),
			},
			rules: rules(20, 0, Equal), want: []string{"a", "d"}, seconds: 20,
		},
		{
			name: "the same by score takes the first part only",
			candidates: []Candidate{
				seg("a", 0, 10, goal, noise), seg("b", 10, 20, goal, noise), seg("c", 20, 30, goal), seg("d", 90, 100, noise),
			},
			rules: rules(20, 0, ByScore), want: []string{"a", "b"}, seconds: 20,
		},
		{
			name: "equal: in one round the higher score takes the rest of the room",
			candidates: []Candidate{
				seg("a", 0, 15, noise), seg("b", 80, 95, goal), seg("c", 95, 100, noise),
			},
			rules: rules(20, 0, Equal), want: []string{"b", "c"}, seconds: 20,
		},
		{
			name:       "equal: all are taken when all fit",
			candidates: []Candidate{seg("a", 0, 10, goal), seg("b", 10, 20, goal), seg("c", 20, 30, noise)},
			rules:      rules(30, 0, Equal), want: []string{"a", "b", "c"}, seconds: 30,
		},
		{
			name: "repaired: equal goes on when the best of every part is too long",
			candidates: []Candidate{
				seg("a", 0, 40, goal), seg("b", 40, 45, noise), seg("c", 50, 95, goal), seg("d", 95, 100, noise),
			},
			rules: rules(30, 0, Equal), want: []string{"b", "d"}, seconds: 10,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			plan := ByDuration(c.candidates, c.rules)
			if diff := cmp.Diff(c.want, plan.Selected); diff != "" {
				t.Errorf("selected (-want +got):\n%s", diff)
			}
			if plan.DurationMicros != c.seconds*sec {
				t.Errorf("duration is %d us, want %d s", plan.DurationMicros, c.seconds)
			}
		})
	}
}

// TestPartsCoverEverything has segments on the places that MRE loses: within a
// millisecond after a border, and after a last part that was rounded down.
func TestPartsCoverEverything(t *testing.T) {
	// A span of 100.01 s has MRE's two parts of round(50.005, 2) s.
	candidates := []Candidate{
		{ID: "border", InMicros: 50_005_000, OutMicros: 60_000_000},
		{ID: "gap", InMicros: 50_005_500, OutMicros: 60_000_000},
		{ID: "last", InMicros: 100_009_999, OutMicros: 100_010_000},
	}
	var entries []*entry
	for _, c := range candidates {
		entries = append(entries, &entry{Candidate: c})
	}
	got := map[string]int{}
	for i, p := range divide(entries) {
		for _, e := range p {
			got[e.ID] = i
		}
	}
	if diff := cmp.Diff(map[string]int{"border": 0, "gap": 1, "last": 1}, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

func TestNumberOfParts(t *testing.T) {
	for _, c := range []struct {
		seconds int64
		want    int
	}{{10, 2}, {3600, 2}, {3601, 6}, {7200, 6}, {7201, 8}, {4 * 3600, 10}} {
		parts := divide([]*entry{{Candidate: seg("a", 0, c.seconds)}})
		if len(parts) != c.want {
			t.Errorf("%d s: %d parts, want %d", c.seconds, len(parts), c.want)
		}
	}
}

func TestDecisions(t *testing.T) {
	plan := ByDuration([]Candidate{
		seg("d", 60, 68, noise), seg("c", 40, 41), seg("b", 20, 60, goal),
		seg("a", 0, 20, noise, goal), seg("e", 70, 82, noise),
	}, rules(30, 5, ByScore))
	want := []Decision{
		{"a", true, 110, "Taken: number 1 of 4 by score 110 (detect-goal/Goal 80, detect-noise/Peak 30); 20.000 " +
			"s of 35.000 s are used with it."},
		{"b", false, 80, "Left out: number 2 of 4 by score 80 (detect-goal/Goal 80), but its 40.000 s are longer than the " +
			"whole reel may be, 35.000 s."},
		{"c", false, 0, "Left out: it has none of the features that the rules name."},
		{"d", true, 30, "Taken: number 3 of 4 by score 30 (detect-noise/Peak 30); 28.000 s of 35.000 s are used with it."},
		{"e", false, 30, "Left out: number 4 of 4 by score 30 (detect-noise/Peak 30), but its 12.000 s do not fit in the " +
			"7.000 s that were left of 35.000 s."},
	}
	if diff := cmp.Diff(want, plan.Decisions); diff != "" {
		t.Errorf("decisions (-want +got):\n%s", diff)
	}

	all := ByDuration([]Candidate{seg("a", 0, 20, noise), seg("b", 20, 30, goal)}, rules(30, 0, Equal))
	if got := all.Decisions[0].Reason; got != "Taken: score 30 (detect-noise/Peak 30); all 2 matching segments "+
		"fit in 30.000 s." {
		t.Errorf("reason when all fit: %s", got)
	}
	one := ByDuration([]Candidate{seg("a", 0, 20, noise), seg("b", 20, 30)}, rules(30, 0, ByScore))
	if got := one.Decisions[0].Reason; got != "Taken: score 30 (detect-noise/Peak 30); it is the only matching "+
		"segment and fits in 30.000 s." {
		t.Errorf("reason of the only one: %s", got)
	}
	equal := ByDuration([]Candidate{seg("a", 0, 20, noise), seg("b", 80, 100, goal)}, rules(30, 0, Equal))
	if got := equal.Decisions[1].Reason; got != "Taken: number 1 in part 2 of 2 by score 80 "+
		"(detect-goal/Goal 80); 20.000 s of 30.000 s are used with it." {
		t.Errorf("reason in a part: %s", got)
	}
}

func TestReasonStaysShort(t *testing.T) {
	c := Candidate{ID: "a", OutMicros: sec, Has: map[FeatureKey]bool{}}
	var r Rules
	for i := range 64 {
		k := FeatureKey{"plugin", strings.Repeat("x", i+1)}
		c.Has[k] = true
		r.Features = append(r.Features, Feature{k, int64(i + 1)})
	}
	r.DurationMicros = 2 * sec
	got := ByDuration([]Candidate{c}, r).Decisions[0].Reason
	if !strings.Contains(got, " 64, ") || !strings.Contains(got, "and 60 more") {
		t.Errorf("reason does not name the heaviest features and count the others: %s", got)
	}
}

// TestOverlaps: where segments may overlap, what they share counts once, so that more fits, and a segment that others
// show whole takes no time.
func TestOverlaps(t *testing.T) {
	candidates := []Candidate{
		{ID: "long", InMicros: 0, OutMicros: 30 * sec, Has: map[FeatureKey]bool{goal: true}},
		{ID: "across", InMicros: 20 * sec, OutMicros: 40 * sec, Has: map[FeatureKey]bool{goal: true}},
		{ID: "inside", InMicros: 25 * sec, OutMicros: 35 * sec, Has: map[FeatureKey]bool{goal: true}},
	}
	rules := Rules{Features: []Feature{{goal, 1}}, DurationMicros: 40 * sec, Distribution: ByScore, Overlap: true}
	plan := ByDuration(candidates, rules)
	if diff := cmp.Diff([]string{"long", "across", "inside"}, plan.Selected); diff != "" || plan.DurationMicros != 40*sec {
		t.Errorf("%d us of %v", plan.DurationMicros, plan.Selected)
	}
	rules.DurationMicros = 39 * sec
	if plan = ByDuration(candidates, rules); !slices.Equal(plan.Selected, []string{"long", "inside"}) ||
		plan.DurationMicros != 35*sec {
		t.Errorf("%d us of %v", plan.DurationMicros, plan.Selected)
	}
}
