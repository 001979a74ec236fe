// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
)

const (
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	// Layers stay uncompressed: they are read once, from the local disk.
	mediaLayer = "application/vnd.oci.image.layer.v1.tar"
)

type imageConfig struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Config       struct {
		User       string   `json:"User,omitempty"`
		Env        []string `json:"Env,omitempty"`
		Entrypoint []string `json:"Entrypoint,omitempty"`
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []history `json:"history"`
}

type history struct {
	CreatedBy string `json:"created_by"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifestDocument struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type indexDocument struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

// blob is a piece of content, either in memory or in a file.
type blob struct {
	digest string // hex
	size   int64
	data   []byte
	path   string
	omit   bool // refer to it, but leave its bytes out of the archive
}

func memoryBlob(data []byte) blob {
	sum := sha256.Sum256(data)
	return blob{digest: hex.EncodeToString(sum[:]), size: int64(len(data)), data: data}
}

// fileBlob trusts the digest: the caller keeps it beside the file and checks it there.
func fileBlob(path, digest string) (blob, error) {
	info, err := os.Stat(path)
	if err != nil {
		return blob{}, err
	}
	return blob{digest: digest, size: info.Size(), path: path}, nil
}

func (b blob) descriptor(mediaType string) descriptor {
	return descriptor{MediaType: mediaType, Digest: "sha256:" + b.digest, Size: b.size}
}

type image struct {
	config     imageConfig
	layers     []blob
	configBlob blob
}

func arch() string { return runtime.GOARCH }

func (i *image) addLayer(layer blob, what string) {
	i.layers = append(i.layers, layer)
	i.config.RootFS.Type = "layers"
	i.config.RootFS.DiffIDs = append(i.config.RootFS.DiffIDs, "sha256:"+layer.digest)
	i.config.History = append(i.config.History, history{CreatedBy: "imagetool " + what})
}

// manifest finishes the image.
func (i *image) manifest() (blob, error) {
	config, err := json.Marshal(i.config)
	if err != nil {
		return blob{}, fmt.Errorf("encoding the configuration: %w", err)
	}
	i.configBlob = memoryBlob(config)
	doc := manifestDocument{SchemaVersion: 2, MediaType: mediaManifest, Config: i.configBlob.descriptor(mediaConfig)}
	for _, layer := range i.layers {
		doc.Layers = append(doc.Layers, layer.descriptor(mediaLayer))
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return blob{}, fmt.Errorf("encoding the manifest: %w", err)
	}
	return memoryBlob(data), nil
}

// write writes the archive beside its final name and renames it.
func (i *image) write(path, ref string, manifest blob) (err error) {
	f, err := os.CreateTemp(dirOf(path), ".image-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err := i.writeTar(f, ref, manifest); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (i *image) writeTar(w io.Writer, ref string, manifest blob) error {
	target := manifest.descriptor(mediaManifest)
	target.Annotations = map[string]string{
		"io.containerd.image.name":          ref,
		"org.opencontainers.image.ref.name": ref,
	}
	index, err := json.Marshal(indexDocument{SchemaVersion: 2, MediaType: mediaIndex, Manifests: []descriptor{target}})
	if err != nil {
		return fmt.Errorf("encoding the index: %w", err)
	}
	t := tar.NewWriter(w)
	if err := addEntry(t, "oci-layout", memoryBlob([]byte(`{"imageLayoutVersion":"1.0.0"}`)), 0o644); err != nil {
		return err
	}
	for _, b := range append(append([]blob{}, i.layers...), i.configBlob, manifest) {
		if b.omit {
			continue
		}
		if err := addEntry(t, "blobs/sha256/"+b.digest, b, 0o644); err != nil {
			return err
		}
	}
	if err := addEntry(t, "index.json", memoryBlob(index), 0o644); err != nil {
		return err
	}
	return t.Close()
}
