// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ReadManifests reads every object of YAML files.
func ReadManifests(paths ...string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read manifests: %w", err)
		}
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
		for {
			object := &unstructured.Unstructured{}
			if err := decoder.Decode(object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			if len(object.Object) > 0 {
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}

// ApplyTo applies objects server-side into a namespace.
func (c *Cluster) ApplyTo(ctx context.Context, namespace string, objects ...*unstructured.Unstructured) error {
	for _, object := range objects {
		object.SetNamespace(namespace)
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
			client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s/%s: %w", object.GetKind(), namespace, object.GetName(), err)
		}
	}
	return nil
}

// EnsureNamespace makes a namespace for Events, whose pods must be restricted ones.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string) error {
	namespace := applycorev1.Namespace(name).WithLabels(map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted",
	})
	if err := c.Apply(ctx, namespace, client.FieldOwner(FieldOwner), client.ForceOwnership); err != nil {
		return fmt.Errorf("make namespace %s: %w", name, err)
	}
	return nil
}

// PodLogs is the end of the logs of the pods that match, newest pod last, for a person to read.
func (c *Cluster) PodLogs(ctx context.Context, namespace string, labels map[string]string, lines int64) string {
	var out bytes.Buffer
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels(labels)); err != nil {
		return fmt.Sprintf("(cannot list pods: %v)\n", err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		fmt.Fprintf(&out, "--- pod %s/%s: %s %s\n", namespace, pod.Name, pod.Status.Phase, pod.Status.Reason)
		for _, container := range pod.Spec.Containers {
			text, err := c.Kube.CoreV1().Pods(namespace).GetLogs(pod.Name,
				&corev1.PodLogOptions{Container: container.Name, TailLines: &lines}).DoRaw(ctx)
			if err != nil {
				fmt.Fprintf(&out, "(no log: %v)\n", err)
				continue
			}
			out.Write(text)
		}
	}
	return out.String()
}

// ConditionTrue tells whether a condition holds, with its reason and message.
func ConditionTrue(conditions []metav1.Condition, kind string) (holds bool, reason, message string) {
	for i := range conditions {
		if conditions[i].Type == kind {
			return conditions[i].Status == metav1.ConditionTrue, conditions[i].Reason, conditions[i].Message
		}
	}
	return false, "", ""
}
