// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	k8stesting "k8s.io/client-go/testing"
	testclock "k8s.io/utils/clock/testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

var accounts = Accounts{
	Manager:   ServiceAccount{"mre-system", "mre-manager"},
	AgentName: "mre-agent",
	Viewers:   []ServiceAccount{{"mre-system", "mre-viewer"}},
}

// reviewer answers TokenReviews as the API server would, for tokens that are the user's name.
type reviewer struct {
	mu        sync.Mutex
	asked     int
	down      bool
	audiences []string
}

func (r *reviewer) client() *fake.Clientset {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked++
		review := action.(k8stesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		if r.down {
			return true, nil, apierrors.NewInternalError(fmt.Errorf("cannot review %s", review.Spec.Token))
		}
		if review.Spec.Token != "bad" {
			review.Status.Authenticated = true
			review.Status.User.Username = review.Spec.Token
			review.Status.Audiences = r.audiences
		}
		return true, review, nil
	})
	return client
}

// noObjects is a cluster without pods and Jobs.
func noObjects() *metadatafake.FakeMetadataClient {
	return metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme())
}

func header(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func TestWhoIsWho(t *testing.T) {
	reviews := &reviewer{audiences: []string{Audience}}
	auth := NewAuthenticator(reviews.client(), noObjects(), accounts, testclock.NewFakePassiveClock(time.Unix(0, 0)))
	const podless = "its token is not bound to a pod: use the one that the kubelet mounts into the pod of a Job"
	for token, want := range map[string]Identity{
		"system:serviceaccount:mre-system:mre-manager": {Name: "mre-system/mre-manager", Manager: true},
		"system:serviceaccount:other:mre-manager":      {Name: "other/mre-manager"},
		"system:serviceaccount:mre-system:mre-viewer":  {Name: "mre-system/mre-viewer", Viewer: true},
		"system:serviceaccount:football:mre-agent":     {Name: "football/mre-agent", AgentOf: "football", NoEvent: podless},
		"system:serviceaccount:football:default":       {Name: "football/default"},
		"system:serviceaccount::mre-agent":             {Name: "system:serviceaccount::mre-agent"},
		"mre-manager":                                  {Name: "mre-manager"},
	} {
		got, err := auth.Authenticate(t.Context(), header(token))
		if err != nil {
			t.Errorf("%s: %v", token, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Identity{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", token, diff)
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		header    http.Header
		audiences []string
		down      bool
		want      error
	}{
		"none":              {header: http.Header{}, want: ErrUnauthenticated},
		"another scheme":    {header: http.Header{"Authorization": {"Basic abc"}}, want: ErrUnauthenticated},
		"empty":             {header: header(""), want: ErrUnauthenticated},
		"endless":           {header: header(strings.Repeat("x", maxToken+1)), want: ErrUnauthenticated},
		"not valid":         {header: header("bad"), audiences: []string{Audience}, want: ErrUnauthenticated},
		"another audience":  {header: header("a"), audiences: []string{"https://kubernetes"}, want: ErrUnauthenticated},
		"no audience":       {header: header("a"), want: ErrUnauthenticated},
		"API server failed": {header: header("a-secret"), down: true, want: ErrUnavailable},
	} {
		reviews := &reviewer{audiences: c.audiences, down: c.down}
		auth := NewAuthenticator(reviews.client(), noObjects(), accounts, testclock.NewFakePassiveClock(time.Unix(0, 0)))
		_, err := auth.Authenticate(t.Context(), c.header)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "a-secret") {
			t.Errorf("%s: the message holds the token: %v", name, err)
		}
	}
}

func TestAnswersAreRememberedForAWhile(t *testing.T) {
	reviews := &reviewer{audiences: []string{Audience}}
	clock := testclock.NewFakePassiveClock(time.Unix(0, 0))
	auth := NewAuthenticator(reviews.client(), noObjects(), accounts, clock)
	ask := func(token string, want int) {
		t.Helper()
		_, _ = auth.Authenticate(t.Context(), header(token))
		if reviews.asked != want {
			t.Fatalf("the API server was asked %d times, want %d", reviews.asked, want)
		}
	}
	ask("system:serviceaccount:a:default", 1)
	ask("system:serviceaccount:a:default", 1)
	ask("bad", 2)
	ask("bad", 2)
	clock.SetTime(clock.Now().Add(badFor))
	ask("bad", 3)
	ask("system:serviceaccount:a:default", 3)
	clock.SetTime(clock.Now().Add(60 * time.Second))
	ask("system:serviceaccount:a:default", 4)
}

func TestAFailureIsNotRemembered(t *testing.T) {
	reviews := &reviewer{audiences: []string{Audience}, down: true}
	auth := NewAuthenticator(reviews.client(), noObjects(), accounts, testclock.NewFakePassiveClock(time.Unix(0, 0)))
	_, _ = auth.Authenticate(t.Context(), header("a"))
	reviews.down = false
	if _, err := auth.Authenticate(t.Context(), header("a")); err != nil {
		t.Error(err)
	}
}

func TestAnAskerThatLeavesDoesNotFailTheOthers(t *testing.T) {
	reviews := &reviewer{audiences: []string{Audience}}
	auth := NewAuthenticator(reviews.client(), noObjects(), accounts, testclock.NewFakePassiveClock(time.Unix(0, 0)))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := auth.Authenticate(gone, header("a")); err != nil {
		t.Error(err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	clock := testclock.NewFakePassiveClock(time.Unix(0, 0))
	c := newCache[int, string](clock)
	for i := range 3 * maxCached {
		c.put(i, "", time.Minute)
	}
	if len(c.entries) > maxCached {
		t.Errorf("%d entries", len(c.entries))
	}
}

// TestEveryOperationHasARole compares the table with the API description, tag by tag.
func TestEveryOperationHasARole(t *testing.T) {
	byTag := map[string]Role{"admin": Manager, "ingest": Agent, "tasks": Agent, "read": Viewer, "shared": Reader}
	spec, err := api.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, item := range spec.Paths.Map() {
		for _, operation := range item.Operations() {
			seen++
			want := byTag[operation.Tags[0]]
			if operation.Security != nil && len(*operation.Security) == 0 {
				want = Anybody
			}
			if got := Required(operation.OperationID); got != want || got == Nobody {
				t.Errorf("%s asks for role %d, want %d", operation.OperationID, got, want)
			}
		}
	}
	if seen != len(required) {
		t.Errorf("the table has %d operations, the API %d", len(required), seen)
	}
}

func TestRolesByOperation(t *testing.T) {
	callers := map[string]Identity{
		"manager": {Name: "manager", Manager: true},
		"viewer":  {Name: "viewer", Viewer: true},
		"agent":   {Name: "agent", AgentOf: "here", AgentOfEvent: "match"},
		"foreign": {Name: "foreign", AgentOf: "elsewhere", AgentOfEvent: "match"},
		"another": {Name: "another", AgentOf: "here", AgentOfEvent: "training"},
		"podless": {Name: "podless", AgentOf: "here", NoEvent: "no pod"},
		"nobody":  {Name: "nobody"},
	}
	allowed := map[Role][]string{
		Anybody: {"manager", "viewer", "agent", "foreign", "another", "podless", "nobody"},
		Manager: {"manager"},
		Agent:   {"manager", "agent"},
		Viewer:  {"manager", "viewer"},
		Reader:  {"manager", "viewer", "agent"},
	}
	here := func() (string, error) { return "here", nil }
	for operation, role := range required {
		may := make(map[string]bool)
		for _, name := range allowed[role] {
			may[name] = true
		}
		for name, caller := range callers {
			err := Authorize(caller, operation, "match", here)
			if may[name] != (err == nil) || (err != nil && !errors.Is(err, ErrForbidden)) {
				t.Errorf("%s as %s: %v", operation, name, err)
			}
		}
	}
	if err := Authorize(callers["manager"], "AddedLater", "match", here); !errors.Is(err, ErrForbidden) {
		t.Errorf("an operation that is not in the table: %v", err)
	}
	gone := errors.New("gone")
	if err := Authorize(callers["agent"], "LeaseTask", "match", func() (string, error) {
		return "", gone
	}); !errors.Is(err, gone) {
		t.Errorf("the Event's own error is lost: %v", err)
	}
}

func TestParseServiceAccount(t *testing.T) {
	if got, err := ParseServiceAccount("ns/name"); err != nil || got.String() != "ns/name" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "name", "/name", "ns/", "a/b/c"} {
		if _, err := ParseServiceAccount(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
