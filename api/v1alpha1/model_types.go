// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ModelSpec says where a machine-learning model answers.
// +kubebuilder:validation:ExactlyOneOf=endpoint;openInference
type ModelSpec struct {
	// openInference is a server that speaks the Open Inference Protocol (KServe's V2) over HTTP, such as
	// KServe, Triton or MLServer. It is asked whether the model is ready.
	// +optional
	OpenInference *OpenInferenceModel `json:"openInference,omitempty"`

	// endpoint hands the plugin an address as it stands; the plugin knows what to do with it.
	// +optional
	Endpoint *EndpointModel `json:"endpoint,omitempty"`

	// pluginClass is the class of plugins that can use this model.
	// +required
	PluginClass PluginClass `json:"pluginClass,omitempty"`

	// description says what the model was made for.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Description string `json:"description,omitempty"`
}

// EndpointModel is a model that is addressed by a plain string.
type EndpointModel struct {
	// value is the address: a URL, an ARN or a path inside the plugin's image.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Value string `json:"value,omitempty"`
}

// OpenInferenceModel is a model behind the Open Inference Protocol. Exactly one of url and service is set.
// +kubebuilder:validation:ExactlyOneOf=url;service
type OpenInferenceModel struct {
	// url of the server, without the /v2 of the protocol.
	// +optional
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''",message="url must be http:// or https:// and name a host"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^https?://[^/?#]*@')",message="url must not hold a user name or password"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[?#]')",message="url must not hold a query or a fragment"
	URL string `json:"url,omitempty"`

	// service of the same namespace that the server is behind.
	// +optional
	Service *ModelService `json:"service,omitempty"`

	// modelName by which the server knows the model; the name of this object when not set.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ModelName string `json:"modelName,omitempty"`
}

// ModelService is a Service in front of a model server.
type ModelService struct {
	// name of the Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Label().validate(self).hasValue()",message="name must be that of a Service"
	Name string `json:"name,omitempty"`

	// port of the Service.
	// +optional
	// +default=80
	// +kubebuilder:default=80
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// ModelStatus is what the operator found out about a Model.
type ModelStatus struct {
	// conditions are Ready and, for kstatus, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// revision is the name of the ControllerRevision that keeps the present spec.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Revision string `json:"revision,omitempty"`
}

// Model says where a machine-learning model answers, so that Profiles can pick one for a Plugin.
//
// +genclient
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mmodel,categories=mre
// +kubebuilder:printcolumn:name="Class",type=string,JSONPath=`.spec.pluginClass`
// +kubebuilder:printcolumn:name="Endpoint",type=string,priority=1,JSONPath=`.spec.endpoint.value`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 40",message="metadata.name must be at most 40 characters, so that child objects can carry it"
type Model struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is where the model answers and who can use it.
	// +required
	Spec ModelSpec `json:"spec,omitzero"`

	// status is what the operator found out.
	// +optional
	Status ModelStatus `json:"status,omitzero"`
}

// ModelList is a list of Models.
//
// +kubebuilder:object:root=true
type ModelList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Model `json:"items"`
}
