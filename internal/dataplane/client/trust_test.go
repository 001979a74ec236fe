// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/certs"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// issued is what the manager would make at a time.
func issued(t *testing.T, old map[string][]byte, now time.Time) map[string][]byte {
	t.Helper()
	made, err := certs.Renew(old, certs.NamesOf("mre-dataplane", "mre-system"), now)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTrust(t *testing.T) {
	ours, others := issued(t, nil, time.Now()), issued(t, nil, time.Now())
	serving := ours
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"uid":"e"}`))
	})}
	go func() {
		_ = server.Serve(tls.NewListener(listener,
			&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				pair, err := tls.X509KeyPair(serving[certs.Certificate], serving[certs.Key])
				return &pair, err
			}}))
	}()
	t.Cleanup(func() { _ = server.Close() })

	call := func(host string, trust func() ([]byte, error)) error {
		t.Helper()
		base := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
		}, DisableKeepAlives: true}
		c, err := New(Options{BaseURL: "https://" + host + ":8080", RetryFor: -1,
			HTTPClient: &http.Client{Transport: Trusting(base, trust)}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Event(t.Context(), "e")
		return err
	}
	always := func(stored map[string][]byte) func() ([]byte, error) {
		return func() ([]byte, error) { return stored[certs.Bundle], nil }
	}
	const host = "mre-dataplane.mre-system.svc"
	if err := call(host, always(ours)); err != nil {
		t.Errorf("the data plane's own authority: %v", err)
	}
	var distrust *tls.CertificateVerificationError
	if err := call(host, always(others)); !errors.As(err, &distrust) {
		t.Errorf("another authority: %v", err)
	}
	if err := call("mre-dataplane.elsewhere.svc", always(ours)); !errors.As(err, &distrust) {
		t.Errorf("another name: %v", err)
	}
	if err := call(host, func() ([]byte, error) { return []byte("nothing"), nil }); err == nil ||
		!strings.Contains(err.Error(), "no certificate among") {
		t.Errorf("no authority: %v", err)
	}
	if err := call(host, TrustFile(t.TempDir()+"/missing")); err == nil ||
		!strings.Contains(err.Error(), "projected volume") {
		t.Errorf("no file: %v", err)
	}

	// One client sees the authorities change: it looks again when it does not trust the server.
	known := maps.Clone(others)
	base := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, listener.Addr().String())
	}, DisableKeepAlives: true}
	c, err := New(Options{BaseURL: "https://" + host + ":8080", RetryFor: -1, HTTPClient: &http.Client{
		Transport: Trusting(base, func() ([]byte, error) { return known[certs.Bundle], nil })}})
	if err != nil {
		t.Fatal(err)
	}
	var event api.EventState
	if event, err = c.Event(t.Context(), "e"); err == nil {
		t.Fatalf("an unknown authority was trusted: %v", event)
	}
	known = ours
	if _, err = c.Event(t.Context(), "e"); err != nil {
		t.Errorf("the new authority is not taken: %v", err)
	}
}
