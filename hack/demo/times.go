// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// part is a step of the demo and how long it took.
type part struct {
	name string
	took time.Duration
}

// times remembers how long each part took, in their order.
type times struct{ parts []part }

func (t *times) measure(name string, do func() error) error {
	began := time.Now()
	err := do()
	t.parts = append(t.parts, part{name, time.Since(began)})
	return err
}

func (t *times) total() time.Duration {
	var sum time.Duration
	for _, p := range t.parts {
		sum += p.took
	}
	return sum
}

// seconds are the parts as the summary has them.
func (t *times) seconds() map[string]float64 {
	out := map[string]float64{"total": seconds(t.total())}
	for _, p := range t.parts {
		out[p.name] = seconds(p.took)
	}
	return out
}

func seconds(d time.Duration) float64 { return d.Round(100 * time.Millisecond).Seconds() }

// spentFlag is a list of parts that ended before this program started.
type spentFlag struct{ parts []part }

func (f *spentFlag) String() string { return "" }

func (f *spentFlag) Set(value string) error {
	name, text, ok := strings.Cut(value, "=")
	n, err := strconv.ParseInt(text, 10, 64)
	if !ok || name == "" || err != nil {
		return fmt.Errorf("%q must be PART=SECONDS, with whole seconds", value)
	}
	f.parts = append(f.parts, part{name, time.Duration(n) * time.Second})
	return nil
}
