// SPDX-License-Identifier: Apache-2.0

// Package objectstore is the embedded S3 server for sites that have none: versitygw on a directory.
//
// It changes the working directory of the process and there can be one of it in a process only, so it runs as
// a process of its own.
package objectstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
	"golang.org/x/sys/unix"
)

// HealthPath answers 200 to everybody.
const HealthPath = "/healthz"

const (
	// copyThreshold is the size that S3 allows for one copy; without it the gateway refuses every copy.
	copyThreshold = 5 << 30
	// maxConnections and maxRequests bound memory. A request beyond them gets 503, which clients retry.
	maxConnections = 8192
	maxRequests    = 4096
	maxParts       = 10000
)

// Config of a server.
type Config struct {
	// DataDir keeps the objects (objects/) and, where the file system has no extended attributes, their
	// metadata (metadata/).
	DataDir string
	// Listen is HOST:PORT.
	Listen string
	Region string
	// AccessKey and SecretKey are the only account.
	AccessKey, SecretKey string
}

// Run serves until the context ends; requests in flight are finished first.
func Run(ctx context.Context, c Config) error {
	if c.AccessKey == "" || c.SecretKey == "" {
		return errors.New("the object store needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or " +
			"name the files that hold them")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	backend, err := openBackend(dir)
	if err != nil {
		return err
	}
	slog.Info("object store listens", "address", c.Listen, "directory", dir)
	err = embedgw.RunVersityGW(ctx, wholeBodies{backend}, &embedgw.Config{
		RootUserAccess:    c.AccessKey,
		RootUserSecret:    c.SecretKey,
		Region:            c.Region,
		Ports:             []string{c.Listen},
		MaxConnections:    maxConnections,
		MaxRequests:       maxRequests,
		MultipartMaxParts: maxParts,
		HealthPath:        HealthPath,
		KeepAlive:         true,
		Quiet:             true,
	})
	if err != nil {
		return fmt.Errorf("object store on %s: %w", c.Listen, err)
	}
	return nil
}

// openBackend uses extended attributes where it can. A directory that once began with metadata files keeps
// them, wherever its volume is mounted later.
func openBackend(dir string) (*posix.Posix, error) {
	objects, metadata := filepath.Join(dir, "objects"), filepath.Join(dir, "metadata")
	if err := os.MkdirAll(objects, 0o750); err != nil {
		return nil, fmt.Errorf("make the object store's directory (the volume must be writable for user %d): %w",
			os.Geteuid(), err)
	}
	options := posix.PosixOpts{CopyObjectThreshold: copyThreshold, ValidateBucketNames: true}
	var storer meta.MetadataStorer = meta.XattrMeta{}
	separate, err := needsMetadataFiles(objects, metadata)
	if err != nil {
		return nil, err
	}
	if separate {
		if err := os.MkdirAll(metadata, 0o750); err != nil {
			return nil, fmt.Errorf("make the object store's metadata directory: %w", err)
		}
		if storer, err = meta.NewSideCar(metadata); err != nil {
			return nil, fmt.Errorf("open the object store's metadata directory: %w", err)
		}
		options.SideCarDir = metadata
	}
	backend, err := posix.New(objects, storer, options)
	if err != nil {
		return nil, fmt.Errorf("open the object store's directory: %w", err)
	}
	return backend, nil
}

func needsMetadataFiles(objects, metadata string) (bool, error) {
	if _, err := os.Stat(metadata); err == nil {
		return true, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, fmt.Errorf("look for the object store's metadata directory: %w", err)
	}
	// Some file systems answer questions about attributes and refuse to store them: only a write tells.
	probe, err := os.CreateTemp(filepath.Dir(objects), ".probe-")
	if err != nil {
		return false, fmt.Errorf("write to the object store's directory (the volume must be writable for user %d): %w",
			os.Geteuid(), err)
	}
	defer os.Remove(probe.Name())
	defer probe.Close()
	return unix.Setxattr(probe.Name(), "user.mre.probe", []byte("1"), 0) != nil, nil
}
