// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// namedFeatures is how many features a reason lists, so that it stays a
// sentence.
const namedFeatures = 4

func allFit(e *entry, count int, limit int64) string {
	if count == 1 {
		return fmt.Sprintf("Taken: score %d (%s); it is the only matching segment and fits in %s.",
			e.score, e.names(), secs(limit))
	}
	return fmt.Sprintf("Taken: score %d (%s); all %d matching segments fit in %s.", e.score, e.names(), count, secs(limit))
}

func taken(e *entry, rank string, b *budget) string {
	return fmt.Sprintf("Taken: %s (%s); %s of %s are used with it.", rank, e.names(), secs(b.used), secs(b.limit))
}

func tooLong(e *entry, rank string, b *budget) string {
	cost := b.cost(e)
	if cost > b.limit {
		return fmt.Sprintf("Left out: %s (%s), but its %s are longer than the whole reel may be, %s.", rank,
			e.names(), secs(cost), secs(b.limit))
	}
	return fmt.Sprintf("Left out: %s (%s), but its %s do not fit in the %s that were left of %s.", rank,
		e.names(), secs(cost), secs(b.left()), secs(b.limit))
}

func overallRank(rank, count int, e *entry) string {
	return fmt.Sprintf("number %d of %d by score %d", rank, count, e.score)
}

func partRank(rank, part, parts int, e *entry) string {
	return fmt.Sprintf("number %d in part %d of %d by score %d", rank, part, parts, e.score)
}

// names lists the features that made the score, heaviest first.
func (e *entry) names() string {
	features := slices.Clone(e.features)
	slices.SortStableFunc(features, func(a, b Feature) int { return cmp.Compare(b.Weight, a.Weight) })
	names := make([]string, 0, namedFeatures+1)
	for i, f := range features {
		if i == namedFeatures {
			names = append(names, fmt.Sprintf("and %d more", len(features)-i))
			break
		}
		names = append(names, fmt.Sprintf("%s/%s %d", f.Plugin, f.Attribute, f.Weight))
	}
	return strings.Join(names, ", ")
}

// secs writes microseconds as seconds with three decimals.
func secs(us int64) string {
	ms := (us + 500) / 1000
	return fmt.Sprintf("%d.%03d s", ms/1000, ms%1000)
}
