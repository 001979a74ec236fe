// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"database/sql/driver"
	"net/http"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/dataplane/sweep"
)

const (
	urlLifetime = 15 * time.Minute
	sweepAge    = time.Hour
	// lease is the store's default.
	lease = time.Minute
)

// reviews are all runs'.
var reviews = authtest.New()

// dataPlane is one process of the data plane.
type dataPlane struct {
	proc    *proc
	rows    *store.Store
	server  *server.Server
	handler http.Handler
	sweeper *sweep.Sweeper
}

// startPlane opens the store anew, as a process does that starts.
func (r *run) startPlane() {
	r.t.Helper()
	p := &dataPlane{proc: newProc(r.ctx, "dataplane")}
	rows, err := store.Open(r.ctx, r.database,
		store.Options{Clock: r.clock, LeaseDuration: lease, Location: r.bucket.Location,
			Connector: func(c driver.Connector) driver.Connector {
				return &sqlConnector{Connector: c, inject: r.inject, proc: p.proc, committed: func() {
					r.version.Add(1)
				}, violate: r.violate}
			}})
	r.must(err)
	p.rows = rows
	p.server = server.New(rows, r.bucket, reviews.Authenticator(r.clock), r.clock,
		server.Options{URLLifetime: urlLifetime, SourceURLLifetime: time.Hour, SweepAge: sweepAge, SweepInterval: time.Hour})
	p.handler, err = p.server.Handler()
	r.must(err)
	p.sweeper = sweep.New(rows, r.bucket, r.clock, sweep.Options{Age: sweepAge})
	r.plane = p
}

// dial is a client with a token, for a process.
func (r *run) dial(p *proc, token string) *client.Client {
	r.t.Helper()
	c, err := client.New(client.Options{BaseURL: r.url, RetryFor: -1, HTTPClient: &http.Client{
		Transport: &faultyTransport{next: planeTransport{token, r}, layer: layerHTTP, inject: r.inject, proc: p}}})
	r.must(err)
	return c
}

// planeTransport adds the token.
type planeTransport struct {
	token string
	run   *run
}

func (t planeTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+t.token)
	return t.run.network.RoundTrip(req)
}

// planeActor is what runs beside the API in the data plane: housekeeping and exports.
type planeActor struct {
	run  *run
	nap  nap
	down bool
}

func (a *planeActor) name() string { return "dataplane" }

func (a *planeActor) due() (time.Time, bool) {
	if a.run.plane.proc.dead.Load() && !a.down {
		// A new process takes a moment; until then nobody answers.
		a.down = true
		a.nap.until(a.run.now().Add(2 * time.Second))
	}
	return a.nap.due(a.run)
}

func (a *planeActor) step() {
	r := a.run
	if a.down {
		_ = r.plane.rows.Close()
		r.startPlane()
		a.down = false
	}
	a.nap.see(r)
	p := r.plane
	next, err := p.rows.Housekeep(p.proc.ctx)
	if err != nil {
		a.nap.until(r.now().Add(time.Second))
		return
	}
	found, err := p.server.ExportNext(p.proc.ctx)
	latest := r.now().Add(5 * time.Second)
	switch {
	case err != nil:
		a.nap.until(r.now().Add(2 * time.Second))
	case found:
		a.nap.until(r.now())
	case next.IsZero() || next.After(latest):
		a.nap.untilNews(latest)
	default:
		a.nap.untilNews(next)
	}
}
