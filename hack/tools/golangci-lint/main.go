// SPDX-License-Identifier: Apache-2.0

// Command golangci-lint is golangci-lint with the Kubernetes API linter built in. `golangci-lint custom` would clone a
// repository for the same result.
package main

import (
	"fmt"
	"os"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	"github.com/golangci/golangci-lint/v2/pkg/exitcodes"
	_ "sigs.k8s.io/kube-api-linter" // registers the linter
)

func main() {
	err := commands.Execute(commands.BuildInfo{GoVersion: "unknown", Version: "2.15.0", Commit: "module", Date: "unknown"})
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "the command ended with an error: %v\n", err)
		os.Exit(exitcodes.Failure)
	}
}
