// SPDX-License-Identifier: Apache-2.0

// Package python runs the tests of the Python package with those of everything else.
package python

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hide makes numpy one that cannot be imported.
const hide = `import sys; sys.modules["numpy"] = None
`

const tests = `import unittest; unittest.main(module=None, argv=["python", "discover", "-t", ".", "-s", "tests"])`

func TestPackage(t *testing.T) {
	found := pythons()
	if len(found) == 0 {
		t.Fatal("there is no python3: install Debian's package python3, or run make test-tools")
	}
	t.Run("without numpy", func(t *testing.T) { run(t, found[0], hide+tests) })
	t.Run("with numpy", func(t *testing.T) {
		for _, python := range found {
			if exec.Command(python, "-c", "import numpy").Run() == nil {
				run(t, python, tests)
				return
			}
		}
		t.Fatalf("none of %s has numpy: install Debian's package python3-numpy, or run make test-tools",
			strings.Join(found, ", "))
	})
}

func run(t *testing.T, python, code string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, "-c", code)
	// Byte code would be left in the source tree.
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nOK") {
		t.Fatalf("%s: %v\n%s", python, err, out)
	}
}

// pythons are all of the PATH: the first may be one without numpy.
func pythons() []string {
	var found []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, "python3")); err == nil {
			found = append(found, path)
		}
	}
	return found
}
