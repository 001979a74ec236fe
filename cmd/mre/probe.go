// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/plugin-runtime/podlife"
	"github.com/mre-operator/mre-operator/plugin-runtime/supervise"
)

func init() { commands = append(commands, newProbeCommand) }

// probeTime is less than a kubelet's own limit may be set to.
const probeTime = 5 * time.Second

func newProbeCommand() *cobra.Command {
	var socket, pluginAPI string
	cmd := &cobra.Command{
		Use:   "probe --control-socket PATH | --plugin-api HOST:PORT",
		Short: "Answer a probe of the kubelet",
		Long: "With --control-socket, ends with 0 when the agent listens. With --plugin-api, in a plugin's " +
			"container, ends with 1 when the agent says that the container must be started again.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), probeTime)
			defer cancel()
			switch {
			case (socket == "") == (pluginAPI == ""):
				return errors.New("give one of --control-socket and --plugin-api")
			case socket != "":
				return podlife.Probe(ctx, socket)
			}
			return supervise.Probe(ctx, pluginAPI)
		},
	}
	f := cmd.Flags()
	f.StringVar(&socket, "control-socket", "", "The agent's socket.")
	f.StringVar(&pluginAPI, "plugin-api", "", "Host and port on which the agent gives the plugin of this container work.")
	return cmd
}
