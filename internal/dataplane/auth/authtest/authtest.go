// SPDX-License-Identifier: Apache-2.0

// Package authtest stands in for the API server where a data plane is tested without one: it knows who holds a
// token and for which Event a pod works by the token itself.
package authtest

import (
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
)

// Cluster is the API server's part in it. A test may put reactors of its own before these.
type Cluster struct {
	Kube     *fake.Clientset
	Metadata *metadatafake.FakeMetadataClient

	allowed map[Right]bool
}

// Right is what the cluster's rules let somebody do with the data of an Event.
type Right struct{ Token, Verb, Namespace, Event string }

// New makes one in which people have these rights and no others. It takes the tokens that Token and AgentToken make;
// any other is not valid.
func New(rights ...Right) *Cluster {
	c := &Cluster{allowed: make(map[Right]bool), Kube: fake.NewClientset(),
		Metadata: metadatafake.NewSimpleMetadataClient(metadatafake.NewTestScheme())}
	for _, right := range rights {
		c.allowed[right] = true
	}
	c.Kube.PrependReactor("create", "tokenreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		token, _, _ := strings.Cut(review.Spec.Token, "/")
		account, event, _ := strings.Cut(token, "@")
		if !strings.Contains(account, ":") {
			return true, review, nil
		}
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{auth.Audience},
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:" + account}}
		if event != "" {
			review.Status.User.Extra = map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {podPrefix + event},
				"authentication.kubernetes.io/pod-uid":  {podPrefix + event},
			}
		}
		return true, review, nil
	})
	c.Kube.PrependReactor("create", "subjectaccessreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		what := review.Spec.ResourceAttributes
		review.Status.Allowed = c.allowed[Right{strings.TrimPrefix(review.Spec.User, "system:serviceaccount:"),
			what.Verb, what.Namespace, what.Name}]
		return true, review, nil
	})
	c.Metadata.PrependReactor("get", "pods", func(action k8stesting.Action) (bool, runtime.Object, error) {
		name := action.(k8stesting.GetAction).GetName()
		job := jobPrefix + strings.TrimPrefix(name, podPrefix)
		pod := object(action, metav1.OwnerReference{APIVersion: batchv1.SchemeGroupVersion.String(),
			Kind: "Job", Name: job, UID: types.UID(job)})
		pod.Labels = map[string]string{batchv1.ControllerUidLabel: job}
		return true, pod, nil
	})
	c.Metadata.PrependReactor("get", "jobs", func(action k8stesting.Action) (bool, runtime.Object, error) {
		event := strings.TrimPrefix(action.(k8stesting.GetAction).GetName(), jobPrefix)
		return true, object(action, metav1.OwnerReference{APIVersion: mrev1.GroupVersion.String(),
			Kind: "Event", Name: event, UID: types.UID(event)}), nil
	})
	return c
}

// Each Event has one Job with one pod; their names are their UIDs.
const (
	podPrefix = "pod-of-"
	jobPrefix = "job-of-"
)

func object(action k8stesting.Action, owner metav1.OwnerReference) *metav1.PartialObjectMetadata {
	owner.Controller = new(true)
	name := action.(k8stesting.GetAction).GetName()
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: action.GetNamespace(), Name: name, UID: types.UID(name), OwnerReferences: []metav1.OwnerReference{owner},
	}}
}

// Token is that of a ServiceAccount. What follows a slash tells tokens of one account apart.
func Token(namespace, account string) string { return namespace + ":" + account }

// AgentToken is the one that the pod of an Event's Job has.
func AgentToken(namespace, event string) string { return Token(namespace, Agent) + "@" + event }

// Agent is the account of Jobs.
const Agent = "mre-agent"

// Authenticator is one with the usual accounts.
func (c *Cluster) Authenticator(clock clock.PassiveClock) *auth.Authenticator {
	return auth.NewAuthenticator(c.Kube, c.Metadata, auth.Accounts{
		Manager:   auth.ServiceAccount{Namespace: "mre-system", Name: "mre-manager"},
		AgentName: Agent,
		Viewers:   []auth.ServiceAccount{{Namespace: "mre-system", Name: "mre-viewer"}},
	}, clock)
}
