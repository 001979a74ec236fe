// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	testclock "k8s.io/utils/clock/testing"
)

// rules answers SubjectAccessReviews by verb, namespace and name.
type rules struct {
	allowed map[string]bool
	down    bool
	asked   []authorizationv1.SubjectAccessReviewSpec
}

func (r *rules) authenticator(clock *testclock.FakePassiveClock) *Authenticator {
	kube := fake.NewClientset()
	kube.PrependReactor("create", "subjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		r.asked = append(r.asked, review.Spec)
		if r.down {
			return true, nil, apierrors.NewServiceUnavailable("the API server is away")
		}
		what := review.Spec.ResourceAttributes
		review.Status.Allowed = r.allowed[what.Verb+" "+what.Namespace+"/"+what.Name]
		return true, review, nil
	})
	return NewAuthenticator(kube, noObjects(), accounts, clock)
}

var maria = Identity{Name: "football/maria", user: authenticationv1.UserInfo{
	Username: "system:serviceaccount:football:maria", UID: "u-1", Groups: []string{"system:serviceaccounts"},
	Extra: map[string]authenticationv1.ExtraValue{"example.com/team": {"red"}},
}}

func TestPeopleMayWhatTheClusterLetsThem(t *testing.T) {
	r := &rules{allowed: map[string]bool{"get football/final": true,
		"update football/final": true, "get football/training": true}}
	auth := r.authenticator(testclock.NewFakePassiveClock(time.Unix(0, 0)))
	for _, c := range []struct {
		operation, event string
		may              bool
	}{
		{"ListSegments", "final", true},
		{"ListSegments", "training", true},
		{"ListSegments", "secret", false},
		{"GetReplay", "final", true},
		{"PutFeedback", "final", true},
		{"PutFeedback", "training", false},
		{"LeaseTask", "final", false},
		{"PutPlan", "final", false},
		{"AddedLater", "final", false},
	} {
		err := auth.AuthorizePerson(t.Context(), maria, c.operation, func() (string, string, error) {
			return "football", c.event, nil
		})
		if c.may != (err == nil) || (err != nil && !errors.Is(err, ErrForbidden)) {
			t.Errorf("%s of %s: %v", c.operation, c.event, err)
		}
	}
	want := authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "football", Verb: "get", Group: "mre.media",
			Version: "v1alpha1", Resource: "events", Subresource: "data", Name: "final"},
		User: "system:serviceaccount:football:maria", UID: "u-1", Groups: []string{"system:serviceaccounts"},
		Extra: map[string]authorizationv1.ExtraValue{"example.com/team": {"red"}},
	}
	if diff := cmp.Diff(want, r.asked[0]); diff != "" {
		t.Errorf("what the API server was asked (-want +got):\n%s", diff)
	}
}

func TestAnswersAboutPeopleAreRememberedForAWhile(t *testing.T) {
	clock := testclock.NewFakePassiveClock(time.Unix(0, 0))
	r := &rules{allowed: map[string]bool{"get football/final": true}}
	auth := r.authenticator(clock)
	ask := func(who Identity, event string, want int) {
		t.Helper()
		_ = auth.AuthorizePerson(t.Context(), who, "ListSegments", func() (string, string, error) {
			return "football", event, nil
		})
		if len(r.asked) != want {
			t.Fatalf("the API server was asked %d times, want %d", len(r.asked), want)
		}
	}
	ask(maria, "final", 1)
	ask(maria, "final", 1)
	ask(maria, "secret", 2)
	ask(maria, "secret", 2)
	other := maria
	other.user.Groups = []string{"system:masters"}
	ask(other, "secret", 3)
	clock.SetTime(clock.Now().Add(goodFor))
	ask(maria, "final", 4)
}

func TestAnOutageIsNoRefusal(t *testing.T) {
	r := &rules{down: true, allowed: map[string]bool{"get football/final": true}}
	auth := r.authenticator(testclock.NewFakePassiveClock(time.Unix(0, 0)))
	final := func() (string, string, error) { return "football", "final", nil }
	if err := auth.AuthorizePerson(t.Context(), maria, "ListSegments", final); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	r.down = false
	if err := auth.AuthorizePerson(t.Context(), maria, "ListSegments", final); err != nil {
		t.Errorf("%v", err)
	}
	gone := errors.New("gone")
	if err := auth.AuthorizePerson(t.Context(), maria, "ListSegments", func() (string, string, error) {
		return "", "", gone
	}); !errors.Is(err, gone) {
		t.Errorf("the Event's own error is lost: %v", err)
	}
	if err := auth.AuthorizePerson(t.Context(), maria, "ListSegments", func() (string, string, error) {
		return "football", "x", nil
	}); !strings.Contains(err.Error(), "get events/data") {
		t.Errorf("the message does not name the right: %v", err)
	}
}
