// SPDX-License-Identifier: Apache-2.0

package lambda

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// pollWait is how long the request for orders is held open.
const pollWait = 20 * time.Second

// Paths of the supervisor's requests.
const (
	// OrdersPath is asked for the next order: GET ?instance=…&after=N waits for one of a higher number; without
	// after, the answer is the number of the last.
	OrdersPath = supervisorPrefix + "orders"
	// ExitsPath takes an Exit.
	ExitsPath = supervisorPrefix + "exits"
	// LivePath says to a liveness probe whether the container must be started again: GET ?instance=…
	LivePath = supervisorPrefix + "live"
)

// Orders is what a supervisor is told: to start the process again where Sequence is above the last that it knew.
type Orders struct {
	Sequence int64 `json:"sequence"`
}

// Exit is what a supervisor says when the process has ended, or that an order is carried out.
type Exit struct {
	Instance string `json:"instance"`
	// Sequence is the last order that was carried out.
	Sequence int64 `json:"sequence"`
	// Ordered says that the process ended by an order.
	Ordered bool   `json:"ordered"`
	Code    int    `json:"code"`
	Signal  string `json:"signal,omitempty"`
	// Stderr is the end of what the process wrote there.
	Stderr string `json:"stderr,omitempty"`
}

func (s *Server) serveSupervisor(w http.ResponseWriter, r *http.Request, path string) {
	switch {
	case path == "orders" && r.Method == http.MethodGet:
		s.giveOrders(w, r)
	case path == "exits" && r.Method == http.MethodPost:
		s.takeExit(w, r)
	case path == "live" && r.Method == http.MethodGet:
		s.live(w, r)
	default:
		refuse(w, http.StatusNotFound, "InvalidRequest", "the supervisor's API has no "+head(r.Method+" "+r.URL.Path, 200))
	}
}

// giveOrders answers a supervisor, at once when it is new.
func (s *Server) giveOrders(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	instance := q.Get("instance")
	after, err := strconv.ParseInt(q.Get("after"), 10, 64)
	fresh := q.Get("after") == ""
	if instance == "" || (err != nil && !fresh) {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "instance is required, and after is a number")
		return
	}
	s.mu.Lock()
	s.supervised = true
	if s.instance != instance {
		// The supervisor has not started its process yet: what was before is gone, and its orders with it.
		if s.instance != "" {
			s.gone("because its container was started again")
		}
		s.instance, s.condemned = instance, false
	}
	ordered, sequence := s.ordered, s.orders
	s.mu.Unlock()
	if !fresh && sequence <= after {
		t := time.NewTimer(pollWait)
		defer t.Stop()
		select {
		case <-ordered:
			s.mu.Lock()
			sequence = s.orders
			s.mu.Unlock()
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	reply(w, http.StatusOK, Orders{Sequence: sequence})
}

// gone ends what a process had that is no more; the lock is held.
func (s *Server) gone(how string) {
	s.crashed(how)
	s.dismiss()
	s.asked = false
}

// takeExit learns how the process ended. The supervisor starts the next one when it has the answer, so whatever
// is under way was the old one's.
func (s *Server) takeExit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxReport))
	var e Exit
	if err != nil || json.Unmarshal(body, &e) != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "an exit is a JSON object")
		return
	}
	s.mu.Lock()
	asked := s.asked
	s.gone(e.ended())
	if e.Sequence >= s.orders {
		s.condemned = false
	}
	if !asked && !e.Ordered {
		s.died(e)
	}
	s.mu.Unlock()
	accept(w)
}

// died notes a process that ended before it asked for work; the lock is held. The plugin's own word on why, when
// it gave one, is better than the end of its log.
func (s *Server) died(e Exit) {
	said := "its process ended " + e.ended() + ", before it asked for work"
	if s.startError == "" {
		s.startFailed(said)
	}
	if s.call == nil || s.call.handed {
		return
	}
	if s.call.deaths++; s.call.deaths >= maxDeaths {
		s.call.end(outcome{err: s.failure(StartFailed, fmt.Sprintf("%s, %d times in a row", said, maxDeaths))})
	}
}

// live answers the liveness probe of a container that nobody supervises. The instance tells a container that must
// go from the one that came after it, which may still load its model.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	instance := r.URL.Query().Get("instance")
	s.mu.Lock()
	if instance != "" && s.instance != instance {
		if s.instance != "" {
			s.condemned = false
		}
		s.instance = instance
	}
	condemned, why := s.condemned, s.words
	s.mu.Unlock()
	if condemned {
		refuse(w, http.StatusServiceUnavailable, "MustRestart", "the plugin must be started again: "+why)
		return
	}
	reply(w, http.StatusOK, map[string]string{"status": "OK"})
}
