// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFilesLayerDependsOnContentOnly(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	for _, path := range []string{first, second} {
		if err := os.WriteFile(path, []byte("program"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(second, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	a, err := filesLayer([]fileSpec{{first, "usr/local/bin/mre"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := filesLayer([]fileSpec{{second, "usr/local/bin/mre"}})
	if err != nil {
		t.Fatal(err)
	}
	if a.digest != b.digest {
		t.Errorf("equal files made layers %s and %s", a.digest, b.digest)
	}

	entries := readTar(t, bytes.NewReader(a.data))
	for _, dir := range []string{"usr/", "usr/local/", "usr/local/bin/"} {
		if _, ok := entries[dir]; !ok {
			t.Errorf("the layer has no entry for the folder %s", dir)
		}
	}
	if got := string(entries["usr/local/bin/mre"]); got != "program" {
		t.Errorf("the program in the layer is %q", got)
	}
}

func TestArchive(t *testing.T) {
	for _, test := range []struct {
		name     string
		omitBase bool
	}{
		{"with the base layer", false},
		{"without the base layer", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := memoryBlob([]byte("base layer"))
			base.omit = test.omitBase
			top := memoryBlob([]byte("top layer"))
			img := image{}
			img.addLayer(base, "base")
			img.addLayer(top, "files")
			manifest, err := img.manifest()
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "image.tar")
			if err := img.write(out, "example.local/x:1", manifest); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = f.Close() }()
			entries := readTar(t, f)

			var index indexDocument
			unmarshal(t, entries["index.json"], &index)
			if got := index.Manifests[0].Annotations["io.containerd.image.name"]; got != "example.local/x:1" {
				t.Errorf("the archive names the image %q", got)
			}
			var doc manifestDocument
			unmarshal(t, entries[blobPath(index.Manifests[0].Digest)], &doc)
			if len(doc.Layers) != 2 {
				t.Fatalf("the manifest has %d layers, want 2", len(doc.Layers))
			}
			if _, there := entries[blobPath(doc.Layers[0].Digest)]; there == test.omitBase {
				t.Errorf("base layer in the archive: %v, want %v", there, !test.omitBase)
			}
			if got := string(entries[blobPath(doc.Layers[1].Digest)]); got != "top layer" {
				t.Errorf("the top layer is %q", got)
			}
			var config imageConfig
			unmarshal(t, entries[blobPath(doc.Config.Digest)], &config)
			if len(config.RootFS.DiffIDs) != 2 || config.RootFS.DiffIDs[1] != doc.Layers[1].Digest {
				t.Errorf("the configuration lists the layers %v", config.RootFS.DiffIDs)
			}
		})
	}
}

func blobPath(digest string) string { return "blobs/" + strings.ReplaceAll(digest, ":", "/") }

func unmarshal(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("decoding %q: %v", data, err)
	}
}

func readTar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	entries := map[string][]byte{}
	for reader := tar.NewReader(r); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		entries[header.Name] = data
	}
}
