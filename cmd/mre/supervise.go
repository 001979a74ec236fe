// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/plugin-runtime/supervise"
)

func init() { commands = append(commands, newSuperviseCommand) }

func newSuperviseCommand() *cobra.Command {
	var c supervise.Config
	cmd := &cobra.Command{
		Use:   "supervise --runtime-api HOST:PORT [--exec] -- COMMAND [ARGUMENT...]",
		Short: "Look after a plugin's command in its container",
		Long: "Starts the command, and starts it again within a second when it dies or when the agent says so. " +
			"With --exec the command is run for each task, with JSON on its standard input and standard output.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Command, c.Log = args, slog.Default()
			return supervise.Run(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.RuntimeAPI, "runtime-api", "", "Host and port on which the agent gives this plugin work.")
	f.BoolVar(&c.Exec, "exec", false, "Run the command for each task.")
	// The flag exists: it was defined two lines ago.
	_ = cmd.MarkFlagRequired("runtime-api")
	return cmd
}
