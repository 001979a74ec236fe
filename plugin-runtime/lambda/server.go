// SPDX-License-Identifier: Apache-2.0

// Package lambda gives work to one plugin in a container: it is the server of the AWS Lambda Runtime API
// (version 2018-06-01) on the plugin's loopback port.
//
// The plugin's process asks for an invocation and waits, answers it, and asks again. It runs one at a time. A
// process that dies, hangs or talks nonsense costs its run an attempt and nothing else: every invocation ends,
// and an answer counts only for the invocation that it names while that one is under way.
//
// On the same port, under /mre/v1/supervisor/, whoever looks after the process learns that it must be started
// again, and says how it ended.
package lambda

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// MaxAnswer is the largest answer, as on Lambda.
	MaxAnswer = 6 << 20
	// drained is how much more of an answer is read and thrown away, so that its sender hears that it is too large
	// instead of finding the connection broken.
	drained = 64 << 20
	// maxReport bounds error reports and the supervisor's words.
	maxReport = 256 << 10
	// maxHeader bounds the headers of a request.
	maxHeader = 64 << 10
	// headerTimeout and bodyTimeout bound how long a request may take to arrive over loopback.
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	// connections of the plugin at a time. Those that are too many wait.
	connections = 128
	// maxDeaths in a row, without asking for work, fail the task that waits for the process.
	maxDeaths = 3
)

const (
	runtimePrefix    = "/2018-06-01/"
	supervisorPrefix = "/mre/v1/supervisor/"
)

// Config is one plugin's server.
type Config struct {
	// Plugin is its name.
	Plugin string
	// StartTimeout is how long an invocation waits for the process to ask for work.
	StartTimeout time.Duration
	// Other answers what is neither the Runtime API nor the supervisor's. What it reads it bounds itself.
	Other http.Handler
	// Health is told when the process stops to work as it should, and when it works again; only on change. It
	// must not block.
	Health func(state api.PluginHealthReportState, words string)
	Log    *slog.Logger
}

// Server is safe for use by several goroutines.
type Server struct {
	config Config

	mu sync.Mutex
	// call is the invocation under way.
	call *call
	// poll is the process's wait for work; the newest one where there are several.
	poll *poll
	// asked says that the process has asked for work since it was started.
	asked bool
	// condemned says that the process was ordered to be started again and has not been yet.
	condemned bool
	// orders counts the orders to start the process again; ordered is closed at the next one.
	orders  int64
	ordered chan struct{}
	// supervised says that a supervisor looks after the process; instance names the container's incarnation.
	supervised bool
	instance   string
	// startError is why the process last failed to start.
	startError string
	state      api.PluginHealthReportState
	words      string
}

// New makes a server; Serve or ServeHTTP open it to the plugin.
func New(c Config) *Server {
	return &Server{config: c, ordered: make(chan struct{}), state: api.PluginHealthReportStateWorking}
}

// Serve answers the plugin until the context ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.config.Log.Handler(), slog.LevelWarn)}
	// Long polls do not end by themselves, so there is nothing to wait for.
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.Serve(netutil.LimitListener(l, connections))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeHTTP implements http.Handler. Paths are compared as they came: some clients send double slashes.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		control := http.NewResponseController(w)
		// Not every writer can; those of a real connection do.
		_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	}
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, runtimePrefix):
		s.serveRuntime(w, r, strings.TrimPrefix(path, runtimePrefix))
	case strings.HasPrefix(path, supervisorPrefix):
		s.serveSupervisor(w, r, strings.TrimPrefix(path, supervisorPrefix))
	default:
		s.config.Other.ServeHTTP(w, r)
	}
}

// is notes how the process does; the lock is held. Words are the newest of the same state.
func (s *Server) is(state api.PluginHealthReportState, words string) {
	if s.state == state && s.words == words {
		return
	}
	s.state, s.words = state, words
	s.config.Health(state, words)
}

// restart orders the process to be started again; the lock is held.
func (s *Server) restart() {
	s.orders++
	s.condemned = true
	close(s.ordered)
	s.ordered = make(chan struct{})
}
