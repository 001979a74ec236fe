// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/plugin-runtime/podlife"
)

func init() { commands = append(commands, newFollowCommand) }

// terminated is the status of a process that SIGTERM ended. It is not 0: an exit 0 on SIGTERM would make a deleted
// pod's Job Complete.
const terminated = 143

func newFollowCommand() *cobra.Command {
	var socket string
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "follow",
		Short: "Wait for the agent of a pod, and end as it does",
		Long: "The main container of a worker pod with plugins in containers. Ends with 0 only when the agent says that " +
			"its work is done.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := podlife.Follow(cmd.Context(), socket, patience)
			if err != nil && cmd.Context().Err() != nil {
				return &exitError{terminated, errors.New("told to stop before the agent was done")}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&socket, "control-socket", "/mre/run/agent.sock", "The agent's socket.")
	f.DurationVar(&patience, "start-timeout", 2*time.Minute, "How long the agent may take to open its socket.")
	return cmd
}
