// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"testing"
	"time"
)

var (
	names = NamesOf("mre-dataplane", "mre-system")
	birth = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const day = 24 * time.Hour

// trusts fails unless a caller who has the bundle accepts the certificate.
func trusts(t *testing.T, bundle []byte, stored map[string][]byte, now time.Time) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	pair, err := tls.X509KeyPair(stored[Certificate], stored[Key])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: names[0], CurrentTime: now}); err != nil {
		t.Fatalf("after %s: %v", now.Sub(birth), err)
	}
}

func renew(t *testing.T, stored map[string][]byte, now time.Time) map[string][]byte {
	t.Helper()
	out, err := Renew(stored, names, now)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFourYears: whoever has the bundle of yesterday, or of today, accepts the certificate that is served from now on,
// and the bundle of now accepts what a process that has not looked again still serves.
func TestFourYears(t *testing.T) {
	var yesterday map[string][]byte
	stored := renew(t, nil, birth)
	authorities, servings := 0, 0
	for now := birth; now.Before(birth.Add(4 * 365 * day)); now = now.Add(20 * time.Hour) {
		fresh := renew(t, stored, now)
		trusts(t, fresh[Bundle], fresh, now)
		trusts(t, stored[Bundle], fresh, now)
		trusts(t, fresh[Bundle], stored, now)
		if yesterday != nil {
			trusts(t, yesterday[Bundle], fresh, now)
			trusts(t, fresh[Bundle], yesterday, now)
		}
		if !bytes.Equal(fresh[authority], stored[authority]) {
			authorities++
		}
		if !bytes.Equal(fresh[Certificate], stored[Certificate]) {
			servings++
		}
		if n := bytes.Count(fresh[Bundle], []byte("BEGIN CERTIFICATE")); n > 2 {
			t.Fatalf("the bundle has %d authorities", n)
		}
		yesterday, stored = stored, fresh
	}
	// An authority signs for 16 months, a certificate is served for two.
	if authorities != 2 || servings < 22 || servings > 30 {
		t.Errorf("%d authorities and %d certificates in four years", authorities, servings)
	}
}

func TestNothingIsMadeWithoutNeed(t *testing.T) {
	stored := renew(t, nil, birth)
	if again := renew(t, stored, birth.Add(59*day)); !maps.EqualFunc(stored, again, bytes.Equal) {
		t.Error("something was made anew")
	}
}

func TestWhatIsBrokenIsMadeAnew(t *testing.T) {
	for name, harm := range map[string]func(map[string][]byte){
		"nothing there":           func(s map[string][]byte) { clear(s) },
		"no certificate":          func(s map[string][]byte) { delete(s, Certificate) },
		"another key":             func(s map[string][]byte) { s[Key] = s[authorityKey] },
		"no authority":            func(s map[string][]byte) { delete(s, authority) },
		"no key of the authority": func(s map[string][]byte) { s[authorityKey] = []byte("lost") },
		"no bundle":               func(s map[string][]byte) { delete(s, Bundle) },
		"a torn bundle":           func(s map[string][]byte) { s[Bundle] = s[Bundle][:40] },
	} {
		t.Run(name, func(t *testing.T) {
			stored := renew(t, nil, birth)
			harm(stored)
			fresh := renew(t, stored, birth.Add(day))
			trusts(t, fresh[Bundle], fresh, birth.Add(day))
			if again := renew(t, fresh, birth.Add(day)); !maps.EqualFunc(fresh, again, bytes.Equal) {
				t.Error("it is made anew every time")
			}
		})
	}
	stored := renew(t, nil, birth)
	late := birth.Add(5 * 365 * day)
	fresh := renew(t, stored, late)
	trusts(t, fresh[Bundle], fresh, late)
	other, err := Renew(stored, NamesOf("mre-dataplane", "elsewhere"), birth)
	if err != nil || bytes.Equal(other[Certificate], stored[Certificate]) ||
		!bytes.Equal(other[authority], stored[authority]) {
		t.Errorf("another name: %v", err)
	}
}
