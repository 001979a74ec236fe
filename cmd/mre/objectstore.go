// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/objectstore"
)

func init() { commands = append(commands, newObjectstoreCommand) }

func newObjectstoreCommand() *cobra.Command {
	var c objectstore.Config
	var accessKeyFile, secretKeyFile string
	cmd := &cobra.Command{
		Use:   "objectstore",
		Short: "Serve S3 from a directory, for sites that have no object store",
		Long: "Serve S3 from a directory, for sites that have no object store.\n\n" +
			"The only account is that of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or of the files that hold them.\n" +
			"GET /healthz answers 200 to everybody.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if c.AccessKey, err = secret("AWS_ACCESS_KEY_ID", accessKeyFile); err != nil {
				return fmt.Errorf("--access-key-file: %w", err)
			}
			if c.SecretKey, err = secret("AWS_SECRET_ACCESS_KEY", secretKeyFile); err != nil {
				return fmt.Errorf("--secret-key-file: %w", err)
			}
			return objectstore.Run(cmd.Context(), c)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.DataDir, "data-dir", "/var/lib/mre/objects", "Directory of the objects.")
	flags.StringVar(&c.Listen, "listen", ":7070", "Address of the S3 API and of /healthz.")
	flags.StringVar(&c.Region, "region", "us-east-1", "Region that clients sign for.")
	flags.StringVar(&accessKeyFile, "access-key-file", "", "File that holds the access key; instead of AWS_ACCESS_KEY_ID.")
	flags.StringVar(&secretKeyFile, "secret-key-file", "",
		"File that holds the secret key; instead of AWS_SECRET_ACCESS_KEY.")
	return cmd
}

// secret reads a file where one is named, else the environment.
func secret(variable, file string) (string, error) {
	if file == "" {
		return os.Getenv(variable), nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(content)), nil
}
