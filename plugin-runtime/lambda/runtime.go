// SPDX-License-Identifier: Apache-2.0

package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const typeHeader = "Lambda-Runtime-Function-Error-Type"

// serveRuntime answers the Runtime API.
func (s *Server) serveRuntime(w http.ResponseWriter, r *http.Request, path string) {
	const invocation = "runtime/invocation/"
	method := http.MethodPost
	var handle func()
	id, verb, _ := strings.Cut(strings.TrimPrefix(path, invocation), "/")
	switch {
	case path == invocation+"next":
		method, handle = http.MethodGet, func() { s.next(w, r) }
	case path == "runtime/init/error":
		handle = func() { s.initError(w, r) }
	case strings.HasPrefix(path, invocation) && verb == "response":
		handle = func() { s.response(w, r, id) }
	case strings.HasPrefix(path, invocation) && verb == "error":
		handle = func() { s.invocationError(w, r, id) }
	default:
		refuse(w, http.StatusNotFound, "InvalidRequest", "the Runtime API has no "+head(r.URL.Path, 200))
		return
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		refuse(w, http.StatusMethodNotAllowed, "InvalidRequest", "use "+method)
		return
	}
	handle()
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	reply(w, status, map[string]string{"errorType": kind, "errorMessage": message})
}

func accept(w http.ResponseWriter) {
	reply(w, http.StatusAccepted, map[string]string{"status": "OK"})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// next waits for an invocation.
func (s *Server) next(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// While there is a body to be read, the server does not notice that the client has gone.
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "InvalidRequest", "this request has no body")
		return
	}
	p := s.ask()
	var got work
	select {
	case got = <-p.work:
		if r.Context().Err() != nil {
			s.back(got.call)
			return
		}
	case <-p.dismissed:
		refuse(w, http.StatusConflict, "InvalidStateTransition",
			"another request for the next invocation came after this one")
		return
	case <-r.Context().Done():
		s.leave(p)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(got.event)))
	h.Set("Lambda-Runtime-Aws-Request-Id", got.call.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(got.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:"+s.config.Plugin)
	digits := strings.ReplaceAll(got.call.id, "-", "")
	h.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%s-%s;Parent=%s;Sampled=0", digits[:8], digits[8:], digits[16:]))
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(got.deadline)
	_, err := w.Write(got.event)
	if err == nil {
		// A writer that cannot flush has written.
		if err = control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	_ = control.SetWriteDeadline(time.Time{})
	if err != nil {
		s.back(got.call)
	}
}

// ask notes that the process waits for work. Who asks while an invocation is under way is a new process: the one
// that had it has ended.
func (s *Server) ask() *poll {
	p := &poll{work: make(chan work, 1), dismissed: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crashed("")
	s.dismiss()
	s.poll, s.asked, s.startError = p, true, ""
	if !s.supervised {
		// Nobody will say that the process was started again; that it asks for work is as good.
		s.condemned = false
	}
	if s.state == api.PluginHealthReportStateStartFailed && !s.condemned {
		s.is(api.PluginHealthReportStateWorking, "")
	}
	if s.call != nil {
		nudge(s.call.wake)
	}
	return p
}

// dismiss turns the process that waits away; the lock is held.
func (s *Server) dismiss() {
	if s.poll != nil {
		close(s.poll.dismissed)
		s.poll = nil
	}
}

// leave takes back what a process was handed that has gone.
func (s *Server) leave(p *poll) {
	s.mu.Lock()
	if s.poll == p {
		s.poll = nil
	}
	s.mu.Unlock()
	select {
	case w := <-p.work:
		s.back(w.call)
	default:
	}
}

// back lets a call wait for a process again.
func (s *Server) back(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.call == c && c.handed && !c.ended {
		c.handed = false
		nudge(c.returned)
	}
}

// expects says whether an answer to the invocation may come now. It is asked before the body is read, so that
// nobody can make us read what does not count.
func (s *Server) expects(w http.ResponseWriter, id string) bool {
	s.mu.Lock()
	ours := s.call != nil && s.call.id == id
	open := ours && s.call.handed && !s.call.ended
	s.mu.Unlock()
	switch {
	case !ours:
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "InvalidRequestID",
			"no invocation of this id is under way: it was answered, or its time was up")
	case !open:
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has been answered")
	}
	return open
}

// settle ends an invocation by what the process said, and answers the process.
func (s *Server) settle(w http.ResponseWriter, id string, o outcome) bool {
	if s.answered(id, o) {
		return true
	}
	refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation ended while its answer came")
	return false
}

// response takes an answer.
func (s *Server) response(w http.ResponseWriter, r *http.Request, id string) {
	if !s.expects(w, id) {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxAnswer+1))
	if err == nil && len(body) > MaxAnswer {
		_, _ = io.CopyN(io.Discard, r.Body, drained)
		words := fmt.Sprintf("its answer is larger than %d MiB", MaxAnswer>>20)
		if s.settle(w, id, outcome{err: s.failure(BadAnswer, words)}) {
			refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", words)
		}
		return
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the answer did not come whole")
		return
	}
	if s.settle(w, id, s.judge(body)) {
		accept(w)
	}
}

// invocationError takes the plugin's word that it failed.
func (s *Server) invocationError(w http.ResponseWriter, r *http.Request, id string) {
	if !s.expects(w, id) {
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReport))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the error did not come whole")
		return
	}
	if s.settle(w, id, outcome{err: s.failure(Reported, words(r.Header.Get(typeHeader), body))}) {
		accept(w)
	}
}

// initError takes the plugin's word that it cannot start.
func (s *Server) initError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReport))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the error did not come whole")
		return
	}
	said := "it cannot start: " + words(r.Header.Get(typeHeader), body)
	s.mu.Lock()
	// Who starts is new: the process before it has ended.
	s.crashed("")
	s.startFailed(said)
	if s.call != nil && !s.condemned {
		s.call.end(outcome{err: s.failure(StartFailed, said)})
	}
	s.mu.Unlock()
	accept(w)
}
