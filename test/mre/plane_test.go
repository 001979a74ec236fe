// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// Units are 5 s long at 25 frames a second, and chunks have two of them.
const (
	unitMicros = 5_000_000
	unitFrames = 125
	origin     = 126_000
	perChunk   = 2
)

// plane is a running data plane.
type plane struct {
	url     string
	manager *client.Client
	agents  map[string]*client.Client
}

func startPlane(t testing.TB) *plane {
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
	p := &plane{url: "http://" + listener.Addr().String(), agents: map[string]*client.Client{}}
	p.manager = p.client(t, authtest.Token("mre-system", "mre-manager"))
	return p
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// agent is a client with the rights of an Event's Jobs.
func (p *plane) agent(t testing.TB, uid string) *client.Client {
	t.Helper()
	if p.agents[uid] == nil {
		p.agents[uid] = p.client(t, authtest.AgentToken("football", uid))
	}
	return p.agents[uid]
}

func (p *plane) client(t testing.TB, token string) *client.Client {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Options{BaseURL: p.url, TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// begin stores a plan and the timeline: two audio tracks that are no. 2 and 3 in the source.
func (p *plane) begin(t testing.TB, plan api.Plan) {
	t.Helper()
	if _, err := p.manager.PutPlan(t.Context(), plan.Event.UID, plan); err != nil {
		t.Fatal(err)
	}
	err := p.agent(t, plan.Event.UID).PutTimeline(t.Context(), plan.Event.UID,
		api.Timeline{OriginTicks: origin, Rate: api.Rational{Num: 25, Den: 1}, Width: 1920, Height: 1080,
			Ingest: api.TimelineIngestCopy, AudioTracks: []api.AudioTrack{
				{Track: 1, StreamIndex: 2, Codec: "aac", SampleRate: 48000, Channels: 2},
				{Track: 2, StreamIndex: 3, Codec: "aac", SampleRate: 48000, Channels: 2}}})
	if err != nil {
		t.Fatal(err)
	}
}

// ingest stores units up to the end of a chunk; at the last chunk the source ends.
func (p *plane) ingest(t testing.TB, uid string, from, to, last int64) {
	t.Helper()
	for n := (from - 1) * perChunk; n < to*perChunk; n++ {
		first := origin + n*unitFrames*3600
		up, err := p.agent(t, uid).MintUnitURL(t.Context(), uid, api.UnitKey{FirstTicks: first})
		if err != nil {
			t.Fatal(err)
		}
		body := unitBody(n)
		put(t, up, body)
		err = p.agent(t, uid).RegisterUnit(t.Context(), uid,
			api.Unit{FirstTicks: first, Key: up.Key, StartMicros: n * unitMicros, EndMicros: (n + 1) * unitMicros,
				FirstFrame: n * unitFrames, Frames: unitFrames, IdrFrames: []int64{n * unitFrames},
				PayloadSHA256: fmt.Sprintf("%064d", n), Bytes: int64(len(body))})
		if err != nil {
			t.Fatal(err)
		}
	}
	if to == last {
		if err := p.agent(t, uid).EndSource(t.Context(), uid,
			api.SourceEnd{Frames: last * perChunk * unitFrames}); err != nil {
			t.Fatal(err)
		}
	}
}

// unitBody is what these tests store as media: nobody decodes it.
func unitBody(n int64) []byte { return []byte(strings.Repeat(fmt.Sprintf("unit %d;", n), 100)) }

func put(t testing.TB, to api.Upload, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, to.URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range to.Headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("upload: %s", resp.Status)
	}
}
