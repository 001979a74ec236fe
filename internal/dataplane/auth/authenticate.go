// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/clock"
)

var (
	// ErrUnauthenticated says that the token is missing or not good.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrUnavailable says that the cluster could not be asked.
	ErrUnavailable = errors.New("tokens cannot be checked now")
)

const (
	// goodFor bounds how long a token still works after its Pod has gone.
	goodFor = 30 * time.Second
	// badFor keeps a caller that repeats a bad token, or one that works for no Event, from loading the API server.
	badFor = 5 * time.Second
	// reviewTimeout bounds the questions about one caller.
	reviewTimeout = 10 * time.Second
	// maxToken is far above a ServiceAccount token's length.
	maxToken = 16 << 10
)

// Authenticator checks tokens by TokenReview and remembers the answers for a short time.
type Authenticator struct {
	cluster  kubernetes.Interface
	accounts Accounts
	pods     *pods
	verdicts *cache[[sha256.Size]byte, verdict]
	access   *cache[[sha256.Size]byte, bool]
	asking   singleflight.Group
}

type verdict struct {
	identity Identity
	err      error
}

// NewAuthenticator makes one. Its identity in the cluster needs `create` on tokenreviews and subjectaccessreviews,
// and `get` on pods and jobs, of which it reads the metadata alone.
func NewAuthenticator(cluster kubernetes.Interface, objects metadata.Interface,
	accounts Accounts, clock clock.PassiveClock) *Authenticator {
	return &Authenticator{
		cluster: cluster, accounts: accounts, pods: newPods(objects, clock),
		verdicts: newCache[[sha256.Size]byte, verdict](clock), access: newCache[[sha256.Size]byte, bool](clock),
	}
}

// Authenticate finds out who sent a request.
func (a *Authenticator) Authenticate(ctx context.Context, header http.Header) (Identity, error) {
	token, err := bearer(header)
	if err != nil {
		return Identity{}, err
	}
	// The token itself is never kept.
	sum := sha256.Sum256([]byte(token))
	if known, ok := a.verdicts.get(sum); ok {
		return known.identity, known.err
	}
	// One question for all requests with this token; it does not end with the request that asked first.
	result, err, _ := a.asking.Do(string(sum[:]), func() (any, error) {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		identity, err := a.review(asking, token)
		switch {
		case err == nil && identity.NoEvent == "":
			a.verdicts.put(sum, verdict{identity: identity}, goodFor)
		case err == nil:
			a.verdicts.put(sum, verdict{identity: identity}, badFor)
		case errors.Is(err, ErrUnauthenticated):
			a.verdicts.put(sum, verdict{err: err}, badFor)
		}
		return identity, err
	})
	return result.(Identity), err
}

func (a *Authenticator) review(ctx context.Context, token string) (Identity, error) {
	answer, err := a.cluster.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{Audience}},
	}, metav1.CreateOptions{})
	if err != nil {
		// The cause can hold what was sent, so it is not part of the answer; the log names its kind.
		slog.ErrorContext(ctx, "TokenReview failed; the data plane's ServiceAccount needs `create` on tokenreviews",
			"error", strings.ReplaceAll(err.Error(), token, "TOKEN"))
		return Identity{}, fmt.Errorf("%w: the Kubernetes API server did not answer a TokenReview; try again", ErrUnavailable)
	}
	if !answer.Status.Authenticated {
		return Identity{}, fmt.Errorf("%w: the token is not valid or has expired; make one with `kubectl create token "+
			"NAME --audience %s`", ErrUnauthenticated, Audience)
	}
	// An authenticator that does not know audiences leaves them out: such an answer says nothing about ours.
	if !slices.Contains(answer.Status.Audiences, Audience) {
		return Identity{}, fmt.Errorf("%w: the token is not made for the audience %s", ErrUnauthenticated, Audience)
	}
	identity := a.accounts.identify(answer.Status.User)
	if identity.AgentOf == "" {
		return identity, nil
	}
	if identity.AgentOfEvent, err = a.pods.eventOf(ctx, identity.AgentOf, answer.Status.User.Extra); err != nil {
		if errors.Is(err, ErrUnavailable) {
			return Identity{}, err
		}
		identity.NoEvent = err.Error()
	}
	return identity, nil
}

func bearer(header http.Header) (string, error) {
	value := header.Get("Authorization")
	scheme, token, ok := strings.Cut(value, " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", fmt.Errorf("%w: send a ServiceAccount token with the audience %s as `Authorization: Bearer TOKEN`",
			ErrUnauthenticated, Audience)
	}
	if len(token) > maxToken {
		return "", fmt.Errorf("%w: the token is longer than any ServiceAccount token", ErrUnauthenticated)
	}
	return token, nil
}
