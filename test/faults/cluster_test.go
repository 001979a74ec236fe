// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// cluster is the API server that all runs share; each has a namespace of its own.
var cluster struct {
	config *rest.Config
	http   *http.Client
	scheme *runtime.Scheme
	mapper apimeta.RESTMapper
	// admin is who applies objects and looks; its calls are not counted.
	admin client.WithWatch
}

// token is the administrator's.
const token = "administrator"

func startCluster(t *testing.T) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal(`KUBEBUILDER_ASSETS is not set: the sweep needs a real kube-apiserver and etcd. ` +
			`Run it with "make test" or "make faults", or: export KUBEBUILDER_ASSETS=$(hack/cluster/cluster assets)`)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cluster.scheme = runtime.NewScheme()
	must(clientgoscheme.AddToScheme(cluster.scheme))
	must(mrev1.AddToScheme(cluster.scheme))
	environment := &envtest.Environment{CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true, Scheme: cluster.scheme}
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	must(os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600))
	// Nobody watches and nobody is to be held up: calls go straight to etcd. With its cache, a list waits up to 100 ms
	// until the cache has heard of what others wrote.
	environment.ControlPlane.GetAPIServer().Configure().
		Set("watch-cache", "false").Set("enable-priority-and-fairness", "false").Set("token-auth-file", tokens)
	config, err := environment.Start()
	must(err)
	t.Cleanup(func() { _ = environment.Stop() })
	// A client's certificate is verified with each call, which is a tenth of what a call costs.
	config.CertData, config.KeyData, config.BearerToken = nil, nil, token
	config.QPS = -1
	// Statuses are read as they go by.
	config.ContentType = runtime.ContentTypeJSON
	cluster.config = config
	cluster.http, err = rest.HTTPClientFor(config)
	must(err)
	cluster.admin, err = client.NewWithWatch(config, client.Options{Scheme: cluster.scheme})
	must(err)
	cluster.mapper = cluster.admin.RESTMapper()
}

const (
	eventName  = "final"
	replayName = "best"
)

func plugin(name string, class mrev1.PluginClass, builtin string, change ...func(*mrev1.Plugin)) *mrev1.Plugin {
	p := &mrev1.Plugin{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: mrev1.PluginSpec{
		Class: class, MediaType: mrev1.MediaVideo,
		Runtime: mrev1.PluginRuntime{Builtin: &mrev1.BuiltinRuntime{Name: builtin}},
		Policy:  mrev1.PluginPolicy{TimeoutSeconds: 60, MaxAttempts: 3},
	}}
	for _, f := range change {
		f(p)
	}
	return p
}

func dependsOn(name string) func(*mrev1.Plugin) {
	return func(p *mrev1.Plugin) { p.Spec.DependsOn = []mrev1.LocalReference{{Name: name}} }
}

func use(name string) mrev1.PluginUse {
	return mrev1.PluginUse{Plugin: mrev1.RevisionReference{Name: name}}
}

// manifests are what a user applies.
func manifests(policy string) []client.Object {
	deletion := map[string]mrev1.DeletionPolicy{"delete": mrev1.DeletionDelete,
		"outputs": mrev1.DeletionRetainOutputs, "retain": mrev1.DeletionRetain}[policy]
	return []client.Object{
		plugin("scenes", mrev1.ClassFeaturer, "", func(p *mrev1.Plugin) {
			p.Spec.Runtime = mrev1.PluginRuntime{Container: &mrev1.ContainerRuntime{Image: "example.com/scenes:1",
				Command: []string{"/scenes"}, Pool: "gpu"}}
		}),
		plugin("peaks", mrev1.ClassFeaturer, "audio-peaks", func(p *mrev1.Plugin) { p.Spec.MediaType = mrev1.MediaAudio }),
		plugin("moments", mrev1.ClassSegmenter, "key-moment", dependsOn("peaks"), func(p *mrev1.Plugin) {
			p.Spec.Configuration = &apiextensionsv1.JSON{Raw: []byte(`{"preRollSeconds": 2}`)}
		}),
		plugin("snap", mrev1.ClassOptimizer, "snap", dependsOn("scenes")),
		plugin("name", mrev1.ClassLabeler, "template"),
		&mrev1.Profile{ObjectMeta: metav1.ObjectMeta{Name: "soccer"}, Spec: mrev1.ProfileSpec{
			ChunkSeconds: 6, MaxSegmentSeconds: 120, Segmenter: use("moments"), Optimizer: new(use("snap")),
			Labeler: new(use("name")), Processing: mrev1.ProcessingSpec{MinWorkers: 2,
				MinRenderers: 1, DrainTimeoutSeconds: 1800},
		}},
		&mrev1.Event{ObjectMeta: metav1.ObjectMeta{Name: eventName}, Spec: mrev1.EventSpec{
			Program: "Open 2026", ProfileRef: mrev1.RevisionReference{Name: "soccer"},
			Source:         mrev1.EventSource{File: &mrev1.FileSource{URL: "https://example.com/match.mp4"}},
			Clips:          mrev1.ClipsSpec{Original: mrev1.Render, Optimized: mrev1.Render, Thumbnails: mrev1.Render},
			DeletionPolicy: deletion,
		}},
		&mrev1.Replay{ObjectMeta: metav1.ObjectMeta{Name: replayName}, Spec: mrev1.ReplaySpec{
			EventRef: mrev1.LocalReference{Name: eventName}, AudioTrack: 1,
			Select: mrev1.ReplaySelection{
				ByDuration: &mrev1.SelectByDuration{DurationSeconds: 60, ToleranceSeconds: new(int32(10)), Distribution: "ByScore"},
				Features:   []mrev1.FeatureWeight{{Plugin: "peaks", Attribute: "AudioPeak", Weight: 80}},
			},
			Outputs: mrev1.ReplayOutputs{Resolutions: []string{"1280x720"}},
		}},
	}
}

// apply makes a namespace and what a user puts into it.
func (r *run) apply(ctx context.Context) {
	r.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "run-"}}
	r.must(cluster.admin.Create(ctx, ns))
	r.namespace = ns.Name
	for _, o := range manifests(r.at.deletion()) {
		o.SetNamespace(r.namespace)
		r.must(cluster.admin.Create(ctx, o))
		kind := ""
		switch o.(type) {
		case *mrev1.Plugin:
			kind = "Plugin"
		case *mrev1.Profile:
			kind = "Profile"
		case *mrev1.Event:
			kind, r.eventUID = "Event", string(o.GetUID())
		case *mrev1.Replay:
			kind, r.replayUID = "Replay", string(o.GetUID())
		default:
			r.t.Fatalf("%T", o)
		}
		r.objects = append(r.objects, item{kind, o.GetName()})
	}
}
