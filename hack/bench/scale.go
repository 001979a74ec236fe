// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mre-operator/mre-operator/hack/bench/simcluster"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
)

const (
	scaleInstall = "mre-system"
	scaleManager = "mre-manager"
	scaleNodes   = 10
	// audience of the tokens for the data plane.
	audience = "mre.media/dataplane"
)

// scale is a manager and a data plane as they are installed, on a cluster whose nodes are simulated.
type scale struct {
	sizes
	sim     *simcluster.Cluster
	cluster *clusterclient.Cluster
	mre     string
	dir     string
	// dataPlane is its address, front that of the witness before it.
	dataPlane, front string
	witness          *witness
	kubeconfig       string
	tokenFile        string

	manager      *simcluster.Process
	managerSince time.Time
	metrics      string

	events []*simulated
	// units is how many were registered.
	units atomic.Int64
	close []func()
}

// startScale starts everything, without any Event.
func startScale(ctx context.Context, out string, size sizes) (*scale, error) {
	programs, err := outputOf(ctx, "hack/cluster/cluster", "assets", "etcd", "kube-apiserver",
		"kube-controller-manager", "kube-scheduler")
	if err != nil {
		return nil, err
	}
	kwok, err := outputOf(ctx, "hack/tools/tool", "kwok")
	if err != nil {
		return nil, err
	}
	if _, err := outputOf(ctx, "make", "build"); err != nil {
		return nil, err
	}
	s := &scale{sizes: size, dir: filepath.Join(out, "scale")}
	if s.mre, err = filepath.Abs("bin/mre"); err != nil {
		return nil, err
	}
	began := time.Now()
	s.sim, err = simcluster.Start(ctx, simcluster.Options{
		Dir: s.dir, Programs: programs, Kwok: kwok, Nodes: scaleNodes,
		Audited: []string{"system:serviceaccount:" + scaleInstall + ":" + scaleManager},
	})
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{s.install, s.startDataPlane, s.prepareManager, s.startManager} {
		if err := step(ctx); err != nil {
			s.stop()
			return nil, err
		}
	}
	say("  a simulated cluster of %d nodes with our manager and data plane, in %.0f s; logs in %s",
		scaleNodes, time.Since(began).Seconds(), s.dir)
	return s, nil
}

func (s *scale) stop() {
	s.sim.Stop()
	for _, f := range s.close {
		f()
	}
}

// install applies the kinds and the rights that the chart applies.
func (s *scale) install(ctx context.Context) error {
	var err error
	if s.cluster, err = clusterclient.New(s.sim.Config, scaleInstall); err != nil {
		return err
	}
	// The services' names lead to where they listen here.
	s.cluster.HTTP = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.dataPlane)
		},
		MaxIdleConnsPerHost: feeders,
	}}
	if err := s.cluster.EnsureNamespace(ctx, scaleInstall); err != nil {
		return err
	}
	kinds, err := filepath.Glob("config/crd/bases/*.yaml")
	if err != nil {
		return err
	}
	rights, err := filepath.Glob("config/rbac/*.yaml")
	if err != nil {
		return err
	}
	rights = slices.DeleteFunc(rights, func(path string) bool { return filepath.Base(path) == "kustomization.yaml" })
	objects, err := clusterclient.ReadManifests(append(kinds, rights...)...)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := s.cluster.Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
			client.FieldOwner(clusterclient.FieldOwner)); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

func (s *scale) startDataPlane(ctx context.Context) error {
	bucket, err := s.serve(ctx, bucketOfAnything())
	if err != nil {
		return err
	}
	metrics, err := simcluster.FreeAddress(ctx)
	if err != nil {
		return err
	}
	if s.dataPlane, err = simcluster.FreeAddress(ctx); err != nil {
		return err
	}
	kubeconfig, err := s.account(ctx, "mre-dataplane")
	if err != nil {
		return err
	}
	if _, err := s.sim.Run(ctx, "dataplane", []string{"AWS_ACCESS_KEY_ID=nobody", "AWS_SECRET_ACCESS_KEY=nothing"},
		s.mre, "dataplane", "--listen="+s.dataPlane, "--metrics-listen="+metrics, "--kubeconfig="+kubeconfig,
		"--database="+filepath.Join(s.sim.Data, "dataplane.db"),
		"--object-store-endpoint=http://"+bucket, "--object-store-path-style",
		"--log-level=warn"); err != nil {
		return err
	}
	if err := s.awaitHealthy(ctx, "the data plane answers", s.dataPlane); err != nil {
		return err
	}
	s.witness = newWitness(s.dataPlane)
	s.front, err = s.serve(ctx, s.witness.proxy)
	return err
}

// prepareManager gets what a pod of the manager would find mounted.
func (s *scale) prepareManager(ctx context.Context) error {
	var err error
	if s.kubeconfig, err = s.account(ctx, scaleManager); err != nil {
		return err
	}
	token, err := s.sim.Token(ctx, scaleInstall, scaleManager, audience)
	if err != nil {
		return err
	}
	if s.tokenFile, err = filepath.Abs(filepath.Join(s.dir, "manager.token")); err != nil {
		return err
	}
	return os.WriteFile(s.tokenFile, []byte(token), 0o600)
}

// startManager starts one with the settings of the install, leader election included. It does not wait for it.
func (s *scale) startManager(ctx context.Context) error {
	health, err := simcluster.FreeAddress(ctx)
	if err != nil {
		return err
	}
	if s.metrics, err = simcluster.FreeAddress(ctx); err != nil {
		return err
	}
	s.managerSince = time.Now()
	s.manager, err = s.sim.Run(ctx, "manager", []string{"KUBECONFIG=" + s.kubeconfig}, s.mre, "manager",
		"--dataplane-url=http://"+s.front, "--token-file="+s.tokenFile, "--agent-image=mre:bench",
		"--leader-election-namespace="+scaleInstall, "--health-listen="+health, "--metrics-listen="+s.metrics)
	return err
}

// account is a kubeconfig with the rights of one of our ServiceAccounts.
func (s *scale) account(ctx context.Context, name string) (string, error) {
	token, err := s.sim.Token(ctx, scaleInstall, name)
	if err != nil {
		return "", err
	}
	return s.sim.Kubeconfig(name, token)
}

func (s *scale) awaitHealthy(ctx context.Context, what, address string) error {
	return s.sim.Await(ctx, what, 200*time.Millisecond, time.Minute, func(ctx context.Context) (bool, error) {
		status, _, err := get(ctx, "http://"+address+"/readyz")
		return err == nil && status == http.StatusOK, nil
	})
}

// serve listens on loopback until the run ends and returns the address.
func (s *scale) serve(ctx context.Context, h http.Handler) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on loopback: %w", err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	// It ends when it is closed.
	go func() { _ = server.Serve(listener) }()
	s.close = append(s.close, func() { _ = server.Close() })
	return listener.Addr().String(), nil
}

// outputOf runs a program of this folder and returns the last line that it printed.
func outputOf(ctx context.Context, program string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, program, args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1], nil
}
