// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// input is a video and the manifests that process it.
type input struct {
	// event and replay are the names of the objects.
	event, replay string
	manifests     []string
	// file is uploaded; location is where the Event finds it.
	file, location string
}

const (
	samples = "config/samples"
	own     = "hack/demo/manifests"
)

// catalogue is what every Event of the demo needs.
func catalogue() []string {
	return []string{samples + "/plugins.yaml", samples + "/model.yaml", samples + "/profile.yaml", own + "/plugins.yaml"}
}

// prepareInputs makes or finds the videos and brings them to where the cluster can read them.
func (d *demo) prepareInputs(ctx context.Context) error {
	inputs, err := d.chooseInputs(ctx)
	if err != nil {
		return err
	}
	bucket, err := d.cluster.Bucket(ctx, bucketName)
	if err != nil {
		return err
	}
	for i := range inputs {
		in := &inputs[i]
		if in.file == "" {
			continue
		}
		key := "inputs/" + in.event + strings.ToLower(filepath.Ext(in.file))
		say("uploading %s as s3://%s/%s", in.file, bucketName, key)
		if in.location, err = bucket.Upload(ctx, in.file, key); err != nil {
			return err
		}
	}
	d.inputs = inputs
	return nil
}

func (d *demo) chooseInputs(ctx context.Context) ([]input, error) {
	if d.video != "" {
		one, err := ownVideo(d.video)
		return []input{one}, err
	}
	say("generating the match, unless it is there")
	generated, err := match.Generate(ctx, match.Options{
		Seconds: 120, Width: 1280, Height: 720, Rate: timeline.Rational{Num: 30, Den: 1}, GOPFrames: 30, Seed: 7,
	})
	if err != nil {
		return nil, fmt.Errorf("generate the match: %w", err)
	}
	inputs := []input{{
		event: "match", replay: "match-reel", file: generated.Path,
		manifests: []string{samples + "/event.yaml", samples + "/replay.yaml"},
	}}
	if d.film != "" {
		inputs = append(inputs, input{
			event: "openboard", replay: "openboard-reel", file: d.film, manifests: []string{own + "/openboard.yaml"},
		})
	}
	return inputs, nil
}

// ownVideo is a file, which is uploaded, or an address, which is used as it is.
func ownVideo(video string) (input, error) {
	in := input{event: "video", replay: "video-reel", manifests: []string{own + "/video.yaml"}}
	if u, err := url.Parse(video); err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "s3") {
		if path.Base(u.Path) == "/" {
			return in, fmt.Errorf("the address %s names no file", video)
		}
		in.location = video
		return in, nil
	}
	info, err := os.Stat(video)
	if err != nil {
		return in, fmt.Errorf("the video cannot be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return in, fmt.Errorf("the video %s is not a file", video)
	}
	in.file = video
	return in, nil
}
