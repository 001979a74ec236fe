// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestSumOf(t *testing.T) {
	const text = `# HELP workqueue_depth Current depth
workqueue_depth{controller="event",name="event",priority="0"} 3
workqueue_depth{controller="event",name="event",priority="-100"} 900
workqueue_depth{controller="replay",name="replay",priority="0"} 7
workqueue_depth_of_something{controller="event"} 5
controller_runtime_reconcile_total{controller="event",result="error"} 2
controller_runtime_reconcile_total{controller="event",result="requeue_after"} 1.5e+03
`
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"workqueue_depth", []string{`controller="event"`}, 903},
		{"controller_runtime_reconcile_total", []string{`controller="event"`}, 1502},
		{"controller_runtime_reconcile_total", []string{`controller="event"`, `result="error"`}, 2},
		{"controller_runtime", nil, 0},
	} {
		if got := sumOf(text, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v: %g, want %g", c.name, c.labels, got, c.want)
		}
	}
}

func TestWitnessCountsEventsThatWereAnswered(t *testing.T) {
	plane := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/unknown") {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer plane.Close()
	w := newWitness(plane.Listener.Addr().String())
	front := httptest.NewServer(w.proxy)
	defer front.Close()
	for _, call := range []struct{ method, path string }{
		{"GET", "/v1/events/a"}, {"GET", "/v1/events/a"}, {"GET", "/v1/events/b"},
		{"PUT", "/v1/events/c"}, {"GET", "/v1/events/unknown"}, {"GET", "/v1/events/a/tasks"}, {"GET", "/v1/changes"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), call.method, front.URL+call.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := front.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	if got := w.count(); got != 2 {
		t.Errorf("%d Events, want a and b", got)
	}
	w.forget()
	if got := w.count(); got != 0 {
		t.Errorf("%d Events after forgetting them", got)
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	m, err := memoryOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.now < 1<<20 || m.peak < m.now {
		t.Errorf("now %d, peak %d bytes", m.now, m.peak)
	}
}
