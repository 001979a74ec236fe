// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
)

// maxBody bounds what a caller can make us read, by operation where the usual is not enough: a plan has many
// plugins, a framer's signals cover every frame of a chunk.
var maxBody = map[string]int64{
	"PutPlan":      4 << 20,
	"CompleteTask": 64 << 20,
}

const usualBody = 1 << 20

// gate lets a request through when its caller may make it and it is what the API description says, in this
// order: nothing of a body is read before the caller is known.
type gate struct {
	server *Server
	routes routers.Router
	next   http.Handler
}

func newGate(s *Server, next http.Handler) (*gate, error) {
	routes, err := routesOnce()
	if err != nil {
		return nil, err
	}
	return &gate{server: s, routes: routes, next: next}, nil
}

// routesOnce reads the embedded API description, once for each process: it takes longer than all else that a server
// does to start, and tests start thousands.
var routesOnce = sync.OnceValues(func() (routers.Router, error) {
	spec, err := api.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("read the embedded API description: %w", err)
	}
	routes, err := gorillamux.NewRouter(spec)
	if err != nil {
		return nil, fmt.Errorf("route by the embedded API description: %w", err)
	}
	return routes, nil
})

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, params, err := g.routes.FindRoute(r)
	if err != nil {
		g.server.metrics.observe(w, r, unknownOperation, func(w http.ResponseWriter) { refuse(w, r, err) })
		return
	}
	operation := route.Operation.OperationID
	g.server.metrics.observe(w, r, operation, func(w http.ResponseWriter) {
		if err := g.admit(w, r, route, params); err != nil {
			refuse(w, r, err)
			return
		}
		g.next.ServeHTTP(w, r)
	})
}

func (g *gate) admit(w http.ResponseWriter, r *http.Request, route *routers.Route, params map[string]string) error {
	operation := route.Operation.OperationID
	if err := g.authorize(r, operation, params); err != nil {
		return err
	}
	if r.Body != nil {
		limit, ok := maxBody[operation]
		if !ok {
			limit = usualBody
		}
		if r.ContentLength > limit {
			return &http.MaxBytesError{Limit: limit}
		}
		r.Body = http.MaxBytesReader(w, r.Body, limit)
	}
	err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			// Who may call is known by now.
			AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
			SkipSettingDefaults: true,
		},
	})
	// The validator wraps what reading the body gave.
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge
	}
	return err
}

func (g *gate) authorize(r *http.Request, operation string, params map[string]string) error {
	if auth.Required(operation) == auth.Anybody {
		return nil
	}
	caller, err := g.server.auth.Authenticate(r.Context(), r.Header)
	if err != nil {
		return err
	}
	uid := params["eventUID"]
	if caller.IsPerson() {
		return g.server.auth.AuthorizePerson(r.Context(), caller, operation, func() (namespace, name string, err error) {
			return g.eventOf(r, params)
		})
	}
	return auth.Authorize(caller, operation, uid, func() (string, error) {
		return g.server.store.NamespaceOf(r.Context(), uid)
	})
}

// eventOf names the Event that a path is about. Whoever may not read an Event does not learn whether it exists, so
// that one which is not there is refused like one which is not theirs.
func (g *gate) eventOf(r *http.Request, params map[string]string) (namespace, name string, err error) {
	if replay, ok := params["replayUID"]; ok {
		namespace, name, err = g.server.store.EventOfReplay(r.Context(), replay)
	} else {
		namespace, name, err = g.server.store.EventNamed(r.Context(), params["eventUID"])
	}
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrGone) {
		err = fmt.Errorf("%w: there is nothing of this UID that you may use", auth.ErrForbidden)
	}
	return namespace, name, err
}
