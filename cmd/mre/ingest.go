// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/ingest"
)

func init() { commands = append(commands, newIngestCommand) }

func newIngestCommand() *cobra.Command {
	var o jobOptions
	var child bool
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "Cut the source of an Event into units and store them",
		Long: "Reads the source of an Event, stores it as units and registers them. It supervises a child process that " +
			"does the work, and starts it again within a second when it dies. It ends with 0 when the source has " +
			"ended, or when the data plane knows why it cannot be read.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Every call of ingest may be repeated, so the client waits.
			c, err := o.client(o.patience)
			if err != nil {
				return err
			}
			config := ingest.Config{Client: c, EventUID: o.eventUID, Log: slog.Default().With("event", o.eventUID)}
			if child {
				reports := ingest.NewReporter(os.Stdout)
				config.Registered = reports.Registered
				err := ingest.Run(cmd.Context(), config)
				if err != nil {
					reports.Failed(err)
				}
				return err
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the program to start again: %w", err)
			}
			return ingest.Supervise(cmd.Context(), config, append([]string{self}, append(os.Args[1:], "--child")...))
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&child, "child", false, "Do the work itself, as the supervised process.")
	// Both flags exist.
	_ = cmd.Flags().MarkHidden("child")
	return cmd
}
