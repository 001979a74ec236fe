// SPDX-License-Identifier: Apache-2.0

// Package certs makes the certificates of the data plane: an authority of the install's own, and what it has signed.
// It is a function of what is stored and of the time, so that whoever leads goes on where another stopped.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Keys of the Secret that everything is kept in. The data plane mounts the certificate and its key, and nothing else.
const (
	Certificate = "tls.crt"
	Key         = "tls.key"
	// Bundle are the authorities that callers trust.
	Bundle = "ca.crt"
	// The authority that signs, and the one that will.
	authority, authorityKey = "authority.crt", "authority.key"
	next, nextKey           = "next-authority.crt", "next-authority.key"
)

const (
	authorityLife = 2 * 365 * 24 * time.Hour
	servingLife   = 90 * 24 * time.Hour
	// overlap is how long callers trust a new authority before anything is signed by it.
	overlap = 24 * time.Hour
	// backdated allows for clocks that are slow.
	backdated = time.Hour
)

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Renew returns what is to be stored in place of what is: the same when nothing is due. It makes anew what is missing,
// broken, made for other names, or has used up two thirds of its life.
func Renew(stored map[string][]byte, names []string, now time.Time) (map[string][]byte, error) {
	out := make(map[string][]byte, len(stored))
	maps.Copy(out, stored)
	signing, err := read(out, authority, authorityKey)
	if err != nil || now.After(signing.cert.NotAfter) {
		// Nobody can trust what this one signs. There is nothing to go on from.
		if signing, err = makeAuthority(out, authority, authorityKey, now); err != nil {
			return nil, err
		}
		delete(out, next)
		delete(out, nextKey)
	}
	if signing, err = succeed(out, signing, now); err != nil {
		return nil, err
	}
	serving, err := read(out, Certificate, Key)
	if err == nil && !worn(serving.cert, now) && signed(serving.cert, signing.cert) &&
		slices.Equal(serving.cert.DNSNames, names) {
		return out, nil
	}
	return out, makeServing(out, signing, names, now)
}

// succeed makes the next authority when it is time, lets it sign when callers know it, and writes the bundle: all
// authorities that something in use may be signed by.
func succeed(out map[string][]byte, signing pair, now time.Time) (pair, error) {
	coming, err := read(out, next, nextKey)
	there := err == nil
	if !there && worn(signing.cert, now) {
		if coming, err = makeAuthority(out, next, nextKey, now); err != nil {
			return pair{}, err
		}
		there = true
	}
	if !there {
		out[Bundle] = bundle(now, out[Bundle], signing.cert)
		return signing, nil
	}
	out[Bundle] = bundle(now, out[Bundle], signing.cert, coming.cert)
	if now.Before(coming.cert.NotBefore.Add(backdated + overlap)) {
		return signing, nil
	}
	out[authority], out[authorityKey] = out[next], out[nextKey]
	delete(out, next)
	delete(out, nextKey)
	return coming, nil
}

// bundle adds authorities to those that are trusted already and are still valid.
func bundle(now time.Time, old []byte, add ...*x509.Certificate) []byte {
	trusted := add
	if known, err := cert.ParseCertsPEM(old); err == nil {
		for _, c := range known {
			if now.Before(c.NotAfter) && !slices.ContainsFunc(add, c.Equal) {
				trusted = append(trusted, c)
			}
		}
	}
	var out []byte
	for _, c := range trusted {
		out = append(out, encode(c.Raw)...)
	}
	return out
}

// worn tells whether two thirds of a certificate's life are over.
func worn(c *x509.Certificate, now time.Time) bool {
	life := c.NotAfter.Sub(c.NotBefore)
	return now.After(c.NotBefore.Add(life / 3 * 2))
}

func signed(c, by *x509.Certificate) bool { return c.CheckSignatureFrom(by) == nil }

func read(stored map[string][]byte, certificate, key string) (pair, error) {
	certs, err := cert.ParseCertsPEM(stored[certificate])
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", certificate, err)
	}
	private, err := keyutil.ParsePrivateKeyPEM(stored[key])
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", key, err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return pair{}, fmt.Errorf("%s: a %T cannot sign", key, private)
	}
	if public, ok := certs[0].PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(signer.Public()) {
		return pair{}, errors.New("the key is not the certificate's")
	}
	return pair{certs[0], signer}, nil
}

func makeAuthority(out map[string][]byte, certificate, key string, now time.Time) (pair, error) {
	private, err := makeKey(out, key)
	if err != nil {
		return pair{}, err
	}
	template := &x509.Certificate{
		// The name tells one authority from the next.
		Subject:   pkix.Name{CommonName: "mre data plane " + now.UTC().Format(time.RFC3339)},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	made, err := sign(out, certificate, template, template, private.Public(), private)
	return pair{made, private}, err
}

func makeServing(out map[string][]byte, by pair, names []string, now time.Time) error {
	private, err := makeKey(out, Key)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "mre-dataplane"}, DNSNames: names,
		NotBefore: now.Add(-backdated), NotAfter: now.Add(servingLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	_, err = sign(out, Certificate, template, by.cert, private.Public(), by.key)
	return err
}

func makeKey(out map[string][]byte, name string) (*ecdsa.PrivateKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	out[name], err = keyutil.MarshalPrivateKeyToPEM(private)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return private, nil
}

func sign(out map[string][]byte, name string, template, by *x509.Certificate, public crypto.PublicKey,
	key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	template.SerialNumber = serial
	raw, err := x509.CreateCertificate(rand.Reader, template, by, public, key)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	out[name] = encode(raw)
	made, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return made, nil
}

func encode(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: raw})
}

// NamesOf are the names of a Service inside the cluster.
func NamesOf(service, namespace string) []string {
	full := service + "." + namespace + ".svc"
	return []string{full, full + ".cluster.local", service + "." + namespace}
}
