// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/mreimport"
)

func init() { commands = append(commands, newImportCommand) }

func newImportCommand() *cobra.Command {
	var o mreimport.Options
	cmd := &cobra.Command{
		Use:   "import FILE|FOLDER...",
		Short: "Turn plugins, models, profiles, events and prompts of the AWS Media Replay Engine into manifests",
		Long: "Reads bodies of MRE's API and the samples' config.json, as JSON or YAML, and writes manifests for kubectl " +
			"apply to standard output. What has no place in a manifest is a warning on standard error.",
		Example: "  mre import --image-template 'registry.example.com/{name}:v1' plugins/ profile.json | kubectl apply -f -",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			documents, warnings, err := mreimport.Read(paths)
			if err != nil {
				return err
			}
			if len(documents) == 0 {
				return fmt.Errorf("none of MRE's documents is in %v", paths)
			}
			got, err := mreimport.Import(documents, o)
			if err != nil {
				return err
			}
			for _, w := range append(warnings, got.Warnings...) {
				_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "warning:", w)
			}
			return mreimport.Write(cmd.OutOrStdout(), got.Objects)
		},
	}
	cmd.Flags().StringVar(&o.ImageTemplate, "image-template", "",
		"The image that holds a plugin; {name} stands for the Plugin's name, {handler} for its function's module, which "+
			"several plugins may share. Needed for plugins, as MRE names functions instead.")
	return cmd
}
