// SPDX-License-Identifier: Apache-2.0

// Command kubectl-mre is a plugin of kubectl: kubectl mre watches, explains and fetches what MRE Operator makes of
// broadcasts.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way of a kubeconfig to log in

	"github.com/mre-operator/mre-operator/internal/cli"
)

// version is set by the build (-ldflags "-X main.version=…").
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// After the first signal the default handling is back, so a second one ends a program that hangs.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, cli.Options{
		Name:    name(os.Args[0]),
		Version: buildVersion(),
		Streams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
	}, os.Args[1:]))
}

// name is how people call the program: kubectl runs a file kubectl-mre as kubectl mre.
func name(path string) string {
	base := strings.TrimSuffix(filepath.Base(path), ".exe")
	if plugin, ok := strings.CutPrefix(base, "kubectl-"); ok {
		return "kubectl " + plugin
	}
	return base
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
