// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/objects"
)

const (
	installNamespace = "mre-system"
	namespace        = "chaos"
	audience         = "mre.media/dataplane"
	// urlLifetime is short, so that the last sweep of a deleted Event can be waited for.
	urlLifetime = time.Minute
)

// world is a whole install on one database: an API server, an object store, data planes and two managers.
type world struct {
	*testing.T
	ctx      context.Context
	dir      string
	rest     *rest.Config
	cluster  client.Client
	bucket   *objects.Bucket
	storeURL string
	planeURL string
	// plane calls with the manager's rights; it goes on calling for minutes, as those for the Jobs that are played do.
	plane     *dpclient.Client
	processes *processes
	node      *node

	mu     sync.Mutex
	random *rand.Rand
	wrong  []string
}

// newWorld starts an install whose data planes share the databases that are given, one process for each.
func newWorld(t *testing.T, random *rand.Rand, databases ...string) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{T: t, ctx: ctx, dir: t.TempDir(), random: random}
	program, err := filepath.Abs(*binary)
	w.must(err)
	logs := filepath.Join(w.dir, "logs")
	if *keep != "" {
		logs = filepath.Join(*keep, filepath.Base(t.Name()))
	}
	w.must(os.MkdirAll(logs, 0o755))
	w.processes = &processes{program: program, logs: logs, alive: map[*process]bool{}}
	w.startCluster()
	// Before the API server goes, those who need it do.
	t.Cleanup(func() {
		cancel()
		w.processes.stop()
	})
	w.startObjectStore()
	w.startDataPlanes(databases)
	w.plane = w.client(w.tokenFile(installNamespace, "mre-manager"))
	w.node = newNode(w)
	go w.node.run(ctx)
	for _, name := range []string{"manager-a", "manager-b"} {
		go w.processes.keep(ctx, "manager", name, []string{"KUBECONFIG=" + w.kubeconfig("mre-manager", name)}, w.note,
			"manager", "--health-listen="+w.freeAddress(), "--metrics-listen=0", "--leader-election-namespace="+installNamespace,
			"--dataplane-url="+w.planeURL, "--token-file="+w.tokenFile(installNamespace, "mre-manager"),
			"--agent-image=registry.example.com/mre:chaos", "--status-interval=1s")
	}
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// fault is something that must not happen.
func (w *world) fault(format string, args ...any) {
	w.Helper()
	text := fmt.Sprintf(format, args...)
	w.mu.Lock()
	w.wrong = append(w.wrong, text)
	w.mu.Unlock()
	w.Error(text)
}

// note is for a person to read.
func (w *world) note(format string, args ...any) {
	if w.ctx.Err() == nil {
		w.Logf(format, args...)
	}
}

// dice are random numbers for one who rolls alone.
func (w *world) dice() *rand.Rand {
	w.mu.Lock()
	defer w.mu.Unlock()
	return rand.New(rand.NewPCG(w.random.Uint64(), 0))
}

func (w *world) startCluster() {
	w.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		w.Fatal("KUBEBUILDER_ASSETS is not set: run make chaos, or export KUBEBUILDER_ASSETS=$(hack/cluster/cluster assets)")
	}
	scheme := runtime.NewScheme()
	w.must(clientgoscheme.AddToScheme(scheme))
	w.must(mrev1alpha1.AddToScheme(scheme))
	ctrllog.SetLogger(logr.Discard())
	environment := &envtest.Environment{CRDDirectoryPaths: []string{root + "/config/crd/bases"},
		ErrorIfCRDPathMissing: true, Scheme: scheme}
	// Nothing here outlives a loss of power.
	environment.ControlPlane.Etcd = &envtest.Etcd{}
	environment.ControlPlane.Etcd.Configure().Append("unsafe-no-fsync", "true")
	var err error
	w.rest, err = environment.Start()
	w.must(err)
	w.Cleanup(func() { _ = environment.Stop() })
	w.cluster, err = client.New(w.rest, client.Options{Scheme: scheme})
	w.must(err)
	for _, name := range []string{installNamespace, namespace} {
		w.must(w.cluster.Create(w.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	// The parts have the rights that they have in a cluster, and no others.
	var files []string
	for _, name := range []string{"service_account", "role", "role_binding", "leader_election", "dataplane"} {
		files = append(files, root+"/config/rbac/"+name+".yaml")
	}
	manifests, err := clusterclient.ReadManifests(files...)
	w.must(err)
	for _, m := range manifests {
		w.must(w.cluster.Create(w.ctx, m))
	}
	w.must(w.cluster.Create(w.ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mre-agent"}}))
}

func (w *world) startObjectStore() {
	w.Helper()
	address := w.freeAddress()
	w.Setenv("AWS_ACCESS_KEY_ID", "chaos-access-key")
	w.Setenv("AWS_SECRET_ACCESS_KEY", "chaos-secret-key")
	data := filepath.Join(w.dir, "objects")
	w.must(os.MkdirAll(data, 0o755))
	_, err := w.processes.start("objectstore", "objectstore", nil, "objectstore", "--data-dir="+data, "--listen="+address)
	w.must(err)
	w.storeURL = "http://" + address
	w.ready(w.storeURL + "/healthz")
	w.bucket, err = objects.Open(w.ctx,
		objects.Config{Bucket: "mre", Endpoint: w.storeURL, Region: "us-east-1", PathStyle: true})
	w.must(err)
	w.must(w.bucket.EnsureBucket(w.ctx))
}

func (w *world) startDataPlanes(databases []string) {
	w.Helper()
	var backends []string
	for i, database := range databases {
		address := w.freeAddress()
		backends = append(backends, address)
		name := fmt.Sprintf("dataplane-%d", i)
		go w.processes.keep(w.ctx, "dataplane", name, []string{"MRE_DATABASE=" + database}, w.fault,
			"dataplane", "--listen="+address, "--metrics-listen="+w.freeAddress(), "--lease-duration="+lease.String(),
			"--bucket=mre", "--object-store-endpoint="+w.storeURL,
			"--object-store-path-style", "--kubeconfig="+w.kubeconfig("mre-dataplane", name),
			"--url-lifetime="+urlLifetime.String(), "--sweep-age="+urlLifetime.String(), "--sweep-interval=10s")
	}
	w.planeURL = "http://" + backends[0]
	if len(backends) > 1 {
		w.planeURL = "http://" + w.balance(backends)
	}
	w.ready(w.planeURL + "/readyz")
}

// balance forwards connections to one backend after the other, and to another one when one is down, as a Service does.
func (w *world) balance(backends []string) string {
	w.Helper()
	var listen net.ListenConfig
	listener, err := listen.Listen(w.ctx, "tcp", "127.0.0.1:0")
	w.must(err)
	context.AfterFunc(w.ctx, func() { listener.Close() })
	go func() {
		for turn := 0; ; turn++ {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				var dialer net.Dialer
				for i := range backends {
					out, err := dialer.DialContext(w.ctx, "tcp", backends[(turn+i)%len(backends)])
					if err != nil {
						continue
					}
					splice(in, out)
					return
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// splice copies both ways until either side ends.
func splice(a, b net.Conn) {
	defer b.Close()
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = pair[0].(*net.TCPConn).ReadFrom(pair[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// ready waits until a URL answers 200.
func (w *world) ready(url string) {
	w.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		request, err := http.NewRequestWithContext(w.ctx, http.MethodGet, url, nil)
		w.must(err)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	w.Fatalf("%s is not ready after 2 minutes", url)
}

// token is what a pod of the ServiceAccount finds mounted; without audiences it is for the API server.
func (w *world) token(namespace, account string, audiences ...string) (string, error) {
	return w.boundToken(namespace, account, nil, audiences...)
}

// podToken is for the data plane.
func (w *world) podToken(pod *corev1.Pod) (string, error) {
	return w.boundToken(pod.Namespace, pod.Spec.ServiceAccountName,
		&authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}, audience)
}

func (w *world) boundToken(namespace, account string,
	to *authenticationv1.BoundObjectReference, audiences ...string) (string, error) {
	day := int64(24 * 3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences,
		ExpirationSeconds: &day, BoundObjectRef: to}}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	if err := w.cluster.SubResource("token").Create(w.ctx, sa, request); err != nil {
		return "", fmt.Errorf("make a token for %s/%s: %w", namespace, account, err)
	}
	return request.Status.Token, nil
}

func (w *world) tokenFile(namespace, account string) string {
	w.Helper()
	token, err := w.token(namespace, account, audience)
	w.must(err)
	file := filepath.Join(w.dir, account+".token")
	w.must(os.WriteFile(file, []byte(token), 0o600))
	return file
}

func (w *world) kubeconfig(account, name string) string {
	w.Helper()
	token, err := w.token(installNamespace, account)
	w.must(err)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: w.rest.Host, CertificateAuthorityData: w.rest.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	file := filepath.Join(w.dir, name+".kubeconfig")
	w.must(clientcmd.WriteToFile(*config, file))
	return file
}

func (w *world) client(tokenFile string) *dpclient.Client {
	w.Helper()
	c, err := dpclient.New(dpclient.Options{BaseURL: w.planeURL, TokenFile: tokenFile, RetryFor: 5 * time.Minute})
	w.must(err)
	return c
}

var taken sync.Map

// freeAddress is handed out once: its port is listened on again and again.
func (w *world) freeAddress() string {
	w.Helper()
	var listen net.ListenConfig
	for range 100 {
		l, err := listen.Listen(w.ctx, "tcp", "127.0.0.1:0")
		w.must(err)
		address := l.Addr().String()
		w.must(l.Close())
		if _, used := taken.LoadOrStore(address, true); !used {
			return address
		}
	}
	w.must(errors.New("no port is free"))
	return ""
}
