// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/render"
)

func init() { commands = append(commands, newRenderCommand) }

func newRenderCommand() *cobra.Command {
	var o jobOptions
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Render the clips and reels of an Event",
		Long:  "Leases clip and reel tasks of an Event, one after the other, and ends with 0 when there will be no more.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runner, err := render.New(o.scratchDir, o.cacheMiB<<20)
			if err != nil {
				return err
			}
			return o.runAgent(cmd.Context(), api.PoolRender, runner)
		},
	}
	o.registerAgent(cmd, 1024)
	return cmd
}
