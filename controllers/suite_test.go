// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

var (
	restConfig *rest.Config
	k8s        client.Client
	plane      *dataPlane
	suite      *testing.T
	testScheme = runtime.NewScheme()
)

// TestControllers runs the manager against a real API server and a real data plane. There is no controller
// of Jobs and no node: the specs play both.
func TestControllers(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal(`KUBEBUILDER_ASSETS is not set: these tests need a real kube-apiserver and etcd. ` +
			`Run them with "make test", or build the programs and name their folder: ` +
			`export KUBEBUILDER_ASSETS=$(hack/cluster/cluster assets)`)
	}
	suite = t
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "controllers")
}

var _ = BeforeSuite(func() {
	logf.SetLogger(GinkgoLogr)
	Expect(clientgoscheme.AddToScheme(testScheme)).To(Succeed())
	Expect(mrev1.AddToScheme(testScheme)).To(Succeed())

	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		Scheme:                testScheme,
	}
	var err error
	restConfig, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(environment.Stop)
	k8s, err = client.New(restConfig, client.Options{Scheme: testScheme})
	Expect(err).NotTo(HaveOccurred())

	ensureNamespace(context.Background(), "mre-system")
	installRoles()
	plane = startDataPlane(storetest.Bucket(suite))
	// Two managers work at once, as they may for a moment when a leader is cut off: nothing depends on
	// there being one.
	startManager(testManager{without: apart})
	startManager(testManager{without: apart})
})

// installRoles applies what config allows the manager, the data plane and people, so that the specs show that it is
// enough.
func installRoles() {
	GinkgoHelper()
	for _, file := range []string{"rbac/service_account.yaml", "rbac/role.yaml",
		"rbac/role_binding.yaml", "rbac/leader_election.yaml",
		"rbac/dataplane.yaml", "roles/event_roles.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "config", file))
		Expect(err).NotTo(HaveOccurred())
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			u := &unstructured.Unstructured{}
			Expect(yaml.Unmarshal([]byte(document), &u.Object)).To(Succeed())
			Expect(k8s.Create(context.Background(), u)).To(Succeed())
		}
	}
}

// apart are namespaces that have managers of their own.
var apart = []string{"apart-leaders", "apart-sharing", "apart-lost"}

// testManager is how a manager differs from the one that a plain install runs.
type testManager struct {
	// only is the one namespace that it looks at, or without are those that it does not.
	only    string
	without []string
	// elects: it works only while it leads.
	elects  bool
	plane   *dataPlane
	options func(*Options)
}

// startManager runs every reconciler as the manager does, with its rights, but as a rule without leader
// election. It returns the manager and what kills it, as a crash would: nothing is handed over.
func startManager(how testManager) (ctrl.Manager, func()) {
	GinkgoHelper()
	selected, err := CacheOptions()
	Expect(err).NotTo(HaveOccurred())
	var without []fields.Selector
	for _, namespace := range how.without {
		without = append(without, fields.OneTermNotEqualSelector("metadata.namespace", namespace))
	}
	selected.DefaultFieldSelector = fields.AndSelectors(without...)
	if how.only != "" {
		selected.DefaultNamespaces = map[string]cache.Config{how.only: {}}
	}
	if how.plane == nil {
		how.plane = plane
	}
	account := rest.AnonymousClientConfig(restConfig)
	account.BearerToken = token("mre-system", "mre-manager")
	mgr, err := ctrl.NewManager(account, ctrl.Options{
		Scheme: testScheme, Cache: selected, Metrics: metricsserver.Options{BindAddress: "0"},
		LeaderElection: how.elects, LeaderElectionID: "manager.mre.media", LeaderElectionNamespace: "mre-system",
		LeaseDuration: ptr.To(2 * time.Second), RenewDeadline: ptr.To(1500 * time.Millisecond),
		RetryPeriod: ptr.To(300 * time.Millisecond),
		Controller:  config.Controller{SkipNameValidation: new(true), EnableWarmup: new(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	options := DefaultOptions()
	options.AgentImage = "registry.example.com/mre:test"
	options.DataPlaneURL = how.plane.url
	options.StatusInterval = time.Second
	options.Resources, err = AgentResources("250m", "256Mi", "2Gi")
	Expect(err).NotTo(HaveOccurred())
	if how.options != nil {
		how.options(&options)
	}

	ctx, cancel := context.WithCancel(context.Background())
	Expect(SetupWithManager(ctx, mgr, how.plane.as("mre-system", "mre-manager", &how.plane.cut), options)).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	kill := sync.OnceFunc(func() {
		cancel()
		// A manager that was waiting to lead ends without a word; one that led says that it no longer does.
		<-ended
	})
	DeferCleanup(kill)
	return mgr, kill
}

// newNamespace is a namespace for one spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-"}}
	Expect(k8s.Create(ctx, ns)).To(Succeed())
	return ns.Name
}

func ensureNamespace(ctx context.Context, name string) {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(client.IgnoreAlreadyExists(k8s.Create(ctx, ns))).To(Succeed())
}
