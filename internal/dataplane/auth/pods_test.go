// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	k8stesting "k8s.io/client-go/testing"
	testclock "k8s.io/utils/clock/testing"
)

// family is a pod, its Job and the owner of that, as the cluster tells it.
type family struct {
	extra    map[string]authenticationv1.ExtraValue
	pod, job *metav1.PartialObjectMetadata
}

func owned(kind, name, uid string, owner metav1.OwnerReference) *metav1.PartialObjectMetadata {
	version := map[string]string{"Pod": "v1", "Job": "batch/v1"}[kind]
	return &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: kind},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "football", Name: name, UID: types.UID(uid), OwnerReferences: []metav1.OwnerReference{owner},
			Labels: map[string]string{"mre.media/event-uid": "claimed-by-label"},
		}}
}

func newFamily() *family {
	f := &family{
		extra: map[string]authenticationv1.ExtraValue{extraPodName: {"worker"}, extraPodUID: {"pod-1"}},
		pod: owned("Pod", "worker", "pod-1",
			metav1.OwnerReference{APIVersion: "batch/v1", Kind: "Job", Name: "slot", UID: "job-1", Controller: new(true)}),
		job: owned("Job", "slot", "job-1", metav1.OwnerReference{APIVersion: "mre.media/v1alpha1", Kind: "Event",
			Name: "final", UID: "event-1", Controller: new(true)}),
	}
	f.pod.Labels["batch.kubernetes.io/controller-uid"] = "job-1"
	return f
}

// cluster answers about the family. down fails every look-up.
func (f *family) authenticator(t *testing.T, clock *testclock.FakePassiveClock,
	down *bool) (*Authenticator, *metadatafake.FakeMetadataClient) {
	t.Helper()
	kube := fake.NewClientset()
	kube.PrependReactor("create", "tokenreviews", func(action k8stesting.Action) (bool, runtime.Object, error) {
		review := action.(k8stesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{Audience},
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:football:mre-agent", Extra: f.extra}}
		return true, review, nil
	})
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var there []runtime.Object
	for _, object := range []*metav1.PartialObjectMetadata{f.pod, f.job} {
		if object != nil {
			there = append(there, object)
		}
	}
	objects := metadatafake.NewSimpleMetadataClient(scheme, there...)
	objects.PrependReactor("get", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		return *down, nil, apierrors.NewServiceUnavailable("the API server is away")
	})
	return NewAuthenticator(kube, objects, accounts, clock), objects
}

func TestAnAgentWorksForTheEventOfItsPod(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*family)
		want   string
	}{
		"as the operator makes it":   {func(*family) {}, ""},
		"a later version of the API": {func(f *family) { f.job.OwnerReferences[0].APIVersion = "mre.media/v1" }, ""},
		"a token of no pod":          {func(f *family) { f.extra = nil }, "not bound to a pod"},
		"a pod's name without UID":   {func(f *family) { delete(f.extra, extraPodUID) }, "not bound to a pod"},
		"two pods": {func(f *family) {
			f.extra[extraPodUID] = append(f.extra[extraPodUID], "pod-2")
		}, "not bound to a pod"},
		"a pod that is gone":         {func(f *family) { f.pod = nil }, "no pods worker"},
		"another pod of that name":   {func(f *family) { f.pod.UID = "pod-2" }, "no pods worker with UID pod-1"},
		"a pod in another namespace": {func(f *family) { f.pod.Namespace = "tennis" }, "no pods worker"},
		"a pod of nobody":            {func(f *family) { f.pod.OwnerReferences = nil }, "not controlled by a Job"},
		"a Job that does not control it": {func(f *family) {
			f.pod.OwnerReferences[0].Controller = nil
		}, "not controlled by a Job"},
		"a ReplicaSet": {func(f *family) {
			f.pod.OwnerReferences[0].Kind = "ReplicaSet"
		}, "not controlled by a Job"},
		"a Job of another group": {func(f *family) {
			f.pod.OwnerReferences[0].APIVersion = "example.com/v1"
		}, "not controlled by a Job"},
		"a Job that is gone": {func(f *family) { f.job = nil }, "no jobs slot"},
		"a forged UID of the Job": {func(f *family) {
			f.pod.OwnerReferences[0].UID = "job-2"
		}, "no jobs slot with UID job-2"},
		"a Job of another namespace": {func(f *family) { f.job.Namespace = "tennis" }, "no jobs slot"},
		"a pod that the Job does not select": {func(f *family) {
			delete(f.pod.Labels, "batch.kubernetes.io/controller-uid")
		}, "not one that Job slot selects"},
		"a pod that another Job selects": {func(f *family) {
			f.pod.Labels["batch.kubernetes.io/controller-uid"] = "job-2"
		}, "not one that Job slot selects"},
		"a Job of nobody": {func(f *family) { f.job.OwnerReferences = nil }, "not controlled by an Event"},
		"a CronJob's": {func(f *family) {
			f.job.OwnerReferences[0].Kind, f.job.OwnerReferences[0].APIVersion = "CronJob", "batch/v1"
		}, "not controlled by an Event"},
		"an Event of Kubernetes": {func(f *family) {
			f.job.OwnerReferences[0].APIVersion = "v1"
		}, "not controlled by an Event"},
		"an Event that does not control it": {func(f *family) {
			f.job.OwnerReferences[0].Controller = new(false)
		}, "not controlled by an Event"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFamily()
			c.change(f)
			auth, _ := f.authenticator(t, testclock.NewFakePassiveClock(time.Unix(0, 0)), new(bool))
			caller, err := auth.Authenticate(t.Context(), header("token"))
			if err != nil {
				t.Fatal(err)
			}
			refused := Authorize(caller, "LeaseTask", "event-1", func() (string, error) { return "football", nil })
			if c.want == "" {
				if refused != nil || caller.AgentOfEvent != "event-1" {
					t.Errorf("%+v: %v", caller, refused)
				}
				return
			}
			if caller.AgentOfEvent != "" || !errors.Is(refused, ErrForbidden) || !strings.Contains(refused.Error(), c.want) {
				t.Errorf("%+v: %v; want %q", caller, refused, c.want)
			}
		})
	}
}

// TestAPodKeepsItsEvent: a Job is removed before its pod, which still has a task to give back.
func TestAPodKeepsItsEvent(t *testing.T) {
	f, clock, down := newFamily(), testclock.NewFakePassiveClock(time.Unix(0, 0)), false
	auth, objects := f.authenticator(t, clock, &down)
	if caller, err := auth.Authenticate(t.Context(), header("token")); err != nil || caller.AgentOfEvent != "event-1" {
		t.Fatalf("%+v, %v", caller, err)
	}
	asked := len(objects.Actions())
	down = true
	clock.SetTime(clock.Now().Add(2 * goodFor))
	if caller, err := auth.Authenticate(t.Context(), header("token")); err != nil || caller.AgentOfEvent != "event-1" {
		t.Errorf("%+v, %v", caller, err)
	}
	if now := len(objects.Actions()); now != asked {
		t.Errorf("the cluster was asked %d times more about a pod that is known", now-asked)
	}
}

func TestAnOutageIsNotHeldAgainstAnAgent(t *testing.T) {
	f, down := newFamily(), true
	auth, _ := f.authenticator(t, testclock.NewFakePassiveClock(time.Unix(0, 0)), &down)
	if _, err := auth.Authenticate(t.Context(), header("token")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	down = false
	if caller, err := auth.Authenticate(t.Context(), header("token")); err != nil || caller.AgentOfEvent != "event-1" {
		t.Errorf("%+v, %v", caller, err)
	}
}
