// SPDX-License-Identifier: Apache-2.0

// Command mre is every part of the MRE Operator in one binary: a subcommand per part.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// commands are the constructors of the subcommands. Each file of this package that defines one
// registers it, so that main does not have to know them:
//
//	func init() { commands = append(commands, newWorkerCommand) }
//
// A subcommand reads its context with cmd.Context() (cancelled by SIGTERM and SIGINT), logs with
// slog.Default() and returns an error to exit with status 1.
var commands []func() *cobra.Command

// version is set by the image build (-ldflags "-X main.version=…").
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// After the first signal the default handling is back, so a second one ends a shutdown that hangs.
	context.AfterFunc(ctx, stop)
	if err := newRootCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mre:", err)
		status := 1
		if e, ok := errors.AsType[*exitError](err); ok {
			status = e.status
		}
		os.Exit(status)
	}
}

// exitError is an error whose exit status means something to who started the process.
type exitError struct {
	status int
	error
}

func newRootCommand() *cobra.Command {
	var format, level string
	root := &cobra.Command{
		Use:           "mre",
		Short:         "The Media Replay Engine for Kubernetes",
		Version:       buildVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			logger, err := newLogger(format, level)
			if err != nil {
				return err
			}
			slog.SetDefault(logger)
			return nil
		},
	}
	root.PersistentFlags().StringVar(&format, "log-format", "json", "How log lines are written: json or text.")
	root.PersistentFlags().StringVar(&level, "log-level", "info",
		"The lowest level that is logged: debug, info, warn or error.")
	for _, command := range commands {
		root.AddCommand(command())
	}
	return root
}

func newLogger(format, level string) (*slog.Logger, error) {
	var lowest slog.Level
	if err := lowest.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not one of debug, info, warn, error", level)
	}
	options := &slog.HandlerOptions{Level: lowest}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, options)), nil
	default:
		return nil, fmt.Errorf("--log-format %q is not one of json, text", format)
	}
}

// buildVersion falls back to the commit the binary was built from.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return info.Main.Version
}
