// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func init() { commands = append(commands, newCopyCommand) }

func newCopyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "copy DEST",
		Short: "Copy this program to a file or into a folder",
		Long:  "The init container of a worker pod: containers of plugins, whose images may hold nothing else, run the copy.",
		Args:  cobra.ExactArgs(1),
		RunE:  func(_ *cobra.Command, args []string) error { return copySelf(args[0]) },
	}
}

func copySelf(dest string) error {
	if info, err := os.Stat(dest); err == nil && info.IsDir() {
		dest = filepath.Join(dest, "mre")
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	in, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("read this program: %w", err)
	}
	defer func() { _ = in.Close() }()
	// An init container that was killed may have left half a file, and one that is run again finds a whole one.
	part := dest + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("copy this program (is the volume mounted and writable?): %w", err)
	}
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(part, dest)
	}
	if err != nil {
		return fmt.Errorf("copy this program to %s: %w", dest, err)
	}
	return nil
}
