// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// equalLetters are dead letters of one plugin that ended in the same words.
type equalLetters struct {
	all []*api.Task
	// last is the one that was given up last.
	last *api.Task
}

// folded puts equal dead letters together, each group where its first stands.
func folded(dead []api.Task) []*equalLetters {
	var out []*equalLetters
	for i := range dead {
		d := &dead[i]
		at := slices.IndexFunc(out, func(g *equalLetters) bool {
			first := g.all[0]
			return first.Kind == d.Kind && first.Plugin == d.Plugin && first.Track == d.Track &&
				first.Subject == d.Subject && value(first.Error) == value(d.Error)
		})
		if at < 0 {
			out = append(out, &equalLetters{all: []*api.Task{d}, last: d})
			continue
		}
		g := out[at]
		g.all = append(g.all, d)
		if d.FinishedAt != nil && (g.last.FinishedAt == nil || d.FinishedAt.After(*g.last.FinishedAt)) {
			g.last = d
		}
	}
	return out
}

// tasks names the first, and says how many others there are.
func (g *equalLetters) tasks() string {
	if n := len(g.all) - 1; n > 0 {
		return fmt.Sprintf("%d +%d", g.all[0].ID, n)
	}
	return fmt.Sprint(g.all[0].ID)
}

// chunkRanges is how many ranges of chunks stand in a row of the table.
const chunkRanges = 4

// chunks are the numbers of the chunks, those in a row as a range.
func (g *equalLetters) chunks() string {
	var numbers []int64
	for _, t := range g.all {
		numbers = append(numbers, t.Chunk)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	var ranges []string
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		if text := fmt.Sprint(numbers[i]); last == i {
			ranges = append(ranges, text)
		} else {
			ranges = append(ranges, fmt.Sprintf("%s-%d", text, numbers[last]))
		}
		i = last + 1
	}
	if len(ranges) > chunkRanges {
		ranges = append(ranges[:chunkRanges], "…")
	}
	return strings.Join(ranges, ", ")
}

// What is shown of an error: its first lines, which say what happened, and its last, which say where.
const (
	firstLines = 3
	lastLines  = 5
)

// abridged is an error without the middle of a long stack. explain has it whole.
func abridged(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if left := len(lines) - firstLines - lastLines; left > 1 {
		lines = slices.Concat(lines[:firstLines],
			[]string{fmt.Sprintf("… %d more lines …", left)}, lines[len(lines)-lastLines:])
	}
	return strings.Join(lines, "\n")
}
