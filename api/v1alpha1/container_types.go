// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// PluginProtocol is how a plugin in a container is given work.
// +kubebuilder:validation:Enum=LambdaRuntime;Exec
type PluginProtocol string

const (
	// ProtocolLambdaRuntime plugins ask for work over the AWS Lambda Runtime API and stay warm.
	ProtocolLambdaRuntime PluginProtocol = "LambdaRuntime"
	// ProtocolExec runs a command for each task, with the task as JSON on standard input and the answer as
	// JSON on standard output.
	ProtocolExec PluginProtocol = "Exec"
)

// ContainerRuntime runs a plugin in a container of its own.
// +kubebuilder:validation:XValidation:rule="!has(self.protocol) || self.protocol != 'Exec' || has(self.command)",message="command is required with protocol Exec: it is what runs for each task",fieldPath=".command"
type ContainerRuntime struct {
	// image that holds the plugin. Name it by digest where it must not change.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`

	// imagePullPolicy of the image. Kubernetes chooses by the image's tag when it is not set.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// protocol is how the plugin is given work. LambdaRuntime: the process asks for work over the AWS Lambda
	// Runtime API, as every Lambda base image and the packages for plugins do, and stays warm. Exec: the
	// command is run for each task, with JSON on standard input and standard output.
	// +optional
	// +default="LambdaRuntime"
	// +kubebuilder:default=LambdaRuntime
	Protocol PluginProtocol `json:"protocol,omitempty"`

	// command that starts the plugin, as in a pod; the image's entry point when it is not set. A plugin whose
	// command is known here is started again within a second when it dies or hangs; without it, Kubernetes
	// starts the container again, at growing intervals.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=4096
	Command []string `json:"command,omitempty"`

	// args of the command, or of the image's entry point.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=0
	// +kubebuilder:validation:items:MaxLength=4096
	Args []string `json:"args,omitempty"`

	// pool is the name of the worker Jobs that run this plugin. Without it, the plugin runs beside all others.
	// A plugin that needs a GPU or much memory belongs in a pool of its own: its Jobs are sized and placed by
	// the Profile's processing.pools.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="pool must be a lower-case DNS label"
	Pool string `json:"pool,omitempty"`

	// startTimeoutSeconds is how long the plugin may take from its start until it asks for work, such as to
	// load a model. A task that waits longer has failed.
	// +optional
	// +default=300
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	StartTimeoutSeconds int32 `json:"startTimeoutSeconds,omitempty"`

	// resources of the plugin's container, GPUs among them. Without requests it asks for a little CPU and memory.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="resources.claims cannot be used here: ask for devices by limits"
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// env are environment variables of the plugin, such as from a Secret. Those that the operator sets itself
	// cannot be replaced: AWS_LAMBDA_…, AWS_ENDPOINT_URL…, MRE_…, _HANDLER, the AWS region and credentials
	// (which open nothing), FRAMEWORK_VERSION, TMPDIR and HOME.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(e, !e.name.startsWith('AWS_LAMBDA_') && !e.name.startsWith('AWS_ENDPOINT_URL') && !e.name.startsWith('MRE_'))",message="env: the operator itself sets variables that begin with AWS_LAMBDA_, AWS_ENDPOINT_URL or MRE_"
	// +kubebuilder:validation:XValidation:rule="self.all(e, !(e.name in ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_REGION', 'AWS_DEFAULT_REGION', '_HANDLER', 'FRAMEWORK_VERSION', 'TMPDIR', 'HOME']))",message="env: the operator itself sets AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION, _HANDLER, FRAMEWORK_VERSION, TMPDIR and HOME"
	Env []corev1.EnvVar `json:"env,omitempty"`

	// sharedMemory is the size of /dev/shm, for frameworks that hand tensors between processes. It counts as
	// memory of the container. Without it, /dev/shm has the 64 MiB that Kubernetes gives every container.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? quantity(self).isGreaterThan(quantity('0')) : type(self) == int && self > 0",message="sharedMemory must be more than 0"
	SharedMemory *resource.Quantity `json:"sharedMemory,omitempty"`

	// temporary is the size of the plugin's own /tmp, the only place that it can write to; 2Gi when not set. A
	// plugin that writes more loses its pod.
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == string ? quantity(self).isGreaterThan(quantity('0')) : type(self) == int && self > 0",message="temporary must be more than 0"
	Temporary *resource.Quantity `json:"temporary,omitempty"`

	// weights are read-only volumes that hold what is too large for an image, such as model weights.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(w, self.exists_one(v, (w.mountPath + '/').startsWith(v.mountPath + '/')))",message="weights: no mountPath may be the same as another's or lie below it"
	Weights []WeightsVolume `json:"weights,omitempty"`

	// egress is where the plugin's pods may connect to besides the operator's own services, as in a
	// NetworkPolicy. Without it they reach nothing else. Plugins of one pool share a pod and what it may reach.
	// The Model that a Profile picks needs no entry when it is a Service.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Egress []networkingv1.NetworkPolicyEgressRule `json:"egress,omitempty"`
}

// WeightsVolume is a read-only volume of a plugin's container.
// +kubebuilder:validation:ExactlyOneOf=persistentVolumeClaim;image
type WeightsVolume struct {
	// name of the volume.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="name must be a lower-case DNS label"
	Name string `json:"name,omitempty"`

	// mountPath in the plugin's container. Paths at or below /tmp, /mre, /dev, /proc, /sys, /run and /var/run are
	// the operator's or the container's own.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$`
	// +kubebuilder:validation:XValidation:rule="!self.matches('^/(tmp|mre|dev|proc|sys|run|var/run)(/|$)')",message="mountPath must not be at or below /tmp, /mre, /dev, /proc, /sys, /run or /var/run"
	MountPath string `json:"mountPath,omitempty"`

	// persistentVolumeClaim is a claim of the Event's namespace.
	// +optional
	PersistentVolumeClaim *LocalReference `json:"persistentVolumeClaim,omitempty"`

	// image is an OCI image or artefact whose files are mounted. The cluster must know image volumes.
	// +optional
	Image *ImageVolume `json:"image,omitempty"`
}

// ImageVolume is an OCI image whose files are mounted.
type ImageVolume struct {
	// reference of the image.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reference string `json:"reference,omitempty"`
}

// PromptReference is a prompt template that a plugin asks for.
type PromptReference struct {
	// name by which the plugin asks for the template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// configMap of the same namespace that holds the template: each key v1, v2, … is a version, which never
	// changes. The highest is the one that plugins get when they ask for v0, MRE's word for the newest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="configMap must be the name of a ConfigMap"
	ConfigMap string `json:"configMap,omitempty"`
}

// PodTemplate places and sizes the pods of an Event's Jobs. What the operator sets for security stays.
type PodTemplate struct {
	// nodeSelector chooses nodes by their labels.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations let pods onto tainted nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// priorityClassName of the pods.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="priorityClassName must be the name of an object"
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// runtimeClassName of the pods, such as that of a GPU's container runtime or of a sandbox.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="runtimeClassName must be the name of an object"
	RuntimeClassName string `json:"runtimeClassName,omitempty"`

	// imagePullSecrets are Secrets of the Event's namespace that open the registries of plugin images.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// resources of the agent's container; the install's when not set. Plugins have resources of their own.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.claims)",message="resources.claims cannot be used here"
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// Variable is a context variable of an Event: what plugins remember from chunk to chunk.
type Variable struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_]*$`
	Name string `json:"name,omitempty"`

	// value that the variable has at first.
	// +optional
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=4096
	Value *string `json:"value,omitempty"`
}
