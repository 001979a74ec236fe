// SPDX-License-Identifier: Apache-2.0

// Package imports tests what programs are made of. Who may import whom directly, the linter says (depguard).
package imports

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/mre-operator/mre-operator/"

// depsOf lists the packages that a package is built from.
func depsOf(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", module+pkg).Output()
	if err != nil {
		t.Fatalf("list what %s is built from: %v", pkg, err)
	}
	return strings.Fields(string(out))
}

// TestControllersLinkNoMedia keeps FFmpeg, SQL and the store out of the manager's reconcilers.
func TestControllersLinkNoMedia(t *testing.T) {
	media := map[string]bool{"timeline": true, "signals": true}
	for _, dep := range depsOf(t, "controllers") {
		name, ofMedia := strings.CutPrefix(dep, module+"internal/media/")
		switch {
		case ofMedia && !media[name],
			strings.HasPrefix(dep, module+"internal/dataplane/store"),
			strings.HasPrefix(dep, "modernc.org/sqlite"),
			strings.HasPrefix(dep, "github.com/jackc/pgx"),
			strings.HasPrefix(dep, "github.com/pressly/goose"):
			t.Errorf("the controllers are built from %s", dep)
		}
	}
}
