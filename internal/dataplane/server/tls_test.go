// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/certs"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
)

// TestTheNextCertificateIsServed without a restart.
func TestTheNextCertificateIsServed(t *testing.T) {
	folder := t.TempDir()
	write := func() []byte {
		t.Helper()
		made, err := certs.Renew(nil, certs.NamesOf("mre-dataplane", "mre-system"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{certs.Key, certs.Certificate} {
			if err := os.WriteFile(filepath.Join(folder, name), made[name], 0o600); err != nil {
				t.Fatal(err)
			}
		}
		pair, err := tls.X509KeyPair(made[certs.Certificate], made[certs.Key])
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.Raw
	}
	if _, err := server.WithTLS(t.Context(), nil, folder); err == nil {
		t.Error("an empty folder was taken")
	}
	first := write()
	listener, err := server.WithTLS(t.Context(), listen(t), folder)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).HandshakeContext(t.Context())
			_ = conn.Close()
		}
	}()
	served := func() []byte {
		t.Helper()
		//nolint:gosec // which certificate it is, is compared
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(),
			"tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw
	}
	if !bytes.Equal(served(), first) {
		t.Fatal("another certificate is served")
	}
	second := write()
	for deadline := time.Now().Add(time.Minute); !bytes.Equal(served(), second); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the old certificate is served after a minute")
		}
	}
}
