// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/worker"
)

func init() { commands = append(commands, newWorkerCommand) }

func newWorkerCommand() *cobra.Command {
	var o jobOptions
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run the plugins of an Event",
		Long:  "Leases analysis tasks of an Event, one after the other, and ends with 0 when there will be no more.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := worker.New(o.scratchDir, o.cacheMiB<<20)
			if err != nil {
				return err
			}
			return o.runAgent(cmd.Context(), api.PoolWork, runner)
		},
	}
	o.registerAgent(cmd, 256)
	return cmd
}
