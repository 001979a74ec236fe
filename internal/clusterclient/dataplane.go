// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

const (
	// audience is whom the tokens are for; the data plane refuses others.
	audience = "mre.media/dataplane"
	// viewer is the ServiceAccount of people who look.
	viewer = "mre-viewer"
	// patience is the Patience of tests and programs that nobody sits before.
	patience = 2 * time.Minute
)

// DataPlane connects to the data plane of the install with a viewer's rights.
func (c *Cluster) DataPlane() (*client.Client, error) { return c.DataPlaneAs(c.Namespace, viewer) }

// DataPlaneAs connects with the rights of a ServiceAccount. The kubeconfig's user must be allowed to make
// tokens for it.
func (c *Cluster) DataPlaneAs(namespace, serviceAccount string) (*client.Client, error) {
	return c.dataPlane(&tokenSource{cluster: c, namespace: namespace, serviceAccount: serviceAccount})
}

// DataPlaneAsPod connects with the rights of a pod, by a token like the one that is mounted into it.
func (c *Cluster) DataPlaneAsPod(pod *corev1.Pod) (*client.Client, error) {
	return c.dataPlane(&tokenSource{cluster: c, namespace: pod.Namespace, serviceAccount: pod.Spec.ServiceAccountName,
		boundTo: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}})
}

func (c *Cluster) dataPlane(tokens *tokenSource) (*client.Client, error) {
	userAgent := c.Config.UserAgent
	if userAgent == "" {
		userAgent = FieldOwner
	}
	d, err := client.New(client.Options{
		BaseURL: fmt.Sprintf("https://mre-dataplane.%s.svc:8080", c.Namespace),
		HTTPClient: &http.Client{Transport: &tokenTransport{
			tokens: tokens,
			next:   &planeTransport{cluster: c},
		}},
		UserAgent: userAgent,
		RetryFor:  c.Patience,
	})
	if err != nil {
		return nil, fmt.Errorf("make the data plane's client: %w", err)
	}
	return d, nil
}

// tokenTransport adds the token to every request.
type tokenTransport struct {
	tokens *tokenSource
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.tokens.token(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return t.next.RoundTrip(r)
}

// tokenSource asks the API server for a token and keeps it for most of its life.
type tokenSource struct {
	cluster                   *Cluster
	namespace, serviceAccount string
	// boundTo is the object whose life the token shares; nil for none.
	boundTo *authenticationv1.BoundObjectReference

	mu      sync.Mutex
	current string
	renewAt time.Time
}

func (s *tokenSource) token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.renewAt) {
		return s.current, nil
	}
	const lifetime = time.Hour
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{audience}, ExpirationSeconds: new(int64(lifetime.Seconds())), BoundObjectRef: s.boundTo,
	}}
	answer, err := s.cluster.Kube.CoreV1().ServiceAccounts(s.namespace).
		CreateToken(ctx, s.serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return "", final(fmt.Errorf("get a token for the ServiceAccount %s/%s: %w", s.namespace, s.serviceAccount, err))
	}
	s.current = answer.Status.Token
	s.renewAt = time.Now().Add(time.Until(answer.Status.ExpirationTimestamp.Time) * 3 / 4)
	return s.current, nil
}

// final marks an error of the API server that trying again does not change, so that nobody is kept waiting for it.
func final(err error) error {
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err) {
		return backoff.Permanent(err)
	}
	return err
}
