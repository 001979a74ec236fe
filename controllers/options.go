// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Options are the settings of the install that the controllers need.
type Options struct {
	// AgentImage is the image of the Jobs' pods.
	AgentImage string
	// AgentImagePullPolicy of that image; empty leaves the choice to Kubernetes.
	AgentImagePullPolicy corev1.PullPolicy
	// DataPlaneURL is where the Jobs' pods reach the data plane.
	DataPlaneURL string
	// Trust are the authorities that sign the data plane's certificate, in PEM; nil where the operator does not make it.
	Trust func() ([]byte, error)
	// ObjectStoreURL is where signed URLs lead the Jobs' pods; empty for AWS S3.
	ObjectStoreURL string
	// NetworkPolicies are made for the Jobs of each Event.
	NetworkPolicies bool
	// AgentServiceAccount is the ServiceAccount that the Jobs' pods run as. The operator makes it in the
	// namespace of each Event.
	AgentServiceAccount string
	// ScratchSize bounds the scratch volume of a pod.
	ScratchSize resource.Quantity
	// Resources of a Job's container.
	Resources corev1.ResourceRequirements
	// MaxWorkers bounds the worker Jobs of all Events together; they share it fairly. 0 is no bound.
	MaxWorkers int32
	// StartDeadline is how long a Job's pod may take until it runs before the Event says so.
	StartDeadline time.Duration
	// StatusInterval is the shortest time between two status patches of one Event that only count.
	StatusInterval time.Duration
	// Resync is how often an object that is not at rest is looked at when nothing wakes the manager up.
	Resync time.Duration
}

// DefaultOptions are the settings where the install says nothing.
func DefaultOptions() Options {
	return Options{
		AgentServiceAccount: "mre-agent",
		NetworkPolicies:     true,
		ScratchSize:         resource.MustParse("4Gi"),
		StartDeadline:       5 * time.Minute,
		StatusInterval:      5 * time.Second,
		Resync:              30 * time.Second,
	}
}

// AgentResources asks for some CPU without a limit, as throttling makes media work slower than it need be,
// and bounds the memory.
func AgentResources(cpu, memory, memoryLimit string) (corev1.ResourceRequirements, error) {
	var parsed [3]resource.Quantity
	for i, text := range []string{cpu, memory, memoryLimit} {
		var err error
		if parsed[i], err = resource.ParseQuantity(text); err != nil {
			return corev1.ResourceRequirements{}, fmt.Errorf("resources of the Jobs: %q: %w", text, err)
		}
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: parsed[0], corev1.ResourceMemory: parsed[1]},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: parsed[2]},
	}, nil
}
