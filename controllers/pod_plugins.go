// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	// firstPluginPort is the loopback port of a pod's first plugin; each plugin has one of its own. The agent
	// counts the same way.
	firstPluginPort = 9001
	// binFolder has the supervisor, which the install container copies there.
	binFolder = "/mre/bin"
	// mediaFolder has the chunk's file; the agent alone may write there.
	mediaFolder = "/mre/media"
	// runFolder has the agent's control socket; no plugin sees it.
	runFolder     = "/mre/run"
	controlSocket = runFolder + "/agent.sock"
	// promptsFolder has a folder for each ConfigMap of prompt templates.
	promptsFolder = "/mre/prompts"
	// ownBinary is the program in the operator's image, supervisor its copy in the pod.
	ownBinary  = "/usr/local/bin/mre"
	supervisor = binFolder + "/mre"

	containerInstall = "install"
	containerAgent   = "agent"
	containerFollow  = "follow"
	pluginPrefix     = "plugin-"

	// helperVersion is the version of MRE's plugin helper whose calls are answered.
	helperVersion = "2.10.1"
	// pluginRegion is what AWS clients in a plugin are told; it is no real place.
	pluginRegion = "us-east-1"
	// pluginKey stands in for AWS keys, without which AWS clients do not start. It opens nothing.
	pluginKey = "mre"

	// agentStartSeconds is how long the agent may need to open its ports: as long as it has patience with a data
	// plane that is away, and a little more.
	agentStartSeconds = 660
)

var (
	binSize       = resource.MustParse("512Mi")
	runSize       = resource.MustParse("1Mi")
	temporarySize = resource.MustParse("2Gi")
	// pluginRequests are those of a plugin that asks for nothing.
	pluginRequests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"),
		corev1.ResourceMemory: resource.MustParse("128Mi")}
	// helperRequests are those of the containers that only copy and watch.
	helperRequests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"),
		corev1.ResourceMemory: resource.MustParse("32Mi")}
)

// addPlugins turns a worker's pod into one with plugins in containers of their own. In this order start: a copy of
// the supervisor, the agent as a sidecar, a sidecar for each plugin, and the main container, which ends as the
// agent says. The agent alone has the token, and its control socket is shared with the main container alone.
func addPlugins(spec *corev1.PodSpec, plugins []pluginContainer) {
	agent := spec.Containers[0]
	install := helper(agent, containerInstall, "copy", supervisor)
	follow := helper(agent, containerFollow, "follow", "--control-socket="+controlSocket)
	install.VolumeMounts = []corev1.VolumeMount{{Name: "bin", MountPath: binFolder}}
	follow.VolumeMounts = []corev1.VolumeMount{{Name: "run", MountPath: runFolder, ReadOnly: true}}

	agent.Name = containerAgent
	agent.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
	agent.Args = append(agent.Args, "--control-socket="+controlSocket,
		"--media-dir="+mediaFolder, "--prompts-dir="+promptsFolder)
	agent.StartupProbe = &corev1.Probe{
		ProbeHandler:  execProbe(ownBinary, "--control-socket="+controlSocket),
		PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: agentStartSeconds,
	}
	agent.VolumeMounts = append(agent.VolumeMounts,
		corev1.VolumeMount{Name: "media", MountPath: mediaFolder}, corev1.VolumeMount{Name: "run", MountPath: runFolder})
	scratch := spec.Volumes[slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == "scratch" })]
	spec.Volumes = append(spec.Volumes, emptyDir("bin", binSize), emptyDir("run", runSize),
		emptyDir("media", *scratch.EmptyDir.SizeLimit))
	for i, configMap := range promptsOf(plugins) {
		name := fmt.Sprintf("prompts-%d", i)
		spec.Volumes = append(spec.Volumes,
			corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: configMap}, Optional: new(true)}}})
		agent.VolumeMounts = append(agent.VolumeMounts,
			corev1.VolumeMount{Name: name, MountPath: promptsFolder + "/" + configMap, ReadOnly: true})
	}

	spec.InitContainers = []corev1.Container{install, agent}
	for i, p := range plugins {
		container, volumes := pluginSidecar(p, i, *agent.SecurityContext)
		spec.InitContainers = append(spec.InitContainers, container)
		spec.Volumes = append(spec.Volumes, volumes...)
	}
	spec.Containers = []corev1.Container{follow}
	// Weights may be many files, whose owner is not to be set anew for each pod.
	spec.SecurityContext.FSGroupChangePolicy = ptr.To(corev1.FSGroupChangeOnRootMismatch)
}

// helper is a container of the operator's image that needs neither the token nor a place to write.
func helper(agent corev1.Container, name string, args ...string) corev1.Container {
	return corev1.Container{
		Name: name, Image: agent.Image, ImagePullPolicy: agent.ImagePullPolicy, Args: args,
		Resources:                corev1.ResourceRequirements{Requests: helperRequests.DeepCopy()},
		SecurityContext:          agent.SecurityContext.DeepCopy(),
		TerminationMessagePolicy: agent.TerminationMessagePolicy,
	}
}

// pluginSidecar is the container of a pod's i-th plugin, and the volumes that are its alone.
func pluginSidecar(p pluginContainer, i int, security corev1.SecurityContext) (corev1.Container, []corev1.Volume) {
	c := p.Container
	address := fmt.Sprintf("127.0.0.1:%d", firstPluginPort+i)
	out := corev1.Container{
		Name: pluginContainerName(p.Plugin), Image: c.Image, ImagePullPolicy: c.ImagePullPolicy,
		RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
		Env:           pluginEnv(p, address),
		Resources:     pluginResources(c),
		// As on Lambda, a plugin writes to /tmp and nowhere else.
		SecurityContext: &security,
		// What a plugin says last, so that one that does not start explains itself.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if len(c.Command) > 0 {
		out.Command = []string{supervisor, "supervise", "--runtime-api=" + address}
		if c.Protocol == mrev1.ProtocolExec {
			out.Command = append(out.Command, "--exec")
		}
		out.Command = append(append(append(out.Command, "--"), c.Command...), c.Args...)
	} else {
		// Kubernetes has to restart what the operator did not start itself. The agent knows when.
		out.Args = c.Args
		out.LivenessProbe = &corev1.Probe{
			ProbeHandler:  execProbe(supervisor, "--plugin-api="+address),
			PeriodSeconds: 3, TimeoutSeconds: 10, FailureThreshold: 2,
		}
	}
	tmp := fmt.Sprintf("tmp-%d", i)
	volumes := []corev1.Volume{emptyDir(tmp, ptr.Deref(c.Temporary, temporarySize))}
	out.VolumeMounts = []corev1.VolumeMount{
		{Name: "bin", MountPath: binFolder, ReadOnly: true},
		{Name: "media", MountPath: mediaFolder, ReadOnly: true},
		{Name: tmp, MountPath: "/tmp"},
	}
	if c.SharedMemory != nil {
		shm := emptyDir(fmt.Sprintf("shm-%d", i), *c.SharedMemory)
		shm.EmptyDir.Medium = corev1.StorageMediumMemory
		volumes = append(volumes, shm)
		out.VolumeMounts = append(out.VolumeMounts, corev1.VolumeMount{Name: shm.Name, MountPath: "/dev/shm"})
	}
	for _, w := range c.Weights {
		v := weightsVolume(fmt.Sprintf("weights-%d-%s", i, w.Name), w)
		volumes = append(volumes, v)
		out.VolumeMounts = append(out.VolumeMounts, corev1.VolumeMount{Name: v.Name, MountPath: w.MountPath, ReadOnly: true})
	}
	return out, volumes
}

func pluginContainerName(plugin string) string { return pluginPrefix + plugin }

// pluginEnv is the environment of a plugin: that of an AWS Lambda function whose AWS is the agent.
func pluginEnv(p pluginContainer, address string) []corev1.EnvVar {
	own := []corev1.EnvVar{
		{Name: "AWS_LAMBDA_RUNTIME_API", Value: address},
		{Name: "AWS_LAMBDA_FUNCTION_NAME", Value: p.Plugin},
		{Name: "AWS_LAMBDA_FUNCTION_TIMEOUT", Value: strconv.Itoa(int(p.TimeoutSeconds))},
		{Name: "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", Value: strconv.FormatInt(memoryMiB(pluginResources(p.Container)), 10)},
		{Name: "AWS_ENDPOINT_URL", Value: "http://" + address},
		{Name: "AWS_ENDPOINT_URL_SSM", Value: "http://" + address},
		{Name: "AWS_REGION", Value: pluginRegion},
		{Name: "AWS_DEFAULT_REGION", Value: pluginRegion},
		{Name: "AWS_ACCESS_KEY_ID", Value: pluginKey},
		{Name: "AWS_SECRET_ACCESS_KEY", Value: pluginKey},
		{Name: "FRAMEWORK_VERSION", Value: helperVersion},
		{Name: "MRE_PLUGIN", Value: p.Plugin},
		{Name: "MRE_API", Value: "http://" + address + "/mre/v1"},
		{Name: "TMPDIR", Value: "/tmp"},
		{Name: "HOME", Value: "/tmp"},
	}
	if len(p.Container.Command) == 0 && len(p.Container.Args) == 1 {
		own = append(own, corev1.EnvVar{Name: "_HANDLER", Value: p.Container.Args[0]})
	}
	out := slices.DeleteFunc(slices.Clone(p.Container.Env), func(e corev1.EnvVar) bool {
		return slices.ContainsFunc(own, func(o corev1.EnvVar) bool { return o.Name == e.Name })
	})
	return append(out, own...)
}

// pluginResources are those of the Plugin, with requests where it has none.
func pluginResources(c mrev1.ContainerRuntime) corev1.ResourceRequirements {
	var out corev1.ResourceRequirements
	if c.Resources != nil {
		out = *c.Resources.DeepCopy()
	}
	for name, least := range pluginRequests {
		_, asked := out.Requests[name]
		// Kubernetes takes a limit for the request that is missing.
		if _, limited := out.Limits[name]; asked || limited {
			continue
		}
		if out.Requests == nil {
			out.Requests = corev1.ResourceList{}
		}
		out.Requests[name] = least
	}
	return out
}

// memoryMiB is the memory that a plugin may count on.
func memoryMiB(r corev1.ResourceRequirements) int64 {
	q, ok := r.Limits[corev1.ResourceMemory]
	if !ok {
		q = r.Requests[corev1.ResourceMemory]
	}
	return q.Value() >> 20
}

func promptsOf(plugins []pluginContainer) []string {
	var out []string
	for _, p := range plugins {
		out = append(out, p.Prompts...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func weightsVolume(name string, w mrev1.WeightsVolume) corev1.Volume {
	out := corev1.Volume{Name: name}
	if w.Image != nil {
		out.Image = &corev1.ImageVolumeSource{Reference: w.Image.Reference}
		return out
	}
	out.PersistentVolumeClaim = &corev1.PersistentVolumeClaimVolumeSource{ClaimName: w.PersistentVolumeClaim.Name,
		ReadOnly: true}
	return out
}

func emptyDir(name string, size resource.Quantity) corev1.Volume {
	return corev1.Volume{Name: name,
		VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}}
}

// execProbe asks the agent by way of a program, as the pod's loopback is out of the kubelet's reach.
func execProbe(program, flag string) corev1.ProbeHandler {
	return corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{program, "probe", flag}}}
}

// pluginOfContainer is the plugin that a container runs.
func pluginOfContainer(name string) (string, bool) { return strings.CutPrefix(name, pluginPrefix) }
