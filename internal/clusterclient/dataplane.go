// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// audience is whom the tokens are for; the data plane refuses others.
	audience = "mre.media/dataplane"
	// viewer is the ServiceAccount of people who look.
	viewer = "mre-viewer"
	// patience is how long a data plane that is being restarted is waited for.
	patience = 2 * time.Minute
	pageSize = int32(500)
)

// DataPlane reads the data plane with a viewer's rights.
type DataPlane struct {
	*api.ClientWithResponses
}

// DataPlane connects to the data plane of the install.
func (c *Cluster) DataPlane() (*DataPlane, error) {
	tokens := &tokenSource{cluster: c}
	calls, err := api.NewClientWithResponses(
		fmt.Sprintf("http://mre-dataplane.%s.svc:8080", c.Namespace),
		api.WithHTTPClient(&patientDoer{http: c.HTTP}),
		api.WithRequestEditorFn(func(ctx context.Context, r *http.Request) error {
			token, err := tokens.token(ctx)
			if err != nil {
				return err
			}
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("make the data plane's client: %w", err)
	}
	return &DataPlane{calls}, nil
}

// tokenSource asks the API server for a token and keeps it for most of its life.
type tokenSource struct {
	cluster *Cluster

	mu      sync.Mutex
	current string
	renewAt time.Time
}

func (s *tokenSource) token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.renewAt) {
		return s.current, nil
	}
	const lifetime = time.Hour
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{audience}, ExpirationSeconds: ptr.To(int64(lifetime.Seconds())),
	}}
	answer, err := s.cluster.Kube.CoreV1().ServiceAccounts(s.cluster.Namespace).
		CreateToken(ctx, viewer, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("get a token for the ServiceAccount %s/%s: %w", s.cluster.Namespace, viewer, err)
	}
	s.current = answer.Status.Token
	s.renewAt = time.Now().Add(time.Until(answer.Status.ExpirationTimestamp.Time) * 3 / 4)
	return s.current, nil
}

// patientDoer repeats calls that did not reach a data plane. A viewer's calls change nothing, so that
// all of them may be repeated.
type patientDoer struct{ http *http.Client }

func (d *patientDoer) Do(r *http.Request) (*http.Response, error) {
	return backoff.Retry(r.Context(), func() (*http.Response, error) {
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, backoff.Permanent(err)
			}
			r.Body = body
		}
		response, err := d.http.Do(r)
		if err != nil {
			return nil, err
		}
		switch response.StatusCode {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return nil, errors.Join(fmt.Errorf("the data plane answers %s", response.Status), response.Body.Close())
		}
		return response, nil
	}, backoff.WithMaxElapsedTime(patience))
}

// problem turns an answer that was not 200 into an error.
func problem(what string, p *api.Problem, response *http.Response) error {
	if p == nil {
		return fmt.Errorf("%s: the data plane answers %s", what, response.Status)
	}
	return &ProblemError{What: what, Problem: *p}
}

// ProblemError is a refusal by the data plane.
type ProblemError struct {
	What    string
	Problem api.Problem
}

func (e *ProblemError) Error() string {
	return fmt.Sprintf("%s: %s (%s): %s", e.What, e.Problem.Title, e.Problem.Code, ptr.Deref(e.Problem.Detail, ""))
}

// HasCode tells whether the data plane refused a call with this code.
func HasCode(err error, code api.ProblemCode) bool {
	var p *ProblemError
	return errors.As(err, &p) && p.Problem.Code == code
}
