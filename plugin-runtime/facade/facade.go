// SPDX-License-Identifier: Apache-2.0

// Package facade is what a plugin finds on its port besides the Lambda Runtime API: MRE's data plane and control
// plane, as far as plugins use them, and our own API under /mre/v1.
//
// MRE's plugins, and MRE's own helper library, run against it unchanged. Times are seconds here and microseconds
// behind; whatever a plugin writes is held back in its run and published with the task. docs/mre-compatibility.md
// says what differs from MRE.
package facade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/plugin-runtime/frames"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// Config is what a façade serves.
type Config struct {
	Client   *client.Client
	EventUID string
	Plan     *api.Plan
	Plugin   *api.PlanPlugin
	// BaseURL is where the plugin reaches the agent, such as http://127.0.0.1:9001.
	BaseURL string
	// PromptsDir holds a folder for each ConfigMap of prompts.
	PromptsDir string
	// Frames decodes the chunk; nil where there is no decoder.
	Frames Frames
	Log    *slog.Logger
}

// Facade serves one plugin's port. It is safe for use by several goroutines.
type Facade struct {
	Config
	routes []route
}

// New makes a façade.
func New(c Config) *Facade {
	f := &Facade{Config: c}
	f.routes = f.mreRoutes()
	return f
}

// lookupTimeout bounds what is asked of the data plane for one answer.
const lookupTimeout = 30 * time.Second

// Event is the JSON that the plugin is invoked with.
func (f *Facade) Event(run *invocation.Run) ([]byte, error) { return run.Event(f.BaseURL) }

// Output makes the task's output of the plugin's answer and of what it staged. Its error is the plugin's failure.
func (f *Facade) Output(run *invocation.Run, answer []byte) (api.TaskOutput, error) {
	got, err := run.Output(answer, func() ([]api.Segment, error) {
		ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
		defer cancel()
		return f.Client.Segments(ctx, f.EventUID)
	})
	if err != nil {
		return api.TaskOutput{}, err
	}
	got.Output.Notes = run.Told(got.Notes)
	return got.Output, nil
}

// maxBody bounds what a plugin can make us read.
const maxBody = 32 << 20

// Serve answers what is not the Runtime API. run is nil between runs. It needs the path as it came: MRE's helper
// writes double slashes, which a ServeMux would redirect.
func (f *Facade) Serve(run *invocation.Run, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	path, own := strings.CutPrefix(r.URL.EscapedPath(), "/mre/v1/")
	switch {
	case r.Method == http.MethodPost && r.URL.Path == "/" && r.Header.Get("X-Amz-Target") != "":
		f.serveSSM(w, r)
	case own:
		f.serveOwn(run, w, r, path)
	default:
		f.serveMRE(run, w, r)
	}
}

// refusal is an answer that is not the one asked for. Its message says what to do.
type refusal struct {
	status  int
	code    string
	message string
}

func (e *refusal) Error() string { return e.message }

// The codes are the words of MRE's own API.
func badRequest(message string) error {
	return &refusal{http.StatusBadRequest, "BadRequestError", message}
}
func forbidden(message string) error {
	return &refusal{http.StatusForbidden, "ForbiddenError", message}
}
func notFound(message string) error { return &refusal{http.StatusNotFound, "NotFoundError", message} }
func conflict(message string) error { return &refusal{http.StatusConflict, "ConflictError", message} }
func tooMuch(message string) error {
	return &refusal{http.StatusRequestEntityTooLarge, "BadRequestError", message}
}
func notOffered(message string) error {
	return &refusal{http.StatusNotImplemented, "NotImplementedError", message}
}

var errNoRun = conflict("no task runs in this plugin now; this is answered only between the start of " +
	"an invocation and its answer")

// refused makes a refusal of any error. What the data plane refuses is passed on; when it is away, the answer is one
// that MRE's helper repeats.
func refused(err error) *refusal {
	var r *refusal
	var tooLarge *http.MaxBytesError
	var frame *frames.RefusedError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &frame):
		return &refusal{http.StatusBadRequest, "BadRequestError", err.Error()}
	case errors.As(err, &tooLarge):
		return &refusal{http.StatusRequestEntityTooLarge, "BadRequestError",
			fmt.Sprintf("the request's body is larger than %d bytes; save results in several calls", tooLarge.Limit)}
	case client.Temporary(err):
		return &refusal{http.StatusServiceUnavailable, "ServiceUnavailableError", err.Error()}
	}
	status, code := http.StatusConflict, "ConflictError"
	switch client.Code(err) {
	case api.ProblemCodeInvalid:
		status, code = http.StatusBadRequest, "BadRequestError"
	case api.ProblemCodeNotFound:
		status, code = http.StatusNotFound, "NotFoundError"
	case api.ProblemCodeForbidden, api.ProblemCodeUnauthenticated:
		status, code = http.StatusForbidden, "ForbiddenError"
	}
	return &refusal{status, code, err.Error()}
}

func readBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return nil, badRequest("the request's body broke off: " + err.Error())
	}
	return b, err
}
