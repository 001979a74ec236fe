// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// area is a namespace with the sample plugins and the sample Profile, for one test.
type area struct {
	*testing.T
	*WithT
	ctx       context.Context
	namespace string
}

// newArea makes the namespace. It is removed with all that is in it, which must leave nothing behind.
func newArea(t *testing.T) *area {
	t.Helper()
	a := &area{T: t, WithT: NewWithT(t), ctx: t.Context(), namespace: "mre-e2e-" + rand.String(5)}
	t.Cleanup(a.tearDown)
	a.Expect(cluster.EnsureNamespace(a.ctx, a.namespace)).To(Succeed())
	samples, err := clusterclient.ReadManifests(root+"/config/samples/plugins.yaml", root+"/config/samples/profile.yaml")
	a.Expect(err).NotTo(HaveOccurred())
	a.Expect(cluster.ApplyTo(a.ctx, a.namespace, samples...)).To(Succeed())
	return a
}

// tearDown says what it was like when a test failed, then removes the namespace.
func (a *area) tearDown() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	a.ctx = ctx
	if a.Failed() {
		a.describe()
	}
	for _, kind := range []client.Object{&mrev1alpha1.Replay{}, &mrev1alpha1.Event{}} {
		if err := cluster.DeleteAllOf(ctx, kind, client.InNamespace(a.namespace)); err != nil {
			a.Errorf("remove the objects of namespace %s: %v", a.namespace, err)
		}
	}
	g := NewWithT(a.T)
	g.Eventually(a.objects, 3*time.Minute, time.Second).Should(BeEmpty(), "Events and Replays are still there")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: a.namespace}}
	if err := cluster.Delete(ctx, namespace); err != nil {
		a.Errorf("remove namespace %s: %v", a.namespace, err)
	}
}

// objects are the Events and Replays of the namespace.
func (a *area) objects() ([]string, error) {
	var names []string
	var events mrev1alpha1.EventList
	if err := cluster.List(a.ctx, &events, client.InNamespace(a.namespace)); err != nil {
		return nil, err
	}
	for i := range events.Items {
		names = append(names, "Event "+events.Items[i].Name+conditionsOf(events.Items[i].Status.Conditions))
	}
	var replays mrev1alpha1.ReplayList
	if err := cluster.List(a.ctx, &replays, client.InNamespace(a.namespace)); err != nil {
		return nil, err
	}
	for i := range replays.Items {
		names = append(names, "Replay "+replays.Items[i].Name+conditionsOf(replays.Items[i].Status.Conditions))
	}
	return names, nil
}

func conditionsOf(conditions []metav1.Condition) string {
	var text strings.Builder
	for i := range conditions {
		c := &conditions[i]
		fmt.Fprintf(&text, "\n    %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text.String()
}

// describe logs what a person needs to find out why a test failed.
func (a *area) describe() {
	objects, err := a.objects()
	a.Logf("namespace %s: %s (%v)", a.namespace, strings.Join(objects, "\n  "), err)
	var events mrev1alpha1.EventList
	if err := cluster.List(a.ctx, &events, client.InNamespace(a.namespace)); err != nil {
		a.Logf("its Events cannot be read: %v", err)
	}
	for i := range events.Items {
		tasks, err := dataPlane.Tasks(a.ctx, string(events.Items[i].UID))
		if err != nil {
			a.Logf("tasks of %s: %v", events.Items[i].Name, err)
		}
		for _, t := range tasks {
			if t.Error != nil || t.FinishedAt == nil {
				a.Logf("task %d %s %s chunk %d %s: %s, %d attempts, %d losses: %s",
					t.ID, t.Kind, t.Plugin, t.Chunk, t.Subject, t.State, t.Attempts, t.Losses, ptr.Deref(t.Error, ""))
			}
		}
	}
	a.Log(cluster.PodLogs(a.ctx, a.namespace, nil, 20))
	a.Log(cluster.PodLogs(a.ctx, installNamespace, nil, 30))
}

// theMatch is the recording with known truth: 720p30, an IDR frame every second.
func (a *area) theMatch(seconds int) match.Match {
	a.Helper()
	m, err := match.Generate(a.ctx, match.Options{
		Seconds: seconds, Width: 1280, Height: 720, Rate: timeline.Rational{Num: 30, Den: 1}, GOPFrames: 30, Seed: 7,
	})
	a.Expect(err).NotTo(HaveOccurred())
	return m
}

// upload stores a file and returns its location.
func (a *area) upload(file string) string {
	a.Helper()
	location, err := bucket.Upload(a.ctx, file, "inputs/e2e/"+filepath.Base(file))
	a.Expect(err).NotTo(HaveOccurred())
	return location
}

// event applies an Event of the sample Profile.
func (a *area) event(name, location string, policy mrev1alpha1.DeletionPolicy) *mrev1alpha1.Event {
	a.Helper()
	e := &mrev1alpha1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.namespace},
		Spec: mrev1alpha1.EventSpec{
			Program:        "End to end",
			ProfileRef:     mrev1alpha1.RevisionReference{Name: "highlights"},
			Source:         mrev1alpha1.EventSource{File: &mrev1alpha1.FileSource{URL: location}},
			DeletionPolicy: policy,
		},
	}
	a.Expect(cluster.Create(a.ctx, e)).To(Succeed())
	return e
}

// replay applies a Replay that wants a minute, wide and upright.
func (a *area) replay(name, event string) *mrev1alpha1.Replay {
	a.Helper()
	r := &mrev1alpha1.Replay{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: a.namespace},
		Spec: mrev1alpha1.ReplaySpec{
			EventRef: mrev1alpha1.LocalReference{Name: event},
			Select: mrev1alpha1.ReplaySelection{
				ByDuration: &mrev1alpha1.SelectByDuration{DurationSeconds: 30},
				Features:   []mrev1alpha1.FeatureWeight{{Plugin: "detect-audio-peaks", Attribute: "AudioPeak", Weight: 80}},
			},
			Outputs: mrev1alpha1.ReplayOutputs{Resolutions: []string{"1280x720", "608x1080"}},
		},
	}
	a.Expect(cluster.Create(a.ctx, r)).To(Succeed())
	return r
}

// condition of an Event or Replay, read anew.
func (a *area) condition(object client.Object, kind string) func() (string, error) {
	return func() (string, error) {
		if err := cluster.Get(a.ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return "", err
		}
		var conditions []metav1.Condition
		switch o := object.(type) {
		case *mrev1alpha1.Event:
			conditions = o.Status.Conditions
			if failed, reason, message := clusterclient.ConditionTrue(conditions, mrev1alpha1.ConditionFailed); failed &&
				kind != mrev1alpha1.ConditionFailed {
				return "", StopTrying(fmt.Sprintf("Event %s failed: %s: %s", o.Name, reason, message))
			}
		case *mrev1alpha1.Replay:
			conditions = o.Status.Conditions
		}
		holds, reason, _ := clusterclient.ConditionTrue(conditions, kind)
		return fmt.Sprintf("%t %s", holds, reason), nil
	}
}

// finished waits until an Event is complete and its Replay rendered.
func (a *area) finished(e *mrev1alpha1.Event, r *mrev1alpha1.Replay, within time.Duration) {
	a.Helper()
	a.Eventually(a.condition(e, mrev1alpha1.ConditionComplete), within, time.Second).Should(HavePrefix("true"),
		"Event %s does not become complete", e.Name)
	if r != nil {
		a.Eventually(a.condition(r, mrev1alpha1.ConditionRendered), within, time.Second).Should(HavePrefix("true"),
			"Replay %s does not become rendered", r.Name)
	}
}
