// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// TestHostilePlugin runs a plugin that tries some forty things that no plugin may, beside a healthy one and after
// another Event of the same namespace. Each attempt is refused, and what the others found stays as it was.
func TestHostilePlugin(t *testing.T) {
	a := newArea(t)
	m := a.theMatch(30)
	location := a.upload(m.Path)
	a.container("bytes", mrev1alpha1.ContainerRuntime{Image: a.imageOf("go"),
		ImagePullPolicy: corev1.PullNever, Command: []string{"/plugin"}},
		mrev1alpha1.PluginPolicy{})
	a.profileWith("healthy", "bytes")
	victim := a.eventOf("victim", "healthy", location)
	a.finished(victim, nil, 5*time.Minute)
	before := a.readRun(victim, nil)

	target := a.listener("target")
	hostile := a.python("hostile.py")
	hostile.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{
		corev1.ResourceMemory: resource.MustParse("3Gi")}}
	a.hostilePlugin("hostile", hostile, map[string]any{
		"profile": "attacked", "otherEvent": victim.Name, "otherProgram": victim.Spec.Program, "otherUID": string(victim.UID),
		"target": target, "planeURL": "https://mre-dataplane." + installNamespace + ".svc:8080",
		"storeURL": "http://mre-objectstore." + installNamespace + ".svc:7070",
	})
	a.hostilePlugin("asks-twice", hostile, map[string]any{"only": "questions_for_work_side_by_side"})
	a.profileWith("attacked", "bytes", "hostile", "asks-twice")
	attacked := a.eventOf("attacked", "attacked", location)
	a.finished(attacked, nil, 10*time.Minute)
	got := a.readRun(attacked, nil)

	attempts := map[string]string{}
	for _, r := range got.results {
		if name, ok := r.Result.Attributes["Attempt"].(string); ok {
			attempts[name] = fmt.Sprint(r.Result.Attributes["Got"])
		}
	}
	a.Expect(len(attempts)).To(BeNumerically(">=", 40), "attempts that were made: %v", attempts)
	for _, task := range got.tasks {
		// Who asks for work while it has some is taken for a process that died, which costs its own runs alone.
		if task.State == api.TaskStateFailed && task.Plugin != "asks-twice" {
			t.Errorf("task %d of plugin %s failed: %s", task.ID, task.Plugin, ptr.Deref(task.Error, ""))
		}
	}
	for name, got := range attempts {
		t.Logf("%s: %s", name, got)
		if !strings.HasPrefix(got, "refused: ") {
			t.Errorf("%s was not refused: %s", name, got)
		}
	}
	a.Expect(found(got, "bytes")).To(Equal(found(before, "bytes")), "what the plugin beside it found")
	a.Expect(found(a.readRun(victim, nil), "bytes")).To(Equal(found(before, "bytes")), "what the other Event has")
	a.Expect(a.readRun(victim, nil).segments).To(Equal(before.segments))
	a.checkMoments(got.segments, m.Truth)
}

// TestPluginThatFillsTheDisk lets a plugin fill its disk, and then wait until its time is up or its pod is evicted.
// Each of its tasks ends as a failure, an eviction counts as a loss, and the Event goes on and says what is missing.
func TestPluginThatFillsTheDisk(t *testing.T) {
	a := newArea(t)
	// Kubernetes looks at the size of volumes once a minute: the plugin's time must be up less often than that takes.
	m := a.theMatch(60)
	filler := a.python("fill.py")
	filler.Temporary = new(resource.MustParse("32Mi"))
	filler.Pool = "filler"
	a.container("fill", filler, mrev1alpha1.PluginPolicy{TimeoutSeconds: 20, MaxAttempts: 1})
	a.profileWith("filled", "fill")
	e := a.eventOf("filled", "filled", a.upload(m.Path))
	a.finished(e, nil, 12*time.Minute)
	got := a.readRun(e, nil)
	a.Expect(found(got, "fill")).To(BeEmpty())
	a.checkMoments(got.segments, m.Truth)
	a.Expect(found(got, "detect-audio-peaks")).NotTo(BeEmpty())

	var failed int64
	var evictions []string
	for _, task := range got.tasks {
		if task.Plugin != "fill" {
			a.Expect(task.State).To(Equal(api.TaskStateDone), "task %d, a %s of plugin %q: %s",
				task.ID, task.Kind, task.Plugin, ptr.Deref(task.Error, ""))
			continue
		}
		failed++
		var lost int32
		a.Expect(task.State).To(Equal(api.TaskStateFailed), "task %d of chunk %d", task.ID, task.Chunk)
		detail, err := dataPlane.ExplainChunk(a.ctx, got.uid, task.Chunk)
		a.Expect(err).NotTo(HaveOccurred())
		for _, d := range detail.Tasks {
			for _, try := range d.Tries {
				// What goes back without a word was not begun.
				if d.Task.ID == task.ID && try.Outcome != api.TryOutcomeFailed && try.Error != nil {
					lost++
					evictions = append(evictions, fmt.Sprintf("chunk %d, try %d: %s: %s",
						task.Chunk, try.Attempt, try.Outcome, *try.Error))
				}
			}
		}
		a.Expect(task.Attempts).To(BeEquivalentTo(1), "time-outs of chunk %d", task.Chunk)
		a.Expect(task.Losses).To(Equal(lost), "evictions of chunk %d", task.Chunk)
	}
	a.Expect(failed).To(Equal(got.state.Progress.ChunksIngested), "tasks of the plugin")
	a.Expect(got.state.DeadLetters).To(Equal(failed))
	a.Expect(evictions).NotTo(BeEmpty(), "no pod was evicted in the middle of a task")
	t.Log(strings.Join(evictions, "\n"))
	a.Expect(ptr.Deref(got.state.Reason, "")).To(Equal(mrev1alpha1.ReasonCompletedWithFailures))
	a.Expect(a.condition(e, mrev1alpha1.ConditionReady)()).To(HavePrefix("true"), "the plugin's onFailure is Skip")
}

// hostilePlugin is a container with a configuration.
func (a *area) hostilePlugin(name string, c mrev1alpha1.ContainerRuntime, configuration map[string]any) {
	a.Helper()
	raw, err := json.Marshal(configuration)
	a.Expect(err).NotTo(HaveOccurred())
	a.Expect(cluster.Create(a.ctx, &mrev1alpha1.Plugin{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.namespace},
		Spec: mrev1alpha1.PluginSpec{
			Class: mrev1alpha1.ClassFeaturer, MediaType: mrev1alpha1.MediaVideo,
			Runtime: mrev1alpha1.PluginRuntime{Container: &c}, Configuration: &apiextensionsv1.JSON{Raw: raw},
			Policy: mrev1alpha1.PluginPolicy{TimeoutSeconds: 240, MaxAttempts: 2},
		},
	})).To(Succeed())
}

// listener is another pod of the namespace that everybody may call, as far as it is concerned.
func (a *area) listener(name string) (address string) {
	a.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.namespace},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false), TerminationGracePeriodSeconds: ptr.To[int64](1),
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: ptr.To[int64](65532),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "listen", Image: a.imageOf("python"), ImagePullPolicy: corev1.PullNever,
				Command: []string{"python3", "-m", "http.server", "8000", "--directory", "/opt"},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
				ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
					TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8000)}}},
			}},
		},
	}
	a.Expect(cluster.Create(a.ctx, pod)).To(Succeed())
	a.Eventually(func() (string, error) {
		err := cluster.Get(a.ctx, client.ObjectKeyFromObject(pod), pod)
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return pod.Status.PodIP, err
			}
		}
		return "", err
	}, time.Minute, time.Second).ShouldNot(BeEmpty())
	return pod.Status.PodIP + ":8000"
}
