// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// trustConfigMap holds the authorities that the data plane's certificate is signed by. An install without it has no
// TLS.
const trustConfigMap = "mre-dataplane-ca"

// lookFor bounds one look at it.
const lookFor = 10 * time.Second

// planeTransport reaches the data plane the way that the install serves it.
type planeTransport struct {
	cluster *Cluster

	mu   sync.Mutex
	next http.RoundTripper
	// plain says that there is no TLS.
	plain bool
}

// RoundTrip implements http.RoundTripper.
func (t *planeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next, plain, err := t.choose(r.Context())
	if err != nil {
		return nil, err
	}
	if plain {
		r = r.Clone(r.Context())
		r.URL.Scheme = "http"
	}
	return next.RoundTrip(r)
}

func (t *planeTransport) choose(ctx context.Context) (http.RoundTripper, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next != nil {
		return t.next, t.plain, nil
	}
	_, err := t.trust(ctx)
	switch {
	case apierrors.IsNotFound(err):
		t.next, t.plain = t.cluster.HTTP.Transport, true
	case err != nil:
		return nil, false, final(fmt.Errorf("read which authorities the data plane is signed by: %w", err))
	default:
		base, ok := t.cluster.HTTP.Transport.(*http.Transport)
		if !ok {
			return nil, false, fmt.Errorf("the data plane is served over TLS: a %T cannot reach it", t.cluster.HTTP.Transport)
		}
		t.next = client.Trusting(base, func() ([]byte, error) { return t.trust(context.WithoutCancel(ctx)) })
	}
	return t.next, t.plain, nil
}

func (t *planeTransport) trust(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	found, err := t.cluster.Kube.CoreV1().ConfigMaps(t.cluster.Namespace).Get(ctx, trustConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return []byte(found.Data["ca.crt"]), nil
}
