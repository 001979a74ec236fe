// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"io"
	"strings"
)

// Outcome of a check.
type Outcome string

// The outcomes.
const (
	Passed     Outcome = "Passed"
	Failed     Outcome = "Failed"
	NotChecked Outcome = "NotChecked"
)

// Check is one thing that the contract asks for.
type Check struct {
	// Name is short and stays the same.
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Message says what was seen.
	Message string `json:"message"`
	// Remedy says how to mend it.
	Remedy string `json:"remedy,omitempty"`
}

// Report is what a test found.
type Report struct {
	Checks []Check `json:"checks"`
	// Notes say what was changed or left out of what the plugin reported.
	Notes []string `json:"notes,omitempty"`
}

// OK says that nothing failed.
func (r *Report) OK() bool {
	for _, c := range r.Checks {
		if c.Outcome == Failed {
			return false
		}
	}
	return true
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	signs := map[Outcome]string{Passed: "✓", Failed: "✗", NotChecked: "–"}
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%s %s: %s\n", signs[c.Outcome], c.Name, strings.ReplaceAll(c.Message, "\n", "\n    "))
		if c.Remedy != "" {
			fmt.Fprintf(&b, "    → %s\n", c.Remedy)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note: %s\n", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) pass(name, format string, args ...any) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: Passed, Message: fmt.Sprintf(format, args...)})
}

// advise is pass, with something that could be better.
func (r *Report) advise(name, remedy, format string, args ...any) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: Passed, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *Report) fail(name, remedy, format string, args ...any) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: Failed, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (r *Report) skip(name, format string, args ...any) {
	r.Checks = append(r.Checks, Check{Name: name, Outcome: NotChecked, Message: fmt.Sprintf(format, args...)})
}
