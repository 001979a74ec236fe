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
	var cacheMiB int64
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Run the plugins of an Event",
		Long:  "Leases analysis tasks of an Event, one after the other, and ends with 0 when there will be no more.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := worker.New(o.scratchDir, cacheMiB<<20)
			if err != nil {
				return err
			}
			return o.runAgent(cmd.Context(), api.PoolWork, runner)
		},
	}
	o.register(cmd)
	cmd.Flags().Int64Var(&cacheMiB, "cache-mib", 256, "How much of the scratch folder units may use between tasks, in MiB.")
	return cmd
}
