// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// bucketOfAnything is an object store that has every object that somebody asks for, and lists none. The data plane
// only asks whether a unit is stored: there is no media in this measurement, and nobody to read it.
func bucketOfAnything() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("HEAD /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		// A caller that left needs no answer.
		_, _ = io.WriteString(w,
			`<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
	})
	return mux
}

// witness stands between the manager and the data plane and notes which Events the manager asked about: the only
// thing that tells a manager that reconciled every Event from one that reconciled some of them twice.
type witness struct {
	proxy *httputil.ReverseProxy

	mu   sync.Mutex
	seen map[string]bool
}

func newWitness(address string) *witness {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	w := &witness{seen: map[string]bool{}}
	w.proxy = &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: address}) },
		Transport:      transport,
		ModifyResponse: w.note,
		// A manager that is killed cuts its calls off.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return w
}

// note remembers an Event whose state the data plane told.
func (w *witness) note(r *http.Response) error {
	uid, ok := strings.CutPrefix(r.Request.URL.Path, "/v1/events/")
	if ok && !strings.Contains(uid, "/") && r.Request.Method == http.MethodGet && r.StatusCode == http.StatusOK {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen[uid] = true
	}
	return nil
}

func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = map[string]bool{}
}

func (w *witness) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}
