// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	k8stesting "k8s.io/client-go/testing"

	"github.com/mre-operator/mre-operator/internal/certs"
)

// withoutDeadlines is what a port-forward gives: a connection that knows no deadlines.
type withoutDeadlines struct{ net.Conn }

func (withoutDeadlines) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (withoutDeadlines) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (withoutDeadlines) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// TestTheDataPlaneIsReachedAsItIsServed with TLS where the install has authorities, and without where it has none.
func TestTheDataPlaneIsReachedAsItIsServed(t *testing.T) {
	made, err := certs.Renew(nil, certs.NamesOf("mre-dataplane", "mre-system"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(made[certs.Certificate], made[certs.Key])
	if err != nil {
		t.Fatal(err)
	}
	trust := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "mre-system", Name: "mre-dataplane-ca"},
		Data: map[string]string{"ca.crt": string(made[certs.Bundle])}}
	for name, c := range map[string]struct {
		objects   []runtime.Object
		encrypted bool
		refused   bool
		want      string
	}{
		"with TLS":            {objects: []runtime.Object{trust}, encrypted: true},
		"without":             {},
		"somebody else's":     {objects: []runtime.Object{trust}, want: "http: server gave HTTP response to HTTPS client"},
		"not to be found out": {refused: true, want: "which authorities the data plane is signed by"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := listener.Addr().String()
			if c.encrypted {
				listener = tls.NewListener(listener,
					&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
			}
			server := &http.Server{ReadHeaderTimeout: time.Minute,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "Bearer secret" {
						w.WriteHeader(http.StatusUnauthorized)
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"uid":"e"}`))
				})}
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(func() { _ = server.Close() })

			kube := fake.NewClientset(c.objects...)
			kube.PrependReactor("create", "serviceaccounts", func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, &authenticationv1.TokenRequest{Status: authenticationv1.TokenRequestStatus{Token: "secret",
					ExpirationTimestamp: metav1.NewTime(time.Now().Add(time.Hour))}}, nil
			})
			kube.PrependReactor("get", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) {
				return c.refused, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "mre-dataplane-ca", nil)
			})
			cluster := &Cluster{Kube: kube, Config: &rest.Config{}, Namespace: "mre-system", Patience: -1,
				HTTP: &http.Client{Transport: &http.Transport{
					DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
						return withoutDeadlines{conn}, err
					},
				}}}
			plane, err := cluster.dataPlane(&tokenSource{cluster: cluster, namespace: "mre-system", serviceAccount: viewer})
			if err != nil {
				t.Fatal(err)
			}
			_, err = plane.Event(t.Context(), "e")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}
