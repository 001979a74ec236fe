// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

// Tokens of the callers in these tests.
var (
	manager      = authtest.Token("mre-system", "mre-manager")
	viewer       = authtest.Token("mre-system", "mre-viewer")
	agent        = authtest.AgentToken("football", matchUID)
	foreignAgent = authtest.AgentToken("tennis", matchUID)
	otherAgent   = authtest.AgentToken("football", "another")
	podless      = authtest.Token("football", authtest.Agent)
	reader       = authtest.Token("football", "reader")
	stranger     = authtest.Token("football", "default")
	nobody       = ""
)

// plane is a running data plane: real rows, a real bucket and real HTTP.
type plane struct {
	t       *testing.T
	url     string
	metrics string
	store   *store.Store
	bucket  *objects.Bucket
	stop    func() error
}

func start(t *testing.T) *plane {
	t.Helper()
	return startOn(t, storetest.Bucket(t))
}

func startOn(t *testing.T, bucket *objects.Bucket) *plane {
	t.Helper()
	rows, err := store.Open(t.Context(), database(t), store.Options{Location: bucket.Location})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	p := &plane{t: t, store: rows, bucket: bucket}
	p.run()
	return p
}

// run starts a process, on what an earlier one has left.
func (p *plane) run() {
	t := p.t
	t.Helper()
	options := server.Options{
		URLLifetime: 15 * time.Minute, SourceURLLifetime: 12 * time.Hour, SweepAge: time.Hour, SweepInterval: time.Hour,
	}
	cluster := authtest.New(authtest.Right{Token: reader, Verb: "get", Namespace: "football", Event: "final"})
	s := server.New(p.store, p.bucket, cluster.Authenticator(clock.RealClock{}), clock.RealClock{}, options)
	api, metrics := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, api, metrics) }()
	p.url, p.metrics = "http://"+api.Addr().String(), "http://"+metrics.Addr().String()+"/metrics"
	stopped := false
	p.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	stop := p.stop
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the data plane ended with %v", err)
		}
	})
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// as is a client of a caller.
func (p *plane) as(token string) *api.ClientWithResponses {
	p.t.Helper()
	client, err := api.NewClientWithResponses(p.url,
		api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			if token != nobody {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			return nil
		}))
	if err != nil {
		p.t.Fatal(err)
	}
	return client
}

// answer is what every generated response can say.
type answer interface {
	StatusCode() int
	GetBody() []byte
}

// must fails the test unless the status is the wanted one.
func must[T answer](t *testing.T, want int) func(T, error) T {
	return func(got T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode() != want {
			t.Fatalf("status %d, want %d: %s", got.StatusCode(), want, got.GetBody())
		}
		return got
	}
}

// upload sends a body to a presigned URL.
func upload(t *testing.T, to api.Upload, body []byte) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, to.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range to.Headers {
		request.Header.Set(name, value)
	}
	status, _ := do(t, request)
	return status
}

func download(t *testing.T, from string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, request)
}

func do(t *testing.T, request *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// stored lists the bucket.
func (p *plane) stored() []string {
	p.t.Helper()
	var keys []string
	for object, err := range p.bucket.List(p.t.Context(), "") {
		if err != nil {
			p.t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}
