// SPDX-License-Identifier: Apache-2.0

//go:build media

package media

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// failure is something of a kind and mode that is wrong.
type failure struct{ Kind, Mode, What string }

// board collects what was found, and holds it against what is known.
type board struct {
	mu     sync.Mutex
	trials []*trial
}

func (b *board) add(tr *trial) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trials = append(b.trials, tr)
}

// settle prints the table, and fails the test for what is not as the list of known failures says. Only a whole run can
// say of all that is known whether it still fails.
func (b *board) settle(t *testing.T, whole bool) {
	slices.SortStableFunc(b.trials, func(x, y *trial) int {
		return strings.Compare(x.kind.Name+x.mode, y.kind.Name+y.mode)
	})
	found := map[failure]string{}
	tried := map[failure]bool{}
	var table strings.Builder
	fmt.Fprintf(&table, "%-26s %-9s %7s %10s  %s\n", "kind", "mode", "outputs", "sound, ms", "result")
	for _, tr := range b.trials {
		tried[failure{tr.kind.Name, tr.mode, ""}] = true
		var whats []string
		for _, f := range tr.findings {
			key := failure{tr.kind.Name, tr.mode, f.What}
			if found[key] == "" {
				found[key] = f.Detail
				whats = append(whats, f.What)
			}
		}
		result := "right"
		if len(whats) > 0 {
			result = "wrong: " + strings.Join(whats, ", ")
		}
		fmt.Fprintf(&table, "%-26s %-9s %7d %10.1f  %s\n", tr.kind.Name, tr.mode, tr.outputs, float64(tr.offset)/1000, result)
	}
	t.Log("\n" + table.String())
	judge(t, found, func(f failure) bool {
		return f.Kind != "mutations" && (whole || tried[failure{f.Kind, f.Mode, ""}])
	})
}

// judge fails the test for failures that are not known, and for known ones that are mended.
func judge(t *testing.T, found map[failure]string, tried func(failure) bool) {
	var unknown, mended, still []string
	listed := map[failure]bool{}
	for _, k := range known {
		listed[k.failure] = true
		switch detail, fails := found[k.failure]; {
		case fails:
			still = append(still, fmt.Sprintf("%s, %s, %s: %s", k.Kind, k.Mode, k.What, detail))
		case tried(k.failure) && !k.Rare:
			mended = append(mended, fmt.Sprintf("{failure{%q, %q, %q}, %v},", k.Kind, k.Mode, k.What, k.Rare))
		}
	}
	for f, detail := range found {
		if !listed[f] {
			unknown = append(unknown, fmt.Sprintf("{failure{%q, %q, %q}, false}, // %s", f.Kind, f.Mode, f.What, detail))
		}
	}
	slices.Sort(unknown)
	if len(still) > 0 {
		t.Logf("known failures:\n%s", strings.Join(still, "\n"))
	}
	if len(mended) > 0 {
		t.Errorf("known failures that do not fail any more; take them out of known_test.go:\n%s", strings.Join(mended, "\n"))
	}
	if len(unknown) > 0 {
		t.Errorf("failures that are not known:\n%s", strings.Join(unknown, "\n"))
	}
}
