// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	utilclock "k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
	"github.com/mre-operator/mre-operator/test/support/jobpod"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

const (
	install = "mre-system"
	root    = "../.."
	// The match has three chunks of one unit each, 25 frames a second.
	unitMicros = 6_000_000
	unitFrames = 150
	matchUnits = 3
	origin     = 126_000
)

// world is an API server, a data plane and an object store, all of them real. The way into the cluster, a
// port-forward, is the only thing that a kubelet would be needed for: here it is a connection.
type world struct {
	t *testing.T
	// admin may do everything.
	admin *clusterclient.Cluster
	// person has the rights that docs/kubectl.md says people need.
	person *rest.Config
	mu     sync.Mutex
	// ranges are the parts of objects that were asked for.
	ranges  []string
	address string
	manager *dpclient.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal(`KUBEBUILDER_ASSETS is not set: run "make test", or export KUBEBUILDER_ASSETS=$(hack/cluster/cluster assets)`)
	}
	environment := &envtest.Environment{CRDs: crds(t)}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t}
	if w.admin, err = clusterclient.New(config, install); err != nil {
		t.Fatal(err)
	}
	user, err := environment.AddUser(envtest.User{Name: "maria"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.person = user.Config()
	w.prepareCluster()
	w.startDataPlane()
	return w
}

// crds are the kinds, with the fields of the spec that the commands set, whether or not this version has them.
func crds(t *testing.T) []*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	files, err := filepath.Glob(root + "/config/crd/bases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	var all []*apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.Unmarshal(text, crd); err != nil {
			t.Fatal(err)
		}
		if crd.Spec.Names.Kind == "Event" {
			spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
			for _, field := range []string{"suspend", "finish"} {
				if _, ok := spec.Properties[field]; !ok {
					spec.Properties[field] = apiextensionsv1.JSONSchemaProps{Type: "boolean"}
				}
			}
		}
		all = append(all, crd)
	}
	return all
}

// must ends the test on an error.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) create(objects ...client.Object) {
	w.t.Helper()
	for _, o := range objects {
		w.must(w.admin.Create(w.t.Context(), o))
	}
}

// prepareCluster makes the namespaces, the accounts, and the rights of a person.
func (w *world) prepareCluster() {
	w.t.Helper()
	for _, name := range []string{install, "football"} {
		w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	manifests, err := clusterclient.ReadManifests(root+"/config/rbac/service_account.yaml",
		root+"/config/rbac/viewer.yaml", root+"/config/roles/event_roles.yaml", root+"/config/roles/replay_roles.yaml")
	w.must(err)
	for _, o := range manifests {
		w.create(o)
	}
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "mre-agent"}})
	// Nobody aggregates roles here, so that the parts of the role edit are bound one by one.
	for role, in := range map[string]string{"mre-event-editor": "football", "mre-replay-viewer": "football",
		"system:aggregate-to-view": "football", "mre-viewer": install} {
		w.bind(role, in, "maria")
	}
}

// bind gives somebody a role; those of the install's namespace are no ClusterRoles.
func (w *world) bind(role, namespace, who string) {
	w.t.Helper()
	kind := "ClusterRole"
	if namespace == install {
		kind = "Role"
	}
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: strings.ReplaceAll(who, ":", "-") + "-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: who}},
	})
}

// admit lets somebody make tokens of an account of theirs, and reach the data plane.
func (w *world) admit(who, account string) {
	w.t.Helper()
	tokens := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "tokens-of-" + account},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"},
			ResourceNames: []string{account}, Verbs: []string{"create"}}}}
	w.create(tokens, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "football", GenerateName: who + "-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: tokens.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: who}},
	})
	w.bind("mre-visitor", install, who)
}

func (w *world) startDataPlane() {
	w.t.Helper()
	bucket := storetest.Bucket(w.t)
	w.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	rows, err := store.Open(w.t.Context(), filepath.Join(w.t.TempDir(), "dataplane.db"),
		store.Options{Location: bucket.Location})
	w.must(err)
	w.t.Cleanup(func() { rows.Close() })
	objects, err := metadata.NewForConfig(w.admin.Config)
	w.must(err)
	s := server.New(rows, bucket, auth.NewAuthenticator(w.admin.Kube, objects, auth.Accounts{
		Manager: auth.ServiceAccount{Namespace: install, Name: "mre-manager"}, AgentName: "mre-agent",
		Viewers: []auth.ServiceAccount{{Namespace: install, Name: "mre-viewer"}},
	}, utilclock.RealClock{}), utilclock.RealClock{}, server.Options{
		URLLifetime: 15 * time.Minute, SourceURLLifetime: time.Hour, SweepAge: time.Hour, SweepInterval: time.Hour,
	})
	var listeners [2]net.Listener
	for i := range listeners {
		listeners[i], err = net.Listen("tcp", "127.0.0.1:0")
		w.must(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, listeners[0], listeners[1]) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the data plane ended with %v", err)
		}
	})
	w.address = listeners[0].Addr().String()
	w.admin.HTTP = w.web()
	w.manager = w.as(install, "mre-manager")
}

// web reaches the data plane under its name in the cluster.
func (w *world) web() *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "mre-dataplane.") {
			address = w.address
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	w.t.Cleanup(transport.CloseIdleConnections) // the object store waits for them when it ends
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if part := r.Header.Get("Range"); part != "" {
			w.mu.Lock()
			w.ranges = append(w.ranges, part)
			w.mu.Unlock()
		}
		return transport.RoundTrip(r)
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// as is a client with the rights of a ServiceAccount.
func (w *world) as(namespace, account string) *dpclient.Client {
	w.t.Helper()
	c, err := w.admin.DataPlaneAs(namespace, account)
	w.must(err)
	return c
}

// match drives an Event through the data plane as its Jobs would.
type match struct {
	*world
	uid string
	// agent has the rights of the Event's Jobs.
	agent *dpclient.Client
	// broken names the featurer of a chunk that fails for good.
	broken      bool
	brokenChunk int64
}

func (w *world) newMatch(event *mrev1.Event) *match {
	w.t.Helper()
	pod, err := jobpod.ForEvent(w.t.Context(), w.admin, event, "mre-agent")
	w.must(err)
	agent, err := w.admin.DataPlaneAsPod(pod)
	w.must(err)
	return &match{world: w, uid: string(event.UID), agent: agent}
}

func plan(uid string) api.Plan {
	plugin := func(name string, class api.PlanPluginClass, depends ...string) api.PlanPlugin {
		return api.PlanPlugin{
			Name: name, Class: class, MediaType: api.PlanPluginMediaTypeVideo, Builtin: name,
			Configuration: map[string]any{}, DependsOn: append([]string{}, depends...), Outputs: []string{"Goal"},
			TimeoutSeconds: 60, MaxAttempts: 2, OnFailure: api.PlanPluginOnFailureSkip,
		}
	}
	return api.Plan{
		Hash: "plan-1",
		Event: api.PlanEvent{UID: uid, Namespace: "football", Name: "final", Program: "Cup",
			Profile: "soccer", Start: time.Unix(0, 0).UTC()},
		Source:       api.PlanSource{FileURL: "https://example.com/final.mp4"},
		ChunkSeconds: 6, UnitMicros: unitMicros, MaxSegmentSeconds: 60, GapTimeoutSeconds: 60, DrainTimeoutSeconds: 600,
		Clips:     api.PlanClips{Original: true, Thumbnails: true},
		Segmenter: "moments", Labeler: new("namer"),
		Plugins: []api.PlanPlugin{
			plugin("cuts", api.PlanPluginClassFeaturer), plugin("crowd", api.PlanPluginClassFeaturer),
			plugin("moments", api.PlanPluginClassSegmenter, "cuts"), plugin("namer", api.PlanPluginClassLabeler, "cuts"),
		},
	}
}

// begin stores the plan and the timeline.
func (m *match) begin() {
	m.t.Helper()
	_, err := m.manager.PutPlan(m.t.Context(), m.uid, plan(m.uid))
	m.must(err)
	m.must(m.agent.PutTimeline(m.t.Context(), m.uid, api.Timeline{
		OriginTicks: origin, Rate: api.Rational{Num: 25, Den: 1}, Width: 1920, Height: 1080, Ingest: api.TimelineIngestCopy,
		AudioTracks: []api.AudioTrack{{Track: 1, StreamIndex: 1, Codec: "aac", SampleRate: 48000, Channels: 2}},
	}))
}

// ingest stores units from one to before another.
func (m *match) ingest(from, to int64) {
	m.t.Helper()
	for n := from; n < to; n++ {
		key := api.UnitKey{FirstTicks: origin + n*unitFrames*3600}
		minted, err := m.agent.MintUnitURL(m.t.Context(), m.uid, key)
		m.must(err)
		body := fmt.Appendf(nil, "unit %d", n)
		m.put(minted, body)
		m.must(m.agent.RegisterUnit(m.t.Context(), m.uid, api.Unit{
			FirstTicks: key.FirstTicks, Key: minted.Key, StartMicros: n * unitMicros, EndMicros: (n + 1) * unitMicros,
			FirstFrame: n * unitFrames, Frames: unitFrames, IdrFrames: []int64{n * unitFrames},
			PayloadSHA256: strings.Repeat(fmt.Sprint(n), 64), Bytes: int64(len(body)),
		}))
	}
	if to == matchUnits {
		m.must(m.agent.EndSource(m.t.Context(), m.uid, api.SourceEnd{Frames: matchUnits * unitFrames}))
	}
}

func (m *match) put(to api.Upload, body []byte) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodPut, to.URL, bytes.NewReader(body))
	m.must(err)
	for name, value := range to.Headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	m.must(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		m.t.Fatalf("upload of %s: %s", to.Key, response.Status)
	}
}

// work does tasks of a pool until there are none left.
func (m *match) work(pool api.Pool) {
	m.t.Helper()
	for {
		answer, err := m.agent.Lease(m.t.Context(), m.uid, api.LeaseRequest{Pool: pool, Holder: "final-worker-0"})
		m.must(err)
		if answer.Outcome != api.LeaseResponseOutcomeTask {
			return
		}
		lease := *answer.Lease
		if in := lease.Input.Featurer; in != nil && m.broken && in.Plugin.Name == "crowd" &&
			in.Chunk.Number == m.brokenChunk {
			m.must(m.agent.Fail(m.t.Context(), m.uid, lease.TaskID,
				api.TaskFailure{Token: lease.Token, Message: "the model answers 503\n\x1b[31mService Unavailable"}))
			continue
		}
		output := m.do(lease)
		output.Token = lease.Token
		_, err = m.agent.Complete(m.t.Context(), m.uid, lease.TaskID, output)
		m.must(err)
	}
}

func (m *match) do(lease api.Lease) api.TaskOutput {
	m.t.Helper()
	input := lease.Input
	switch {
	case input.Framer != nil:
		return api.TaskOutput{Signals: new(json.RawMessage(`{}`))}
	case input.Featurer != nil:
		start := input.Featurer.Chunk.StartMicros
		return api.TaskOutput{Results: []api.NewResult{{StartMicros: start + 1_000_000,
			EndMicros: start + 2_000_000, Attributes: map[string]any{"Goal": true}}}}
	case input.Segmenter != nil && input.Segmenter.Final:
		return api.TaskOutput{}
	case input.Segmenter != nil:
		start := input.Segmenter.Chunk.StartMicros
		return api.TaskOutput{Segments: []api.SegmentUpdate{{StartMicros: start + 1_000_000,
			EndMicros: new(start + 4_000_000), Attributes: map[string]any{}}}}
	case input.Labeler != nil:
		var labels []api.SegmentLabel
		for _, s := range input.Labeler.Segments {
			labels = append(labels, api.SegmentLabel{SegmentID: s.ID,
				Label: "Goal! 1:0", Code: "ok", Attributes: map[string]any{}})
		}
		return api.TaskOutput{Labels: labels}
	case input.Clip != nil:
		return api.TaskOutput{Media: m.render(input.Clip.Mp4, input.Clip.Jpg, input.Clip.Out.Frame-input.Clip.In.Frame)}
	case input.Reel != nil:
		frames := int64(0)
		for _, part := range input.Reel.Parts {
			frames += part.Out.Frame - part.In.Frame
		}
		return api.TaskOutput{Media: m.render(input.Reel.Mp4, &input.Reel.Jpg, frames)}
	}
	m.t.Fatalf("a lease of a %s without an input that this test knows", lease.Kind)
	return api.TaskOutput{}
}

// mediaOf is what the file of a key holds: a megabyte that is unlike that of other keys.
func mediaOf(key string) []byte { return bytes.Repeat([]byte(key+"\n"), 1<<20/(len(key)+1)) }

func (m *match) render(mp4 api.Upload, jpg *api.Upload, frames int64) *api.MediaProof {
	m.t.Helper()
	body := mediaOf(mp4.Key)
	m.put(mp4, body)
	proof := &api.MediaProof{
		Key: mp4.Key, Frames: frames, Width: 1920, Height: 1080, Bytes: int64(len(body)),
		DurationMicros: frames * 40_000, Method: api.MediaProofMethodReencode, MethodReason: "test",
	}
	if jpg != nil {
		m.put(*jpg, []byte("jpg"))
		proof.ThumbnailKey = &jpg.Key
	}
	return proof
}
