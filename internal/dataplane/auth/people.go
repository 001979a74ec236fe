// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// The resource that stands for an Event's rows and media in the cluster's RBAC. No such object exists.
const (
	virtualResource    = "events"
	virtualSubresource = "data"
)

// changes are the operations that people may call and that change something.
var changes = map[string]bool{"PutFeedback": true}

// personVerb is what somebody without a role of ours must be allowed on events/data to call an operation; empty for
// an operation that is not for people.
func personVerb(operation string) string {
	switch {
	case changes[operation]:
		return "update"
	case Required(operation) == Viewer || Required(operation) == Reader:
		return "get"
	default:
		return ""
	}
}

// IsPerson tells whether it is the cluster's RBAC that says what a caller may do.
func (i Identity) IsPerson() bool { return !i.Manager && !i.Viewer && i.AgentOf == "" }

// AuthorizePerson asks the API server whether a caller who has no role of ours may call an operation. event names the
// Event that it is about; its error is handed through.
func (a *Authenticator) AuthorizePerson(ctx context.Context, caller Identity, operation string,
	event func() (namespace, name string, err error)) error {
	verb := personVerb(operation)
	if verb == "" {
		return fmt.Errorf("%w: %s may not call %s", ErrForbidden, caller.Name, operation)
	}
	namespace, name, err := event()
	if err != nil {
		return err
	}
	allowed, err := a.allowed(ctx, caller, authorizationv1.ResourceAttributes{
		Group: mrev1.GroupVersion.Group, Version: mrev1.GroupVersion.Version,
		Resource: virtualResource, Subresource: virtualSubresource,
		Verb: verb, Namespace: namespace, Name: name,
	})
	if err != nil {
		return err
	}
	if !allowed {
		return fmt.Errorf("%w: %s needs the right to %s %s/%s of %s for this Event; the roles view and "+
			"edit of its namespace have it",
			ErrForbidden, caller.Name, verb, virtualResource, virtualSubresource, mrev1.GroupVersion.Group)
	}
	return nil
}

func (a *Authenticator) allowed(ctx context.Context, caller Identity,
	what authorizationv1.ResourceAttributes) (bool, error) {
	spec := authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: &what, User: caller.user.Username, UID: caller.user.UID, Groups: caller.user.Groups,
		Extra: make(map[string]authorizationv1.ExtraValue, len(caller.user.Extra)),
	}
	for key, values := range caller.user.Extra {
		spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return false, fmt.Errorf("ask what %s may do: %w", caller.Name, err)
	}
	question := sha256.Sum256(text)
	if known, ok := a.access.get(question); ok {
		return known, nil
	}
	answer, err, _ := a.asking.Do("may "+string(question[:]), func() (any, error) {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), reviewTimeout)
		defer cancel()
		review, err := a.cluster.AuthorizationV1().SubjectAccessReviews().Create(asking,
			&authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			slog.ErrorContext(ctx, "SubjectAccessReview failed; the data plane's ServiceAccount needs `create` on "+
				"subjectaccessreviews", "error", err)
			return false, fmt.Errorf("%w: the Kubernetes API server did not say what %s may do; try again",
				ErrUnavailable, caller.Name)
		}
		a.access.put(question, review.Status.Allowed, goodFor)
		return review.Status.Allowed, nil
	})
	return answer.(bool), err
}
