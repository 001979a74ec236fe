// SPDX-License-Identifier: Apache-2.0

// Package client calls the data plane.
//
// It wraps the generated client: the token is read again for each request
// (the kubelet rotates it), calls are repeated with back-off while the data
// plane cannot be reached or answers 5xx, and never on 4xx, and a refusal
// becomes an *Error with the Problem's code. Every call of the API may be
// repeated; a lease whose answer was lost returns to the queue by itself.
package client

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// defaultRetryFor bounds the repeats of one call.
	defaultRetryFor = 15 * time.Second
	// attemptTimeout bounds one try of a call that does not wait by itself.
	attemptTimeout = 30 * time.Second
)

// Options say how the data plane is reached.
type Options struct {
	// BaseURL is the data plane's address, such as
	// https://mre-dataplane.mre-system.svc:8080.
	BaseURL string
	// TokenFile holds the bearer token. Empty: no token is sent.
	TokenFile string
	// Trust names the authorities that may have signed the data plane's
	// certificate, in PEM. Nil: those of the system.
	Trust func() ([]byte, error)
	// HTTPClient replaces the default one, for example for another dialer.
	HTTPClient *http.Client
	// UserAgent names the caller in the data plane's log.
	UserAgent string
	// RetryFor bounds how long one call is repeated; 15 s when zero. A call
	// is tried once when it is negative.
	RetryFor time.Duration
}

// Client is safe for use by many goroutines.
type Client struct {
	raw *api.ClientWithResponses
}

// New checks the options; it does not call the data plane.
func New(o Options) (*Client, error) {
	base := strings.TrimRight(o.BaseURL, "/")
	if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
		return nil, fmt.Errorf("data plane URL %q: it must start with http:// or https://", o.BaseURL)
	}
	if o.RetryFor == 0 {
		o.RetryFor = defaultRetryFor
	}
	if o.UserAgent == "" {
		o.UserAgent = "mre"
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Transport: defaultTransport()}
		if o.Trust != nil {
			o.HTTPClient.Transport = Trusting(defaultTransport(), o.Trust)
		}
	}
	t := &transport{http: o.HTTPClient, tokenFile: o.TokenFile, userAgent: o.UserAgent, retryFor: o.RetryFor}
	raw, err := api.NewClientWithResponses(base, api.WithHTTPClient(t))
	if err != nil {
		return nil, fmt.Errorf("data plane URL %q: %w", o.BaseURL, err)
	}
	return &Client{raw: raw}, nil
}

// defaultTransport keeps connections open: an agent talks to one host only.
func defaultTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	return t
}
