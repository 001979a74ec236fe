// SPDX-License-Identifier: Apache-2.0

// Command imagetool writes an image as an OCI layout archive, without a container engine or a registry.
//
// An image is an optional base layer (a tar made elsewhere) and one layer with the files that are given. The base
// layer's bytes are left out unless they are asked for: containerd looks layers up by digest, so an archive of a few
// megabytes is enough where the base image was imported before.
//
// The name of the image is printed. A name without a tag gets one made from the image's content.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "imagetool:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		name        = flag.String("name", "", "image name, with or without a tag")
		out         = flag.String("out", "", "archive to write; only the name is printed when it is empty")
		base        = flag.String("base", "", "tar of the base layer")
		baseDigest  = flag.String("base-digest", "", "SHA-256 of the base layer, in hex")
		includeBase = flag.Bool("include-base", false, "put the base layer's bytes into the archive")
		entrypoint  = flag.String("entrypoint", "", "program to run")
		user        = flag.String("user", "", "user and group to run as, as numbers")
		files       fileList
	)
	flag.Var(&files, "file", "SOURCE:DESTINATION, a program to add (may be repeated)")
	flag.Parse()
	if *name == "" || flag.NArg() > 0 {
		return errors.New("-name is needed, and there are no arguments besides flags")
	}
	if (*base == "") != (*baseDigest == "") {
		return errors.New("-base and -base-digest go together")
	}

	img := image{config: imageConfig{Architecture: arch(), OS: "linux"}}
	img.config.Config.User = *user
	img.config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if *entrypoint != "" {
		img.config.Config.Entrypoint = []string{*entrypoint}
	}
	if *base != "" {
		layer, err := fileBlob(*base, *baseDigest)
		if err != nil {
			return fmt.Errorf("base layer: %w", err)
		}
		layer.omit = !*includeBase
		img.addLayer(layer, "base")
	}
	if len(files) > 0 {
		layer, err := filesLayer(files)
		if err != nil {
			return fmt.Errorf("layer: %w", err)
		}
		img.addLayer(layer, "files")
	}
	manifest, err := img.manifest()
	if err != nil {
		return err
	}
	ref := *name
	if !strings.Contains(ref[strings.LastIndex(ref, "/")+1:], ":") {
		ref += ":" + manifest.digest[:12]
	}
	if *out != "" {
		if err := img.write(*out, ref, manifest); err != nil {
			return fmt.Errorf("writing %s: %w", *out, err)
		}
	}
	fmt.Println(ref)
	return nil
}

// fileList is a repeatable SOURCE:DESTINATION flag.
type fileList []fileSpec

type fileSpec struct{ source, destination string }

func (l *fileList) String() string { return "" }

func (l *fileList) Set(value string) error {
	source, destination, ok := strings.Cut(value, ":")
	if !ok || !strings.HasPrefix(destination, "/") {
		return fmt.Errorf("%q: want SOURCE:/DESTINATION", value)
	}
	*l = append(*l, fileSpec{source, strings.TrimPrefix(destination, "/")})
	return nil
}
