// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/certs"
)

const (
	// tokenAudience is what the data plane wants a ServiceAccount token to be for.
	tokenAudience = "mre.media/dataplane"
	// tokenFolder and tokenFile are where a pod finds its token.
	tokenFolder  = "/var/run/secrets/mre"
	tokenFile    = "token"
	tokenSeconds = 3600
	// scratchFolder is the only place that a pod can write to.
	scratchFolder = "/scratch"
	// agentUser is the user and group of the image.
	agentUser = 65532
	// gracePeriodSeconds is what an agent has to give its task back.
	gracePeriodSeconds = 10
	// unreachableSeconds replaces a Job on a lost node sooner than the 5 minutes of Kubernetes.
	unreachableSeconds = 30
)

// podSpec is the pod of a Job. It satisfies the restricted Pod Security Standard and holds one
// credential: a token for the data plane.
func podSpec(e *mrev1.Event, j NewJob, n podNeeds, o Options) corev1.PodSpec {
	spec := agentPod(e, j, o)
	if t := n.templateOf(j.Slot); t != nil {
		applyTemplate(&spec, *t)
	}
	if plugins := n.of(j.Slot); len(plugins) > 0 {
		addPlugins(&spec, plugins)
	}
	return spec
}

// applyTemplate places and sizes a pod as the Profile says.
func applyTemplate(spec *corev1.PodSpec, t mrev1.PodTemplate) {
	spec.NodeSelector = t.NodeSelector
	spec.Tolerations = append(spec.Tolerations, t.Tolerations...)
	spec.PriorityClassName = t.PriorityClassName
	if t.RuntimeClassName != "" {
		spec.RuntimeClassName = &t.RuntimeClassName
	}
	spec.ImagePullSecrets = t.ImagePullSecrets
	if t.Resources != nil {
		spec.Containers[0].Resources = *t.Resources
	}
}

// agentPod is a pod with the agent alone.
func agentPod(e *mrev1.Event, j NewJob, o Options) corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		ServiceAccountName:            o.AgentServiceAccount,
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		TerminationGracePeriodSeconds: ptr.To[int64](gracePeriodSeconds),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			RunAsUser:      ptr.To[int64](agentUser),
			RunAsGroup:     ptr.To[int64](agentUser),
			FSGroup:        ptr.To[int64](agentUser),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Tolerations: []corev1.Toleration{
			lostNode(corev1.TaintNodeNotReady), lostNode(corev1.TaintNodeUnreachable),
		},
		Containers: []corev1.Container{{
			Name:            string(j.Role),
			Image:           o.AgentImage,
			ImagePullPolicy: o.AgentImagePullPolicy,
			Args:            podArgs(e, j, o),
			Env: []corev1.EnvVar{
				{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{
					FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
				{Name: "TMPDIR", Value: scratchFolder},
			},
			Resources: o.Resources,
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false),
				ReadOnlyRootFilesystem:   new(true),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			// What an agent says last ends up in the pod's status, so that a failed Job explains itself.
			TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			VolumeMounts: []corev1.VolumeMount{
				{Name: "token", MountPath: tokenFolder, ReadOnly: true},
				{Name: "scratch", MountPath: scratchFolder},
			},
		}},
		Volumes: []corev1.Volume{
			{Name: "token",
				VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: credentials(o)}}},
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
				SizeLimit: new(o.ScratchSize)}}},
		},
	}
}

// credentials are the token for the data plane, and the authorities by which it is known.
func credentials(o Options) []corev1.VolumeProjection {
	out := []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
		Audience: tokenAudience, ExpirationSeconds: ptr.To[int64](tokenSeconds), Path: tokenFile}}}
	if o.Trust != nil {
		out = append(out, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: trustConfigMap},
			Items:                []corev1.KeyToPath{{Key: certs.Bundle, Path: certs.Bundle}}}})
	}
	return out
}

// podArgs tell a worker or renderer its slot, so that the data plane can send away those that are too many.
func podArgs(e *mrev1.Event, j NewJob, o Options) []string {
	args := []string{
		string(j.Role),
		"--event-uid=" + string(e.UID),
		"--dataplane-url=" + o.DataPlaneURL,
		"--token-file=" + tokenFolder + "/" + tokenFile,
	}
	if o.Trust != nil {
		args = append(args, "--ca-file="+tokenFolder+"/"+certs.Bundle)
	}
	if j.Role != RoleIngest {
		args = append(args, fmt.Sprintf("--ordinal=%d", j.Ordinal))
	}
	if j.Pool != "" {
		args = append(args, "--pool="+j.Pool)
	}
	if j.Role == RoleWorker && j.RecycleAfterChunks > 0 {
		args = append(args, fmt.Sprintf("--recycle-after-chunks=%d", j.RecycleAfterChunks))
	}
	return args
}

func lostNode(taint string) corev1.Toleration {
	return corev1.Toleration{
		Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
		TolerationSeconds: ptr.To[int64](unreachableSeconds),
	}
}
