// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// bucketName is the bucket of the chart's default values.
const bucketName = "mre"

// demo is one run.
type demo struct {
	options
	cluster   *clusterclient.Cluster
	dataPlane *client.Client
	inputs    []input
	runs      []*eventRun
	times     times
	sheet     string
}

// eventRun is an Event, its Replay and what came of them.
type eventRun struct {
	name, replay   string
	uid, replayUID types.UID
	expectedChunks int64
	began          time.Time
	took           time.Duration
	state          api.EventState
	reels          api.ReplayState
	segments       []api.Segment
	clips          []api.Clip
	exports        []string
	reelFiles      []reelFile
	finished       bool
	outcome        string
}

// reelFile is a downloaded reel.
type reelFile struct {
	path, digest string
	proof        api.MediaProof
}

func newDemo(o options) (*demo, error) {
	cluster, err := clusterclient.Connect(o.namespace)
	if err != nil {
		return nil, err
	}
	dataPlane, err := cluster.DataPlane()
	if err != nil {
		return nil, err
	}
	d := &demo{options: o, cluster: cluster, dataPlane: dataPlane}
	d.times.parts = o.spent.parts
	return d, nil
}

// install puts the chart into the cluster, with the image that was built.
func (d *demo) install(ctx context.Context) error {
	if d.image == "" {
		return nil
	}
	say("installing %s into namespace %s", d.image, d.namespace)
	cmd := exec.CommandContext(ctx, "hack/make/install")
	cmd.Env = append(os.Environ(), "IMAGE="+d.image, "NAMESPACE="+d.namespace)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("install the chart: %w\n%s", err, output),
			errors.New(d.cluster.PodLogs(ctx, d.namespace, nil, 20)))
	}
	return nil
}

// folder is where the results of an Event go.
func (d *demo) folder(r *eventRun) string { return filepath.Join(d.out, r.name) }

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
