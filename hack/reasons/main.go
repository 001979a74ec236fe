// SPDX-License-Identifier: Apache-2.0

// Command reasons writes docs/conditions.md from the condition types and reasons of the API. It fails when one
// of them is not explained on any kind's page, or when no test of the controllers expects a reason. That the
// tests really see what they expect is checked where they run: see TestMain of the controllers.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// expecting are the functions and types whose use with a reason is an assertion. Each notes the reason when it
// was met.
var expecting = []string{"is", "tells", "wantFinding"}

// word is a condition type or a reason.
type word struct {
	constant, value, meaning string
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reasons ROOT")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "reasons:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	types, reasons, err := declared(filepath.Join(root, "api/v1alpha1/conditions.go"))
	if err != nil {
		return err
	}
	tests, err := filepath.Glob(filepath.Join(root, "controllers/*_test.go"))
	if err != nil {
		return err
	}
	expected := map[string]bool{}
	for _, file := range tests {
		if err := expectations(file, expected); err != nil {
			return err
		}
	}
	pages, err := explained(filepath.Join(root, "docs/kinds"))
	if err != nil {
		return err
	}
	var problems []error
	for _, w := range slices.Concat(types, reasons) {
		if len(pages[w.value]) == 0 {
			problems = append(problems,
				fmt.Errorf("%s: no page in docs/kinds has `%s` in a table or a sentence", w.constant, w.value))
		}
	}
	for _, w := range reasons {
		if !expected[w.constant] {
			problems = append(problems, fmt.Errorf("%s: no test in controllers expects it; use it with %s", w.constant,
				strings.Join(expecting, ", ")))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "docs/conditions.md"), page(types, reasons, pages), 0o644)
}

// declared reads the constants and what their comments say.
func declared(file string) (types, reasons []word, err error) {
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range tree.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.ValueSpec)
			literal, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				continue
			}
			w := word{constant: spec.Names[0].Name, meaning: meaning(spec.Doc.Text())}
			if w.value, err = strconv.Unquote(literal.Value); err != nil {
				return nil, nil, err
			}
			switch {
			case strings.HasPrefix(w.constant, "Condition"):
				types = append(types, w)
			case strings.HasPrefix(w.constant, "Reason"):
				reasons = append(reasons, w)
			}
		}
	}
	byValue := func(a, b word) int { return strings.Compare(a.value, b.value) }
	slices.SortFunc(types, byValue)
	slices.SortFunc(reasons, byValue)
	return types, reasons, nil
}

// meaning drops the constant's name and the verb that makes the comment a sentence.
func meaning(doc string) string {
	_, text, _ := strings.Cut(strings.Join(strings.Fields(doc), " "), " ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "says "), "is ")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// expectations finds the reasons that a test file asserts.
func expectations(file string, found map[string]bool) error {
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return err
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		var by ast.Expr
		var args []ast.Expr
		switch n := n.(type) {
		case *ast.CallExpr:
			by, args = n.Fun, n.Args
		case *ast.CompositeLit:
			by, args = n.Type, n.Elts
		default:
			return true
		}
		name, ok := by.(*ast.Ident)
		if !ok || !slices.Contains(expecting, name.Name) {
			return true
		}
		for _, a := range args {
			if s, ok := a.(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, "Reason") {
				found[s.Sel.Name] = true
			}
		}
		return true
	})
	return nil
}

// explained maps each `word` to the pages that have it.
func explained(folder string) (map[string][]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for i, part := range strings.Split(string(text), "`") {
			if name := filepath.Base(file); i%2 == 1 && !slices.Contains(out[part], name) {
				out[part] = append(out[part], name)
			}
		}
	}
	return out, nil
}

func page(types, reasons []word, pages map[string][]string) []byte {
	var b bytes.Buffer
	b.WriteString("<!-- Made by `make generate` from api/v1alpha1/conditions.go. -->\n# Conditions and reasons\n\n" +
		"Every condition type and every reason that the operator uses, with the pages that say what to do. " +
		"Reasons are also\nthose of the Kubernetes Events that mark transitions. A test produces each of them.\n")
	for _, section := range []struct {
		title string
		words []word
	}{{"Types", types}, {"Reasons", reasons}} {
		fmt.Fprintf(&b, "\n## %s\n\n| %s | Meaning | More |\n| --- | --- | --- |\n",
			section.title, strings.TrimSuffix(section.title, "s"))
		for _, w := range section.words {
			var links []string
			for _, p := range pages[w.value] {
				links = append(links, fmt.Sprintf("[%s](kinds/%s)", strings.TrimSuffix(p, ".md"), p))
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", w.value,
				strings.ReplaceAll(w.meaning, "|", "\\|"), strings.Join(links, ", "))
		}
	}
	return b.Bytes()
}
