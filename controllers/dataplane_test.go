// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	k8sclient "sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/test/support/jobpod"
)

// dataPlane is the real data plane: SQLite, an S3 store, and tokens that the API server reviews.
type dataPlane struct {
	url    string
	bucket *objects.Bucket
	// cut, while true, keeps the manager's calls from arriving.
	cut atomic.Bool
}

func startDataPlane(bucket *objects.Bucket) *dataPlane {
	GinkgoHelper()
	rows, err := store.Open(context.Background(), filepath.Join(suite.TempDir(), "dataplane.db"),
		store.Options{Clock: clock.RealClock{}, Location: bucket.Location})
	Expect(err).NotTo(HaveOccurred())
	account := rest.AnonymousClientConfig(restConfig)
	account.BearerToken, account.QPS = token("mre-system", "mre-dataplane"), -1
	cluster, err := kubernetes.NewForConfig(account)
	Expect(err).NotTo(HaveOccurred())
	objects, err := metadata.NewForConfig(account)
	Expect(err).NotTo(HaveOccurred())
	accounts := auth.Accounts{
		Manager:   auth.ServiceAccount{Namespace: "mre-system", Name: "mre-manager"},
		AgentName: "mre-agent",
	}
	s := server.New(rows, bucket, auth.NewAuthenticator(cluster, objects, accounts, clock.RealClock{}),
		clock.RealClock{}, server.Options{
			URLLifetime: 15 * time.Minute, SourceURLLifetime: time.Hour, SweepAge: time.Hour, SweepInterval: time.Hour,
		})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	metrics, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, listener, metrics) }()
	DeferCleanup(func() {
		cancel()
		Expect(<-ended).To(Succeed())
		Expect(rows.Close()).To(Succeed())
	})
	return &dataPlane{url: "http://" + listener.Addr().String(), bucket: bucket}
}

// token is what a pod of the ServiceAccount would find mounted; without audiences it is for the API server.
func token(namespace, account string, audiences ...string) string {
	GinkgoHelper()
	ctx := context.Background()
	ensureNamespace(ctx, namespace)
	return requestToken(ensureAccount(ctx, namespace, account), nil, audiences...)
}

func ensureAccount(ctx context.Context, namespace, account string) *corev1.ServiceAccount {
	GinkgoHelper()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	Expect(k8sclient.IgnoreAlreadyExists(k8s.Create(ctx, sa))).To(Succeed())
	return sa
}

func requestToken(sa *corev1.ServiceAccount,
	boundTo *authenticationv1.BoundObjectReference, audiences ...string) string {
	GinkgoHelper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: audiences, ExpirationSeconds: ptr.To[int64](tokenSeconds), BoundObjectRef: boundTo}}
	ctx := context.Background()
	Expect(k8s.SubResource("token").Create(ctx, sa, request)).To(Succeed())
	return request.Status.Token
}

// as is a client with a token of a ServiceAccount.
func (d *dataPlane) as(namespace, account string, cut *atomic.Bool) *client.Client {
	GinkgoHelper()
	return d.with(token(namespace, account, tokenAudience), cut)
}

// asAgentOf is a client with the token of a pod of an Event's Job.
func (d *dataPlane) asAgentOf(namespace, uid string) *client.Client {
	GinkgoHelper()
	ctx := context.Background()
	ensureAccount(ctx, namespace, "mre-agent")
	event := &mrev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "played", UID: types.UID(uid)}}
	pod, err := jobpod.ForEvent(ctx, k8s, event, "mre-agent")
	Expect(err).NotTo(HaveOccurred())
	return d.with(podToken(pod), nil)
}

// podToken is what the kubelet mounts into a pod.
func podToken(pod *corev1.Pod) string {
	GinkgoHelper()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace,
		Name: pod.Spec.ServiceAccountName}}
	return requestToken(sa, &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod",
		Name: pod.Name, UID: pod.UID}, tokenAudience)
}

// with is a client with a token.
func (d *dataPlane) with(token string, cut *atomic.Bool) *client.Client {
	GinkgoHelper()
	file := filepath.Join(suite.TempDir(), "token")
	Expect(os.WriteFile(file, []byte(token), 0o600)).To(Succeed())
	c, err := client.New(client.Options{
		BaseURL: d.url, TokenFile: file, RetryFor: -1, HTTPClient: &http.Client{Transport: cable{cut}},
	})
	Expect(err).NotTo(HaveOccurred())
	return c
}

// cable is a network that can be cut.
type cable struct{ cut *atomic.Bool }

func (c cable) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.cut != nil && c.cut.Load() {
		return nil, errors.New("the cable is cut")
	}
	return http.DefaultTransport.RoundTrip(r)
}
