// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

func dirOf(p string) string { return filepath.Dir(p) }

// filesLayer makes a layer of programs: owned by root, executable, without times, so that equal files make equal
// layers.
func filesLayer(files []fileSpec) (blob, error) {
	var buf bytes.Buffer
	t := tar.NewWriter(&buf)
	seen := map[string]bool{}
	for _, file := range files {
		if err := addParents(t, file.destination, seen); err != nil {
			return blob{}, err
		}
		info, err := os.Stat(file.source)
		if err != nil {
			return blob{}, err
		}
		if err := addEntry(t, file.destination, blob{path: file.source, size: info.Size()}, 0o755); err != nil {
			return blob{}, err
		}
	}
	if err := t.Close(); err != nil {
		return blob{}, err
	}
	return memoryBlob(buf.Bytes()), nil
}

func addParents(t *tar.Writer, name string, seen map[string]bool) error {
	dir := path.Dir(name)
	if dir == "." || seen[dir] {
		return nil
	}
	seen[dir] = true
	if err := addParents(t, dir, seen); err != nil {
		return err
	}
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, Format: tar.FormatPAX})
}

func addEntry(t *tar.Writer, name string, b blob, mode int64) error {
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: b.size, Mode: mode, Format: tar.FormatPAX}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	if b.path == "" {
		_, err := t.Write(b.data)
		return err
	}
	f, err := os.Open(b.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(t, f); err != nil {
		return fmt.Errorf("%s: %w", b.path, err)
	}
	return nil
}
