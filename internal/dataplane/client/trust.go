// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// trustFresh is how long authorities are believed to be those that the data plane is signed by. A new one is announced
// a day before it is used.
const trustFresh = time.Minute

// TrustFile reads authorities from a file, which the kubelet writes anew when they change.
func TrustFile(path string) func() ([]byte, error) {
	return func() ([]byte, error) {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the data plane's authorities (is the projected volume mounted?): %w", err)
		}
		return pem, nil
	}
}

// Trusting is a transport that accepts servers whose certificate one of these authorities has signed. They are asked
// for again from time to time.
func Trusting(base *http.Transport, trust func() ([]byte, error)) http.RoundTripper {
	return &trusting{base: base, trust: trust}
}

type trusting struct {
	base  *http.Transport
	trust func() ([]byte, error)

	mu   sync.Mutex
	pem  []byte
	seen time.Time
	now  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (t *trusting) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, err := t.current()
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(r)
	if _, distrusted := errors.AsType[*tls.CertificateVerificationError](err); distrusted {
		t.mu.Lock()
		t.seen = time.Time{}
		t.mu.Unlock()
	}
	return response, err
}

func (t *trusting) current() (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil && time.Since(t.seen) < trustFresh {
		return t.now, nil
	}
	pem, err := t.trust()
	if err != nil {
		return nil, err
	}
	t.seen = time.Now()
	if t.now != nil && bytes.Equal(pem, t.pem) {
		return t.now, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("there is no certificate among the data plane's authorities")
	}
	if t.now != nil {
		t.now.CloseIdleConnections()
	}
	t.now, t.pem = t.base.Clone(), pem
	t.now.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	return t.now, nil
}
