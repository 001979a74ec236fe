// SPDX-License-Identifier: Apache-2.0

// Package server is the data plane's HTTP API over the store and the bucket, with the loops that run beside it.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/dataplane/sweep"
	"github.com/mre-operator/mre-operator/internal/objects"
)

const (
	// readHeaderTimeout and idleTimeout end connections that nobody uses. There is no write time-out: a long
	// poll is meant to wait.
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 2 * time.Minute
	idleTimeout       = 2 * time.Minute
	// shutdownTimeout is less than the grace period of a Pod.
	shutdownTimeout = 20 * time.Second
	maxHeaderBytes  = 64 << 10
	// maxLifetime is what S3 allows.
	maxLifetime = 7 * 24 * time.Hour
	// minRetention is longer than any Job of a deleted Event lives, and than a signed URL works.
	minRetention = maxLifetime
)

// Options of a server.
type Options struct {
	// URLLifetime is how long signed URLs work. A task's URLs live at least as long as its time-out.
	URLLifetime time.Duration
	// SourceURLLifetime is that of a source: it must last for the whole ingest.
	SourceURLLifetime time.Duration
	// SweepAge is how old an object of a living Event must be before it is removed when no row names it.
	SweepAge time.Duration
	// RetainRows is the age from which rows that nobody needs are deleted; zero keeps them.
	RetainRows time.Duration
	// SweepInterval is the time between two looks at the bucket.
	SweepInterval time.Duration
}

// Validate names the option that does not fit.
func (o Options) Validate() error {
	switch {
	case o.URLLifetime <= 0 || o.SourceURLLifetime <= 0 || o.SweepInterval <= 0:
		return errors.New("URL lifetimes and the sweep interval must be longer than nothing")
	case o.RetainRows < 0, o.RetainRows > 0 && o.RetainRows < minRetention:
		return fmt.Errorf("rows must be retained for at least %s, so that late calls still learn that something was "+
			"deleted; 0 keeps them", minRetention)
	case o.URLLifetime > maxLifetime || o.SourceURLLifetime > maxLifetime:
		return fmt.Errorf("S3 signs URLs for at most %s", maxLifetime)
	case o.SweepAge < o.URLLifetime:
		return fmt.Errorf("the sweep age %s is less than the URL lifetime %s: an upload could be removed before "+
			"it is registered", o.SweepAge, o.URLLifetime)
	}
	return nil
}

// Server implements the generated interface.
type Server struct {
	store    *store.Store
	objects  *objects.Bucket
	auth     *auth.Authenticator
	options  Options
	sweeper  *sweep.Sweeper
	metrics  *metrics
	registry *prometheus.Registry
	// bucketSeen is set when the bucket was reached for the first time, by this process or an earlier one, and this
	// one has looked.
	bucketSeen atomic.Bool
	// bucketProblem is why the bucket cannot be used now; nil while it can.
	bucketProblem atomic.Pointer[string]
	// draining is closed when the server stops, so that long polls end at once.
	draining chan struct{}
}

var _ api.StrictServerInterface = (*Server)(nil)

// New makes a server. Nothing runs yet.
func New(rows *store.Store, bucket *objects.Bucket, authenticator *auth.Authenticator,
	clock clock.PassiveClock, options Options) *Server {
	registry := prometheus.NewRegistry()
	s := &Server{
		store: rows, objects: bucket, auth: authenticator, options: options,
		metrics: newMetrics(registry), registry: registry, draining: make(chan struct{}),
	}
	s.sweeper = sweep.New(rows, bucket, clock, sweep.Options{Age: options.SweepAge, Swept: func(n int) {
		s.metrics.swept.Add(float64(n))
	}})
	return s
}

// Handler is the API.
func (s *Server) Handler() (http.Handler, error) {
	strict := api.NewStrictHandlerWithOptions(s, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) {
			refuse(w, r, fmt.Errorf("%w: %w", store.ErrInvalid, err))
		},
		ResponseErrorHandlerFunc: refuse,
	})
	routed := api.HandlerWithOptions(strict, api.StdHTTPServerOptions{
		ErrorHandlerFunc: func(w http.ResponseWriter, r *http.Request, err error) {
			refuse(w, r, fmt.Errorf("%w: %w", store.ErrInvalid, err))
		},
	})
	gate, err := newGate(s, routed)
	if err != nil {
		return nil, err
	}
	return recovered(gate), nil
}

// MetricsHandler serves /metrics.
func (s *Server) MetricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}

// Run serves the API and the metrics and runs the loops until the context ends; requests in flight are
// finished first.
func (s *Server) Run(ctx context.Context, listener, metricsListener net.Listener) error {
	handler, err := s.Handler()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.serve(ctx, listener, handler) })
	group.Go(func() error { return s.serve(ctx, metricsListener, s.MetricsHandler()) })
	group.Go(func() error { <-ctx.Done(); close(s.draining); return nil })
	group.Go(func() error { s.watchBucket(ctx); return nil })
	group.Go(func() error { s.housekeep(ctx); return nil })
	group.Go(func() error { s.runExports(ctx); return nil })
	group.Go(func() error { s.sweep(ctx); return nil })
	slog.InfoContext(ctx, "data plane listens", "address",
		listener.Addr().String(), "metrics", metricsListener.Addr().String())
	return group.Wait()
}

func (s *Server) serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		stopped <- server.Shutdown(finishing)
	})
	err := server.Serve(listener)
	if !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	return <-stopped
}

// recovered answers a bug with a Problem instead of a closed connection.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if found := recover(); found != nil {
				refuse(w, r, fmt.Errorf("panic: %v\n%s", found, debug.Stack()))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
