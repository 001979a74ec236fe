// SPDX-License-Identifier: Apache-2.0

// Package pipelinetest runs ingest, worker and render against a real data
// plane and a real object store.
package pipelinetest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/ingest"
	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
	"github.com/mre-operator/mre-operator/internal/render"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
	"github.com/mre-operator/mre-operator/plugin-runtime/builtin"
	"github.com/mre-operator/mre-operator/plugin-runtime/worker"
)

// childURL, in the environment, makes this program an ingest child of the data
// plane at that address.
const (
	childURL   = "MRE_TEST_CHILD_URL"
	childUID   = "MRE_TEST_CHILD_UID"
	childToken = "MRE_TEST_CHILD_TOKEN"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		os.Exit(ingestChild(url))
	}
	if kind := os.Getenv(pluginKind); kind != "" {
		os.Exit(pluginMain(kind))
	}
	os.Exit(storetest.Main(m))
}

func ingestChild(url string) int {
	reports := ingest.NewReporter(os.Stdout)
	c, err := client.New(client.Options{BaseURL: url, TokenFile: os.Getenv(childToken)})
	if err == nil {
		err = ingest.Run(context.Background(), ingest.Config{Client: c, EventUID: os.Getenv(childUID),
			Log:        slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
			Registered: reports.Registered})
	}
	if err != nil {
		reports.Failed(err)
		return 1
	}
	return 0
}

// plane is a running data plane with its bucket and a web server of sources.
type plane struct {
	t       *testing.T
	url     string
	manager *client.Client
	bucket  *objects.Bucket
}

func start(t *testing.T) *plane {
	t.Helper()
	bucket := storetest.Bucket(t)
	rows, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "dataplane.db"),
		store.Options{Location: bucket.Location})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rows.Close() })
	s := server.New(rows, bucket, authtest.New().Authenticator(clock.RealClock{}), clock.RealClock{}, server.Options{
		URLLifetime: 15 * time.Minute, SourceURLLifetime: time.Hour, SweepAge: time.Hour, SweepInterval: time.Hour,
	})
	listener, metrics := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, listener, metrics) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the data plane ended with %v", err)
		}
	})
	p := &plane{t: t, url: "http://" + listener.Addr().String(), bucket: bucket}
	p.manager = p.client(p.token(authtest.Token("mre-system", "mre-manager")))
	return p
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// agent is a client with the rights of an Event's Jobs.
func (p *plane) agent(uid string) *client.Client {
	p.t.Helper()
	return p.client(p.agentToken(uid))
}

func (p *plane) agentToken(uid string) string {
	p.t.Helper()
	return p.token(authtest.AgentToken("football", uid))
}

func (p *plane) token(token string) string {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

func (p *plane) client(tokenFile string) *client.Client {
	p.t.Helper()
	c, err := client.New(client.Options{BaseURL: p.url, TokenFile: tokenFile})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// serve makes a folder reachable as sources.
func serve(t *testing.T, dir string) string {
	t.Helper()
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(srv.Close)
	return srv.URL
}

// plan is a Profile with the five built-ins.
func plan(t *testing.T, uid, source string, chunkSeconds int32) api.Plan {
	t.Helper()
	plugin := func(name, builtinName string, media api.PlanPluginMediaType,
		config map[string]any, depends ...string) api.PlanPlugin {
		b, ok := builtin.Lookup(builtinName)
		if !ok {
			t.Fatalf("no built-in %s", builtinName)
		}
		if err := b.Validate(config); err != nil {
			t.Fatal(err)
		}
		return api.PlanPlugin{Name: name, Class: b.Class(), MediaType: media, Builtin: builtinName, Configuration: config,
			DependsOn: append([]string{}, depends...), Outputs: b.Outputs(), TimeoutSeconds: 60, MaxAttempts: 2,
			OnFailure: api.PlanPluginOnFailureSkip, LookbackChunks: b.LookbackChunks(config, chunkSeconds)}
	}
	video, audio := api.PlanPluginMediaTypeVideo, api.PlanPluginMediaTypeAudio
	units := (chunkSeconds + 5) / 6
	return api.Plan{
		Hash: "plan-" + uid,
		Event: api.PlanEvent{UID: uid, Namespace: "football", Name: "e-" + uid, Program: "Cup",
			Profile: "p", Start: time.Unix(0, 0).UTC()},
		Source:       api.PlanSource{FileURL: source},
		ChunkSeconds: chunkSeconds, UnitMicros: int64(chunkSeconds) * 1_000_000 / int64(units),
		MaxSegmentSeconds: 60, GapTimeoutSeconds: 60, DrainTimeoutSeconds: 600,
		Clips:     api.PlanClips{Original: true, Optimized: true, Thumbnails: true},
		Segmenter: "moments", Optimizer: new("cutter"), Labeler: new("namer"),
		Plugins: []api.PlanPlugin{
			plugin("cuts", "scene-change", video, map[string]any{}),
			plugin("peaks", "audio-peaks", audio, map[string]any{}),
			plugin("moments", "key-moment", video,
				map[string]any{"attributes": []any{"peaks.AudioPeak"}, "preRollSeconds": "3", "postRollSeconds": 2}, "peaks"),
			plugin("cutter", "snap", video, map[string]any{"attributes": "SceneChange"}, "cuts"),
			plugin("namer", "template", video,
				map[string]any{"template": `Cheer of {{printf "%.0f" (.Max "riseDb")}} dB`}, "peaks"),
		},
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ingest supervises a child of this very program.
func (p *plane) ingest(ctx context.Context, uid string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return ingest.Supervise(ctx, ingest.Config{Client: p.agent(uid), EventUID: uid, Log: discard()},
		[]string{"/usr/bin/env", childURL + "=" + p.url, childUID + "=" + uid, childToken + "=" + p.agentToken(uid), self})
}

// run works on an Event until it is complete.
func (p *plane) run(uid string, feed func(ctx context.Context) error) api.EventState {
	p.t.Helper()
	dir := p.t.TempDir()
	analyse, err := worker.New(filepath.Join(dir, "worker"), 64<<20)
	if err != nil {
		p.t.Fatal(err)
	}
	renderer, err := render.New(filepath.Join(dir, "render"), 64<<20)
	if err != nil {
		p.t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(p.t.Context())
	g.Go(func() error { return feed(ctx) })
	for pool, runner := range map[api.Pool]agent.Runner{api.PoolWork: analyse, api.PoolRender: renderer} {
		g.Go(func() error {
			err := agent.Run(ctx, agent.Config{Client: p.agent(uid), EventUID: uid, Holder: "test-" + pool, Pool: pool,
				Runner: runner, Patience: time.Minute,
				Log: slog.New(slog.NewTextHandler(testWriter{p.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			if err != nil {
				return fmt.Errorf("%s: %w", pool, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		p.t.Fatal(err)
	}
	return p.settled(uid)
}

// settled waits for the exports, which the data plane makes by itself.
func (p *plane) settled(uid string) api.EventState {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		e, err := p.manager.Event(p.t.Context(), uid)
		if err != nil {
			p.t.Fatal(err)
		}
		if e.State == api.EventStateStateComplete || e.State == api.EventStateStateFailed {
			return e
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("Event %s is %s: %v", uid, e.State, e)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}
