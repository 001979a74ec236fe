// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/dataplane/store/pgtest"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// plane is a data plane of this process: real rows, real HTTP, and a stand-in for the API server that counts how
// often it is asked. Nothing is stored in a bucket: URLs are signed as always, and each gives the same few bytes.
type plane struct {
	store   *store.Store
	url     string
	reviews atomic.Int64
	stops   []func() error
}

func startPlane(ctx context.Context, engine string) (p *plane, err error) {
	p = &plane{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	database, err := p.database(ctx, engine)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench-secret"} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	endpoint, err := p.serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, 188))
	}))
	if err != nil {
		return nil, err
	}
	bucket, err := objects.Open(ctx,
		objects.Config{Bucket: "bench", Endpoint: endpoint, Region: "us-east-1", PathStyle: true})
	if err != nil {
		return nil, err
	}
	if p.store, err = store.Open(ctx, database, store.Options{Location: bucket.Location}); err != nil {
		return nil, err
	}
	p.stops = append(p.stops, p.store.Close)
	s := server.New(p.store, bucket, p.cluster().Authenticator(clock.RealClock{}), clock.RealClock{}, server.Options{
		URLLifetime: 15 * time.Minute, SourceURLLifetime: 12 * time.Hour, SweepAge: time.Hour, SweepInterval: time.Hour,
	})
	handler, err := s.Handler()
	if err != nil {
		return nil, err
	}
	p.url, err = p.serve(ctx, handler)
	return p, err
}

// serve answers on a port of its own until stop.
func (p *plane) serve(ctx context.Context, handler http.Handler) (url string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	serving := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = serving.Serve(listener) }() // Close ends it
	p.stops = append(p.stops, serving.Close)
	return "http://" + listener.Addr().String(), nil
}

// database is an empty one, on this disk, with everything that makes commits durable switched on.
func (p *plane) database(ctx context.Context, engine string) (string, error) {
	if engine == "postgres" {
		s, err := pgtest.Start("")
		if err != nil {
			return "", err
		}
		p.stops = append(p.stops, s.Stop)
		say("  PostgreSQL with its own defaults for fsync, full_page_writes and synchronous_commit (all on); changed: %v",
			pgtest.Settings)
		return s.Create(ctx, nil)
	}
	dir, err := os.MkdirTemp("", "mre-bench-")
	if err != nil {
		return "", err
	}
	p.stops = append(p.stops, func() error { return os.RemoveAll(dir) })
	say("  SQLite with journal_mode=WAL and synchronous=FULL")
	return filepath.Join(dir, "dataplane.db"), nil
}

func (p *plane) stop() error {
	var failed []error
	for _, stop := range slices.Backward(p.stops) {
		failed = append(failed, stop())
	}
	return errors.Join(failed...)
}

// cluster counts how often it is asked who holds a token.
func (p *plane) cluster() *authtest.Cluster {
	c := authtest.New()
	c.Kube.PrependReactor("create", "tokenreviews", func(k8stesting.Action) (bool, runtime.Object, error) {
		p.reviews.Add(1)
		return false, nil, nil
	})
	return c
}

// uidOf names the n-th Event of a run.
func uidOf(run string, n int) string { return fmt.Sprintf("%s-%04d", run, n) }
