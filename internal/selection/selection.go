// SPDX-License-Identifier: Apache-2.0

// Package selection chooses the segments of a reel.
//
// It is pure: the same candidates and rules give the same plan, whatever the
// order of the candidates, and all arithmetic is on integers. A plan holds a
// score and a reason for every segment, taken or left out.
//
// The algorithm is MRE's selection by duration. What MRE's code gets wrong is
// repaired:
//   - A feature is a plugin's attribute. MRE compares the attribute's name
//     alone, so that plugins with equal attributes are mixed up.
//   - The parts of the Equal distribution cover the whole Event. MRE rounds
//     their length to 10 ms and leaves 1 ms between them, so that a segment
//     that starts there, or after the last part, is lost.
//   - The Equal distribution goes on when the best segments of all parts are
//     too long. MRE stops and selects nothing.
package selection

import (
	"cmp"
	"slices"
)

// FeatureKey names an attribute of a plugin's results.
type FeatureKey struct{ Plugin, Attribute string }

// Feature is a key and what it is worth. A weight of 0 or less turns it off.
type Feature struct {
	FeatureKey
	Weight int64
}

// Candidate is a complete segment.
type Candidate struct {
	// ID is unique among the candidates.
	ID string
	// InMicros and OutMicros are the marks that the reel would use; the
	// mark-out is exclusive.
	InMicros, OutMicros int64
	// Has holds the features that are true at least once in the segment.
	Has map[FeatureKey]bool
}

// Distribution says how the segments of a reel lie on the Event's timeline.
type Distribution string

const (
	// ByScore takes the best segments wherever they are. It is the default.
	ByScore Distribution = "ByScore"
	// Equal takes the best segments of every part of the Event in turn.
	Equal Distribution = "Equal"
)

// Rules say what makes a segment worth taking and how long the reel may be.
type Rules struct {
	Features []Feature
	// DurationMicros plus ToleranceMicros is the limit, which is never passed.
	DurationMicros, ToleranceMicros int64
	Distribution                    Distribution
	// Overlap says that candidates may reach into each other. A reel shows no
	// frame twice, so that what a segment shares with those taken before it
	// takes no time.
	Overlap bool
}

// Decision is what became of a candidate.
type Decision struct {
	ID    string
	Taken bool
	// Score is the sum of the weights of the features that the segment has.
	Score int64
	// Reason is a sentence for people.
	Reason string
}

// Plan is the outcome.
type Plan struct {
	// Selected are the ids of the taken segments, by mark-in.
	Selected []string
	// Decisions holds one entry for each candidate, by mark-in.
	Decisions []Decision
	// DurationMicros is the length of the taken segments together; what they
	// share counts once where candidates may overlap.
	DurationMicros int64
}

// ByDuration fills a reel with the best segments. A segment without any of the
// features is left out. When the others fit together, all are taken; if not,
// they are tried from the highest score down, and what is too long for the
// room that is left is passed over. Of equal scores the earlier segment wins.
func ByDuration(candidates []Candidate, rules Rules) Plan {
	all := make([]*entry, 0, len(candidates))
	for _, c := range candidates {
		all = append(all, newEntry(c, rules.Features))
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.InMicros, b.InMicros), cmp.Compare(a.OutMicros, b.OutMicros), cmp.Compare(a.ID, b.ID))
	})
	reel := budget{limit: rules.DurationMicros + rules.ToleranceMicros, overlap: rules.Overlap}
	matching := make([]*entry, 0, len(all))
	for _, e := range all {
		switch {
		case e.score == 0:
			e.reason = "Left out: it has none of the features that the rules name."
		case e.length() <= 0:
			e.reason = "Left out: it has no frames."
		default:
			matching = append(matching, e)
		}
	}
	switch {
	case reel.holdsAll(matching):
		for _, e := range matching {
			reel.take(e)
			e.reason = allFit(e, len(matching), reel.limit)
		}
	case rules.Distribution == Equal:
		selectEqual(matching, &reel)
	default:
		selectByScore(matching, &reel)
	}
	plan := Plan{Selected: []string{}, Decisions: make([]Decision, 0, len(all)), DurationMicros: reel.used}
	for _, e := range all {
		plan.Decisions = append(plan.Decisions, Decision{ID: e.ID, Taken: e.taken, Score: e.score, Reason: e.reason})
		if e.taken {
			plan.Selected = append(plan.Selected, e.ID)
		}
	}
	return plan
}

// entry is a candidate on its way to a decision.
type entry struct {
	Candidate
	features []Feature
	score    int64
	taken    bool
	reason   string
}

func newEntry(c Candidate, features []Feature) *entry {
	e := &entry{Candidate: c}
	counted := map[FeatureKey]bool{}
	for _, f := range features {
		if f.Weight > 0 && c.Has[f.FeatureKey] && !counted[f.FeatureKey] {
			counted[f.FeatureKey] = true
			e.features = append(e.features, f)
			e.score += f.Weight
		}
	}
	return e
}

func (e *entry) length() int64 { return e.OutMicros - e.InMicros }

// budget is the room in the reel.
type budget struct {
	limit, used int64
	overlap     bool
	// shown is what the reel shows so far, where candidates may overlap:
	// stretches that are apart from each other.
	shown []stretch
}

// stretch is a part of the Event.
type stretch struct{ from, to int64 }

func (b *budget) left() int64 { return b.limit - b.used }

func (b *budget) holdsAll(entries []*entry) bool {
	trial := budget{limit: b.limit, used: b.used, overlap: b.overlap, shown: slices.Clone(b.shown)}
	for _, e := range entries {
		if trial.add(e); trial.left() < 0 {
			return false
		}
	}
	return true
}

// cost is how much longer the reel becomes with the segment.
func (b *budget) cost(e *entry) int64 {
	cost := e.length()
	for _, s := range b.shown {
		cost -= max(min(s.to, e.OutMicros)-max(s.from, e.InMicros), 0)
	}
	return cost
}

func (b *budget) take(e *entry) {
	e.taken = true
	b.add(e)
}

// add makes room for the segment.
func (b *budget) add(e *entry) {
	b.used += b.cost(e)
	if !b.overlap {
		return
	}
	whole := stretch{e.InMicros, e.OutMicros}
	apart := b.shown[:0:0]
	for _, s := range b.shown {
		if s.to < whole.from || s.from > whole.to {
			apart = append(apart, s)
			continue
		}
		whole = stretch{min(whole.from, s.from), max(whole.to, s.to)}
	}
	b.shown = append(apart, whole)
}

// tryTake takes the segment when it fits, and notes the reason either way.
func (b *budget) tryTake(e *entry, rank string) {
	if b.cost(e) > b.left() {
		e.reason = tooLong(e, rank, b)
		return
	}
	b.take(e)
	e.reason = taken(e, rank, b)
}

// byScore orders by score descending; the order by mark-in breaks ties.
func byScore(entries []*entry) {
	slices.SortStableFunc(entries, func(a, b *entry) int { return cmp.Compare(b.score, a.score) })
}

func selectByScore(matching []*entry, reel *budget) {
	ranked := slices.Clone(matching)
	byScore(ranked)
	for i, e := range ranked {
		reel.tryTake(e, overallRank(i+1, len(ranked), e))
	}
}
