// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/clusterclient"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
)

const (
	// root is the repository, as seen from this package's folder.
	root             = "../.."
	installNamespace = "mre-system"
	bucketName       = "mre"
	// sweepAge is how old an object that no row names must be until the sweeper removes it. It is short here,
	// so that the tests can see it happen.
	sweepAge = time.Minute
)

// The connections that all tests share.
var (
	cluster   *clusterclient.Cluster
	dataPlane *dpclient.Client
	bucket    *clusterclient.Bucket
)

func TestMain(m *testing.M) {
	if err := setUp(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func setUp(ctx context.Context) (err error) {
	if cluster, err = clusterclient.Connect(installNamespace); err != nil {
		return err
	}
	if err := install(ctx); err != nil {
		return err
	}
	if dataPlane, err = cluster.DataPlane(); err != nil {
		return err
	}
	bucket, err = cluster.Bucket(ctx, bucketName)
	return err
}

// install puts the chart with the image under test into the cluster.
func install(ctx context.Context) error {
	image := os.Getenv("IMAGE")
	if image == "" {
		name, err := os.ReadFile(root + "/bin/image.txt")
		if err != nil {
			return fmt.Errorf("find the image under test (run make image-load, or set IMAGE): %w", err)
		}
		image = strings.TrimSpace(string(name))
	}
	cmd := exec.CommandContext(ctx, root+"/hack/make/install",
		"--set", fmt.Sprintf("dataplane.extraArgs={--url-lifetime=%[1]s,--sweep-age=%[1]s,--sweep-interval=10s}", sweepAge))
	cmd.Env = append(os.Environ(), "IMAGE="+image)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("install the chart: %w\n%s%s", err, output, cluster.PodLogs(ctx, installNamespace, nil, 30))
	}
	fmt.Println("e2e: installed", image)
	return nil
}
