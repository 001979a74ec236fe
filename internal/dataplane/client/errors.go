// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Error is a refusal by the data plane.
type Error struct {
	// Call names the operation.
	Call string
	// Problem is what the data plane said. Its code is never empty.
	Problem api.Problem
}

// Error gives the detail, which tells the user what to do.
func (e *Error) Error() string {
	text := e.Problem.Title
	if e.Problem.Detail != nil && *e.Problem.Detail != "" {
		text = *e.Problem.Detail
	}
	return fmt.Sprintf("data plane: %s: %s (%d %s)", e.Call, text, e.Problem.Status, e.Problem.Code)
}

// Code is the Problem's code in an error, or "" when the error is none of the
// data plane's answers: then it could not be reached.
func Code(err error) api.ProblemCode {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Problem.Code
	}
	return ""
}

// Is says whether an error is the data plane's answer with the code.
func Is(err error, code api.ProblemCode) bool { return err != nil && Code(err) == code }

// Temporary says whether trying again later may help: the data plane could
// not be reached, or answered 5xx.
func Temporary(err error) bool {
	if err == nil {
		return false
	}
	var e *Error
	if !errors.As(err, &e) {
		return true
	}
	return e.Problem.Status >= 500 || e.Problem.Status == http.StatusTooManyRequests
}

// Passing says whether an error is the data plane's, and one that passes by itself: there was no answer, or one of a
// moment. An error of anything else is not.
func Passing(err error) bool {
	if _, missed := errors.AsType[*unanswered](err); missed {
		return true
	}
	return Code(err) != "" && Temporary(err)
}

// unanswered is a call that got no answer.
type unanswered struct{ error }

func (u *unanswered) Unwrap() error { return u.error }

// codes stand in for a Problem where something before the data plane
// answered.
var codes = map[int]api.ProblemCode{
	http.StatusUnauthorized:          api.ProblemCodeUnauthenticated,
	http.StatusForbidden:             api.ProblemCodeForbidden,
	http.StatusNotFound:              api.ProblemCodeNotFound,
	http.StatusConflict:              api.ProblemCodeConflict,
	http.StatusGone:                  api.ProblemCodeGone,
	http.StatusRequestEntityTooLarge: api.ProblemCodeTooLarge,
}

// refusal reads the Problem in an answer of 400 and above.
func refusal(resp *http.Response, body []byte) *Error {
	e := &Error{}
	if json.Unmarshal(body, &e.Problem) != nil || !e.Problem.Code.Valid() {
		e.Problem = api.Problem{Title: "answered " + resp.Status, Code: codes[resp.StatusCode]}
		switch {
		case e.Problem.Code != "":
		case resp.StatusCode >= 500:
			e.Problem.Code = api.ProblemCodeUnavailable
		default:
			e.Problem.Code = api.ProblemCodeInvalid
		}
	}
	e.Problem.Status = int32(resp.StatusCode)
	return e
}

// failed names the call in an error.
func failed(call string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Call = call
		return e
	}
	return &unanswered{fmt.Errorf("data plane: %s: %w", call, err)}
}

// done is the end of a call that answers with JSON.
func done[T any](call string, resp *http.Response, v *T) (T, error) {
	if v == nil {
		var none T
		return none, &Error{Call: call, Problem: api.Problem{
			Title:  fmt.Sprintf("answered %s without JSON; is the URL the data plane's?", resp.Status),
			Status: http.StatusBadGateway, Code: api.ProblemCodeInternal,
		}}
	}
	return *v, nil
}
