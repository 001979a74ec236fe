// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// unknownOperation counts what is not in the API, so that a scanner cannot make labels.
const unknownOperation = "unknown"

// metrics have labels from closed sets only: operations of the API, status codes and our own loops.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	loops    *prometheus.CounterVec
	swept    prometheus.Counter
}

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mre_dataplane_requests_total", Help: "Requests by operation and status code.",
		}, []string{"operation", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mre_dataplane_request_duration_seconds", Help: "Time to answer, with the waits of long polls.",
			Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30},
		}, []string{"operation"}),
		loops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mre_dataplane_loop_runs_total", Help: "Runs of the background loops by result.",
		}, []string{"loop", "result"}),
		swept: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mre_dataplane_swept_objects_total", Help: "Objects that were deleted because no row names them.",
		}),
	}
	registry.MustRegister(m.requests, m.seconds, m.loops, m.swept,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// observe counts a request and writes it to the access log, without its query and headers.
func (m *metrics) observe(w http.ResponseWriter, r *http.Request, operation string, serve func(http.ResponseWriter)) {
	begun := time.Now()
	recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	serve(recorder)
	took := time.Since(begun)
	m.requests.WithLabelValues(operation, strconv.Itoa(recorder.status)).Inc()
	m.seconds.WithLabelValues(operation).Observe(took.Seconds())
	slog.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "operation", operation,
		"status", recorder.status, "took", took)
}

func (m *metrics) ran(loop string, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	m.loops.WithLabelValues(loop, result).Inc()
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
