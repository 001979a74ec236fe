// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

var updateGolden = flag.Bool("update", false, "write the files that tests compare with")

// podOptions are those of an install.
func podOptions(t *testing.T) Options {
	t.Helper()
	o := DefaultOptions()
	o.AgentImage, o.DataPlaneURL = "registry.example.com/mre:v1", "http://mre-dataplane.mre-system.svc:8080"
	var err error
	if o.Resources, err = AgentResources("250m", "256Mi", "2Gi"); err != nil {
		t.Fatal(err)
	}
	return o
}

// gpuNeeds are two pools: one beside the built-ins, and one with a GPU.
func gpuNeeds(t *testing.T) podNeeds {
	t.Helper()
	faces := makeContainer("faces", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
		c.Args = []string{"faces.handler"}
	})
	scores := makeContainer("scores", mrev1.ClassFeaturer, commanded("/bin/scores", "--fast"),
		func(c *mrev1.ContainerRuntime) {
			c.Protocol, c.Args = mrev1.ProtocolExec, []string{"one", "two"}
			c.Resources = resources("memory: 512Mi", "")
			c.Temporary = new(resource.MustParse("64Mi"))
			c.ImagePullPolicy = corev1.PullAlways
		})
	scores.Spec.Policy.TimeoutSeconds = 7
	crowd := makeContainer("crowd", mrev1.ClassFeaturer, inPool("gpu"), commanded("python3", "-m", "crowd"),
		func(c *mrev1.ContainerRuntime) {
			c.Resources = resources("nvidia.com/gpu: 1, memory: 4Gi", "cpu: 2, memory: 3Gi")
			c.Env = []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "debug"}, {Name: "HOME", Value: "/root"},
				{Name: "TOKEN", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: "crowd"}, Key: "token"}}}}
			c.SharedMemory = new(resource.MustParse("1Gi"))
			c.Weights = []mrev1.WeightsVolume{
				{Name: "base", MountPath: "/weights/base", PersistentVolumeClaim: &mrev1.LocalReference{Name: "weights"}},
				{Name: "tuned", MountPath: "/weights/tuned", Image: &mrev1.ImageVolume{Reference: "registry.example.com/tuned:v3"}}}
			c.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
		})
	withModels("triton")(crowd)
	crowd.Spec.Prompts = []mrev1.PromptReference{{Name: "describe", ConfigMap: "prompts.describe"},
		{Name: "rate", ConfigMap: "prompts"}}
	players := makeContainer("players", mrev1.ClassFeaturer, inPool("gpu"), commanded("players"))
	players.Spec.Prompts = []mrev1.PromptReference{{Name: "rate", ConfigMap: "prompts"}}
	profile := makeProfile(func(p *mrev1.Profile) {
		p.Spec.Featurers = featurers(use("faces"), use("crowd"), use("scores"), use("players"))
		p.Spec.Featurers[1].Model = &mrev1.LocalReference{Name: "triton"}
		p.Spec.Processing.PodTemplate = &mrev1.PodTemplate{
			NodeSelector: map[string]string{"disk": "fast"}, PriorityClassName: "media",
			Tolerations:      []corev1.Toleration{{Key: "media", Operator: corev1.TolerationOpExists}},
			ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
		}
		p.Spec.Processing.Pools = []mrev1.WorkerPool{{Name: "gpu", MinWorkers: 1, PodTemplate: &mrev1.PodTemplate{
			RuntimeClassName: "nvidia", Resources: resources("memory: 1Gi", "cpu: 100m, memory: 1Gi")}}}
	})
	server := makeServer("triton", mrev1.ClassFeaturer,
		mrev1.OpenInferenceModel{Service: &mrev1.ModelService{Name: "triton", Port: 8000}})
	return catalogueOf([]*mrev1.Model{server}, append(usualPlugins(), faces, crowd, scores, players)...).podNeeds(profile)
}

// The Jobs of testdata/pods are what Kubernetes is given; -update writes them anew.
func TestPods(t *testing.T) {
	o, needs := podOptions(t), gpuNeeds(t)
	for name, tc := range map[string]struct {
		slot  Slot
		needs podNeeds
	}{
		"worker-builtins": {Slot{RoleWorker, "", 1}, podNeeds{}},
		"worker-plugins":  {Slot{RoleWorker, "", 0}, needs},
		"worker-gpu":      {Slot{RoleWorker, "gpu", 0}, needs},
		"render-placed":   {Slot{RoleRender, "", 0}, needs},
		"ingest":          {Slot{RoleIngest, "", 0}, podNeeds{}},
	} {
		t.Run(name, func(t *testing.T) {
			job := buildJob(makeEvent(), NewJob{Slot: tc.slot, Attempt: 1, RecycleAfterChunks: 9}, tc.needs, o)
			got, err := yaml.Marshal(job)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", "pods", name+".yaml")
			if *updateGolden {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
			for range 5 {
				if again, _ := yaml.Marshal(buildJob(makeEvent(), NewJob{Slot: tc.slot, Attempt: 1, RecycleAfterChunks: 9},
					gpuOr(t, tc.needs), o)); string(again) != string(got) {
					t.Fatal("the same needs gave two Jobs")
				}
			}
		})
	}
}

// gpuOr makes the needs anew when there are any.
func gpuOr(t *testing.T, n podNeeds) podNeeds {
	if len(n.Containers) == 0 {
		return n
	}
	return gpuNeeds(t)
}

// What keeps plugins apart from the agent and from each other, whatever a Plugin's spec says.
func TestPluginsAreApart(t *testing.T) {
	spec := buildJob(makeEvent(), NewJob{Slot: Slot{RoleWorker, "gpu", 0}, Attempt: 1},
		gpuNeeds(t), podOptions(t)).Spec.Template.Spec
	if *spec.AutomountServiceAccountToken {
		t.Error("a token is mounted into every container")
	}
	mountedBy := map[string][]string{}
	all := slices.Concat(spec.InitContainers, spec.Containers)
	for _, c := range all {
		s := c.SecurityContext
		if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem ||
			!slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
			t.Errorf("%s: security context %+v", c.Name, s)
		}
		for _, m := range c.VolumeMounts {
			who := c.Name
			if !m.ReadOnly {
				who += " (writes)"
			}
			mountedBy[m.Name] = append(mountedBy[m.Name], who)
		}
	}
	want := map[string][]string{
		"token": {"agent"}, "scratch": {"agent (writes)"},
		"bin":             {"install (writes)", "plugin-crowd", "plugin-players"},
		"media":           {"agent (writes)", "plugin-crowd", "plugin-players"},
		"run":             {"agent (writes)", "follow"},
		"prompts-0":       {"agent"},
		"prompts-1":       {"agent"},
		"tmp-0":           {"plugin-crowd (writes)"},
		"tmp-1":           {"plugin-players (writes)"},
		"shm-0":           {"plugin-crowd (writes)"},
		"weights-0-base":  {"plugin-crowd"},
		"weights-0-tuned": {"plugin-crowd"},
	}
	if d := cmp.Diff(want, mountedBy); d != "" {
		t.Errorf("who mounts what (-want +got):\n%s", d)
	}
	for i, c := range spec.InitContainers[2:] {
		for _, e := range c.Env {
			if e.Name == "AWS_LAMBDA_RUNTIME_API" && !strings.HasSuffix(e.Value, []string{":9001", ":9002"}[i]) {
				t.Errorf("%s has its port at %s", c.Name, e.Value)
			}
		}
	}
}

func TestPodNeeds(t *testing.T) {
	n := gpuNeeds(t)
	if d := cmp.Diff([]string{"gpu"}, n.namedPools()); d != "" {
		t.Errorf("pools (-want +got):\n%s", d)
	}
	var crowd pluginContainer
	for _, c := range n.Containers {
		if c.Plugin == "crowd" {
			crowd = c
		}
	}
	if crowd.Service == nil || crowd.Service.Name != "triton" || len(crowd.Container.Egress) != 1 {
		t.Errorf("what crowd may reach is not kept: %+v, %+v", crowd.Service, crowd.Container.Egress)
	}
	if d := cmp.Diff(map[string]string{
		"plugin-faces": "registry.example.com/faces:v1", "plugin-crowd": "registry.example.com/crowd:v1",
		"plugin-scores": "registry.example.com/scores:v1", "plugin-players": "registry.example.com/players:v1",
	}, n.images()); d != "" {
		t.Errorf("images (-want +got):\n%s", d)
	}
	if got := n.of(Slot{RoleRender, "", 0}); got != nil {
		t.Errorf("plugins in a render pod: %v", got)
	}
}
