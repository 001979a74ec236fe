// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// imageOf is an image that hack/image/plugins has loaded.
func (a *area) imageOf(kind string) string {
	a.Helper()
	name, err := os.ReadFile(root + "/bin/plugins-" + kind + ".txt")
	a.Expect(err).NotTo(HaveOccurred(), "run make plugin-images")
	return strings.TrimSpace(string(name))
}

// container declares a Featurer that runs in a container.
func (a *area) container(name string, c mrev1alpha1.ContainerRuntime, policy mrev1alpha1.PluginPolicy) {
	a.Helper()
	a.Expect(cluster.Create(a.ctx, &mrev1alpha1.Plugin{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.namespace},
		Spec: mrev1alpha1.PluginSpec{
			Class: mrev1alpha1.ClassFeaturer, MediaType: mrev1alpha1.MediaVideo,
			Runtime: mrev1alpha1.PluginRuntime{Container: &c}, Policy: policy,
		},
	})).To(Succeed())
}

// python runs a file of test/e2e/plugins.
func (a *area) python(file string) mrev1alpha1.ContainerRuntime {
	return mrev1alpha1.ContainerRuntime{
		Image: a.imageOf("python"), ImagePullPolicy: corev1.PullNever, Command: []string{"python3", "/opt/plugins/" + file},
	}
}

// profileWith is the sample Profile with more Featurers.
func (a *area) profileWith(name string, featurers ...string) {
	a.Helper()
	var p mrev1alpha1.Profile
	a.Expect(cluster.Get(a.ctx, client.ObjectKey{Namespace: a.namespace, Name: "highlights"}, &p)).To(Succeed())
	own := &mrev1alpha1.Profile{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.namespace},
		Spec: *p.Spec.DeepCopy()}
	for _, f := range featurers {
		own.Spec.Featurers = append(own.Spec.Featurers, mrev1alpha1.FeaturerUse{
			PluginUse: mrev1alpha1.PluginUse{Plugin: mrev1alpha1.RevisionReference{Name: f}}})
	}
	a.Expect(cluster.Create(a.ctx, own)).To(Succeed())
}

// eventOf applies an Event of a Profile.
func (a *area) eventOf(name, profile, location string) *mrev1alpha1.Event {
	a.Helper()
	e := &mrev1alpha1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.namespace},
		Spec: mrev1alpha1.EventSpec{
			Program: "End to end", ProfileRef: mrev1alpha1.RevisionReference{Name: profile},
			Source:         mrev1alpha1.EventSource{File: &mrev1alpha1.FileSource{URL: location}},
			DeletionPolicy: mrev1alpha1.DeletionDelete,
		},
	}
	a.Expect(cluster.Create(a.ctx, e)).To(Succeed())
	return e
}

// found is what one plugin found, in words that do not depend on when.
func found(r run, plugin string) (out []string) {
	for _, s := range r.results {
		if s.Plugin == plugin {
			out = append(out, fmt.Sprintf("chunk %d track %d frames %d-%d %v", s.Chunk, s.Track,
				s.Result.Start.Frame, s.Result.End.Frame, s.Result.Attributes))
		}
	}
	slices.Sort(out)
	return out
}

// TestContainers runs plugins of every kind in one profile, first alone, then beside plugins that crash, hang, answer
// nonsense, are slow or do not even start. The Event completes and says what happened, and what the healthy ones
// found is the same.
func TestContainers(t *testing.T) {
	a := newArea(t)
	m := a.theMatch(30)
	location := a.upload(m.Path)

	patient := mrev1alpha1.PluginPolicy{TimeoutSeconds: 60, MaxAttempts: 3}
	sick := mrev1alpha1.PluginPolicy{TimeoutSeconds: 4, MaxAttempts: 1}
	exec := a.python("once.py")
	exec.Protocol = mrev1alpha1.ProtocolExec
	bare := a.python("lambda_style.py")
	// Without a command of ours, Kubernetes itself starts the image's entry point.
	bare.Command, bare.Args = nil, []string{"/opt/plugins/lambda_style.py"}
	healthy := map[string]mrev1alpha1.ContainerRuntime{
		"brightness":   a.python("brightness.py"),
		"bytes":        {Image: a.imageOf("go"), ImagePullPolicy: corev1.PullNever, Command: []string{"/plugin"}},
		"once":         exec,
		"lambda-style": bare,
	}
	pooled := a.python("brightness.py")
	pooled.Pool = "vision"
	healthy["pooled"] = pooled
	var names []string
	for name, c := range healthy {
		names = append(names, name)
		a.container(name, c, patient)
	}
	slices.Sort(names)
	broken := a.python("broken.py")
	broken.StartTimeoutSeconds = 20
	sickly := map[string]mrev1alpha1.ContainerRuntime{
		"crash": a.python("crash.py"), "hang": a.python("hang.py"), "nonsense": a.python("nonsense.py"), "broken": broken,
	}
	all := slices.Clone(names)
	for name, c := range sickly {
		all = append(all, name)
		a.container(name, c, sick)
	}
	a.container("slow", a.python("slow.py"), patient)
	all = append(all, "slow")
	slices.Sort(all)
	a.profileWith("healthy", names...)
	a.profileWith("mixed", all...)

	alone := a.eventOf("alone", "healthy", location)
	a.finished(alone, nil, 6*time.Minute)
	want := a.readRun(alone, nil)
	chunks := int(want.state.Progress.ChunksProcessed)
	a.Expect(chunks).To(Equal(5))
	a.checkMoments(want.segments, m.Truth)
	for _, name := range names {
		a.Expect(found(want, name)).NotTo(BeEmpty(), "results of %s", name)
	}
	a.Expect(found(want, "once")).To(HaveLen(chunks))
	a.Expect(found(want, "bytes")).To(HaveLen(chunks))
	a.Expect(found(want, "lambda-style")).To(HaveLen(chunks))
	for i, r := range found(want, "pooled") {
		a.Expect(r).To(Equal(found(want, "brightness")[i]), "a pool of its own changes nothing")
	}

	mixed := a.eventOf("mixed", "mixed", location)
	a.Eventually(a.pluginTrouble(mixed, "broken"), 4*time.Minute,
		time.Second).Should(ContainSubstring("the weights are not at /models/crowd.bin"))
	a.finished(mixed, nil, 10*time.Minute)
	got := a.readRun(mixed, nil)
	for _, name := range slices.Concat(names, []string{"detect-audio-peaks", "detect-scene-change"}) {
		a.Expect(found(got, name)).To(Equal(found(want, name)), "results of %s beside sick plugins", name)
	}
	a.Expect(found(got, "slow")).To(HaveLen(chunks))
	a.Expect(got.segments).To(HaveLen(len(want.segments)))
	errors := map[string]string{}
	for _, task := range got.tasks {
		if task.State == api.TaskStateFailed {
			a.Expect(sickly).To(HaveKey(task.Plugin), "task %d of chunk %d failed: %v", task.ID, task.Chunk, task.Error)
			errors[task.Plugin] = *task.Error
		}
	}
	a.Expect(errors["crash"]).To(ContainSubstring("the decoder ran out of luck"))
	a.Expect(errors["hang"]).To(ContainSubstring("timed out"))
	a.Expect(errors["nonsense"]).To(ContainSubstring("JSON"))
	a.Expect(errors["broken"]).To(ContainSubstring("the weights are not at /models/crowd.bin"))
}

// pluginTrouble is what the Event says of a plugin.
func (a *area) pluginTrouble(e *mrev1alpha1.Event, plugin string) func() (string, error) {
	return func() (string, error) {
		if err := cluster.Get(a.ctx, client.ObjectKeyFromObject(e), e); err != nil {
			return "", err
		}
		for _, c := range e.Status.Conditions {
			if strings.Contains(c.Message, "Plugin "+plugin) {
				return c.Reason + ": " + c.Message, nil
			}
		}
		return "", nil
	}
}
