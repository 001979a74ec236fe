// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/export"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// kinds says what each typed error is on the wire. The first that matches counts.
var kinds = []struct {
	is     error
	status int32
	code   api.ProblemCode
	title  string
}{
	{auth.ErrUnauthenticated, http.StatusUnauthorized, api.ProblemCodeUnauthenticated, "Not authenticated"},
	{auth.ErrForbidden, http.StatusForbidden, api.ProblemCodeForbidden, "Not allowed"},
	{auth.ErrUnavailable, http.StatusServiceUnavailable, api.ProblemCodeUnavailable, "Not available now"},
	{objects.ErrUnavailable, http.StatusServiceUnavailable, api.ProblemCodeUnavailable, "Not available now"},
	{store.ErrUnavailable, http.StatusServiceUnavailable, api.ProblemCodeUnavailable, "Not available now"},
	{store.ErrLeaseLost, http.StatusConflict, api.ProblemCodeLeaseLost, "The lease is lost"},
	{store.ErrGone, http.StatusGone, api.ProblemCodeGone, "Deleted"},
	{store.ErrNotFound, http.StatusNotFound, api.ProblemCodeNotFound, "Not found"},
	{store.ErrConflict, http.StatusConflict, api.ProblemCodeConflict, "In conflict with what is stored"},
	{store.ErrInvalid, http.StatusBadRequest, api.ProblemCodeInvalid, "Not valid"},
	{export.ErrNotExpressible, http.StatusConflict, api.ProblemCodeConflict, "Cannot be written in this format"},
	{objects.ErrNotFound, http.StatusNotFound, api.ProblemCodeNotFound, "Not found"},
	{routers.ErrPathNotFound, http.StatusNotFound, api.ProblemCodeNotFound, "No such path"},
	{routers.ErrMethodNotAllowed, http.StatusNotFound, api.ProblemCodeNotFound, "No such method on this path"},
	{context.Canceled, http.StatusServiceUnavailable, api.ProblemCodeUnavailable, "Ended early"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, api.ProblemCodeUnavailable, "Took too long"},
}

// problemOf is the one place that turns an error into an answer.
func problemOf(err error) api.Problem {
	var tooLarge *http.MaxBytesError
	var syntax *json.SyntaxError
	var request *openapi3filter.RequestError
	switch {
	case errors.As(err, &tooLarge):
		return problem(http.StatusRequestEntityTooLarge, api.ProblemCodeTooLarge, "The body is too large",
			fmt.Sprintf("This call takes at most %d bytes; send less: fewer results, with shorter attributes, or signals "+
				"of fewer values.", tooLarge.Limit))
	case errors.As(err, &request):
		return problem(http.StatusBadRequest, api.ProblemCodeInvalid, "Not valid", requestMistake(request))
	case errors.As(err, &syntax):
		return problem(http.StatusBadRequest, api.ProblemCodeInvalid, "The body is not JSON", err.Error())
	}
	for _, kind := range kinds {
		if errors.Is(err, kind.is) {
			return problem(kind.status, kind.code, kind.title, err.Error())
		}
	}
	// What is not expected may hold what callers should not see; it is in the log.
	return problem(http.StatusInternalServerError, api.ProblemCodeInternal,
		"Internal error", "The data plane's log says more.")
}

func problem(status int32, code api.ProblemCode, title, detail string) api.Problem {
	return api.Problem{Status: status, Code: code, Title: title, Detail: &detail}
}

// requestMistake leaves out the schema and the value that the validator prints after the first line.
func requestMistake(err *openapi3filter.RequestError) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// refuse answers with what problemOf makes of the error.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	answer := problemOf(err)
	switch {
	case errors.Is(r.Context().Err(), context.Canceled):
		// The caller has hung up, as one does that is killed: nobody here has to look into that.
		slog.DebugContext(r.Context(), "the caller did not wait for the answer",
			"method", r.Method, "path", r.URL.Path, "error", err)
	case answer.Code == api.ProblemCodeInternal || answer.Code == api.ProblemCodeUnavailable:
		slog.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if answer.Code == api.ProblemCodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(int(answer.Status))
	// Nothing is left to be done about a caller that has gone.
	_ = json.NewEncoder(w).Encode(answer)
}
