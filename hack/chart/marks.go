// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// marks stand in for template expressions while a manifest is still data: YAML would quote an expression.
type marks struct {
	list []mark
}

type mark struct {
	// lines replace the whole line that the mark stands in; else expression replaces the mark alone.
	lines      []string
	expression string
	// block puts the expression's YAML under the key, indented by two.
	block bool
}

func (m *marks) add(k mark) string {
	m.list = append(m.list, k)
	return fmt.Sprintf("MARK%03d", len(m.list)-1)
}

// value is an expression that gives a scalar.
func (m *marks) value(expression string) string { return m.add(mark{expression: expression}) }

// block is an expression that gives YAML of its own.
func (m *marks) block(expression string) string {
	return m.add(mark{expression: expression, block: true})
}

// line replaces the whole line.
func (m *marks) line(lines ...string) string { return m.add(mark{lines: lines}) }

// replace puts the expressions where their marks are.
func (m *marks) replace(text string) string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		out = append(out, m.replaceIn(line)...)
	}
	return strings.Join(out, "\n")
}

func (m *marks) replaceIn(line string) []string {
	for i, k := range m.list {
		name := fmt.Sprintf("MARK%03d", i)
		if !strings.Contains(line, name) {
			continue
		}
		indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
		switch {
		case k.lines != nil:
			var out []string
			for _, l := range k.lines {
				out = append(out, indent+l)
			}
			return out
		case k.block:
			return []string{strings.Replace(line, name,
				fmt.Sprintf("{{- toYaml %s | nindent %d }}", k.expression, len(indent)+2), 1)}
		}
		line = strings.ReplaceAll(line, name, k.expression)
	}
	return []string{line}
}
