// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/utils/clock"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	// What the API server adds to the user of a token that is bound to a pod.
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
	// eventKept is how long it is remembered for which Event a pod works: that never changes. The pod's TokenReview,
	// which is asked for again and again, says whether it is still there; so a pod whose Job has just been deleted
	// can still give its task back.
	eventKept = time.Hour
)

// pods finds the Event that a pod works for: the pod of a token is controlled by a Job, which is controlled by an
// Event. Labels say nothing here, as whoever makes an object writes what they like into them.
type pods struct {
	objects metadata.Interface
	events  *cache[types.UID, string]
}

func newPods(objects metadata.Interface, clock clock.PassiveClock) *pods {
	return &pods{objects: objects, events: newCache[types.UID, string](clock)}
}

// eventOf returns the UID of the Event. Its error is ErrUnavailable, or says why the pod works for none.
func (p *pods) eventOf(ctx context.Context, namespace string,
	extra map[string]authenticationv1.ExtraValue) (string, error) {
	name, uid := only(extra[extraPodName]), types.UID(only(extra[extraPodUID]))
	if name == "" || uid == "" {
		return "", fmt.Errorf("its token is not bound to a pod: use the one that the kubelet mounts into the pod of a Job")
	}
	if event, ok := p.events.get(uid); ok {
		return event, nil
	}
	pod, err := p.get(ctx, corev1.SchemeGroupVersion.WithResource("pods"), namespace, name, uid)
	if err != nil {
		return "", err
	}
	owner := metav1.GetControllerOf(pod)
	if !is(owner, batchv1.GroupName, "Job") {
		return "", fmt.Errorf("pod %s is not controlled by a Job", name)
	}
	job, err := p.get(ctx, batchv1.SchemeGroupVersion.WithResource("jobs"), namespace, owner.Name, owner.UID)
	if err != nil {
		return "", fmt.Errorf("pod %s: %w", name, err)
	}
	// The Job's selector. A pod that names the Job and lacks this is not counted among the Job's pods.
	if pod.Labels[batchv1.ControllerUidLabel] != string(job.UID) {
		return "", fmt.Errorf("pod %s is not one that Job %s selects", name, job.Name)
	}
	owner = metav1.GetControllerOf(job)
	if !is(owner, mrev1.GroupVersion.Group, "Event") {
		return "", fmt.Errorf("pod %s: Job %s is not controlled by an Event of %s", name, job.Name, mrev1.GroupVersion.Group)
	}
	p.events.put(uid, string(owner.UID), eventKept)
	return string(owner.UID), nil
}

// get reads the metadata of the object of a UID; another one of the same name does not count.
func (p *pods) get(ctx context.Context, resource schema.GroupVersionResource, namespace, name string,
	uid types.UID) (*metav1.PartialObjectMetadata, error) {
	found, err := p.objects.Resource(resource).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || (err == nil && found.UID != uid):
		return nil, fmt.Errorf("there is no %s %s with UID %s in namespace %s", resource.Resource, name, uid, namespace)
	case err != nil:
		slog.ErrorContext(ctx, "Looking up whom an agent works for failed; the data plane's ServiceAccount needs `get` "+
			"on pods and jobs", "error", err)
		return nil, fmt.Errorf("%w: the Kubernetes API server did not say which Event pod or Job %s/%s works for; try again",
			ErrUnavailable, namespace, name)
	}
	return found, nil
}

// is tells whether an owner is of a kind, in any version of its group.
func is(owner *metav1.OwnerReference, group, kind string) bool {
	if owner == nil || owner.Kind != kind {
		return false
	}
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && version.Group == group
}

func only(values authenticationv1.ExtraValue) string {
	if len(values) != 1 {
		return ""
	}
	return values[0]
}
