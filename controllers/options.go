// SPDX-License-Identifier: Apache-2.0

package controllers

import (
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
	// AgentServiceAccount is the ServiceAccount that the Jobs' pods run as. The operator makes it in the
	// namespace of each Event.
	AgentServiceAccount string
	// ScratchSize bounds the scratch volume of a pod.
	ScratchSize resource.Quantity
	// Resources of each kind of Job's container.
	Resources map[Role]corev1.ResourceRequirements
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
		ScratchSize:         resource.MustParse("4Gi"),
		Resources: map[Role]corev1.ResourceRequirements{
			RoleIngest: requirements("250m", "128Mi", "2Gi"),
			RoleWorker: requirements("250m", "256Mi", "2Gi"),
			RoleRender: requirements("250m", "256Mi", "2Gi"),
		},
		StartDeadline:  5 * time.Minute,
		StatusInterval: 5 * time.Second,
		Resync:         30 * time.Second,
	}
}

// requirements asks for some CPU without a limit, as throttling makes media work slower than it need
// be, and bounds the memory.
func requirements(cpu, memory, memoryLimit string) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		},
		Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memoryLimit)},
	}
}
