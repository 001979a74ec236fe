// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// podKills of workers, renderers, ingests and data planes fall into one Event, and leaderKills of the manager that
	// leads.
	podKills    = 30
	leaderKills = 3
	// podKillPause is the mean time between two of them.
	podKillPause = 1500 * time.Millisecond
	// podKillSource is how long the source takes to be read: longer than all kills together.
	podKillSource = 75 * time.Second
	// leaderLease is the manager's Lease.
	leaderLease = "manager.mre.media"
)

// TestPodKills removes pods at random, some with their processes and some by the API without grace, as the loss of a
// node does, and wants the same result as without.
func TestPodKills(t *testing.T) {
	if testing.Short() {
		t.Skip("dozens of pods are killed and replaced, which takes minutes")
	}
	a := newArea(t)
	m := a.theMatch(matchSeconds())
	calmEvent, calmReplay := a.begin("calm", a.upload(m.Path))
	a.finished(calmEvent, calmReplay, 8*time.Minute)
	calm := a.fingerprint(a.readRun(calmEvent, calmReplay))

	e, r := a.begin("disturbed", a.serveSlowly(m.Path, podKillSource))
	longest := a.watchProgress(e)
	a.killPods(rand.New(rand.NewPCG(seed(t), 0)), e)
	a.checkUndisturbed(e, r, calm)
	standstill := longest()
	t.Logf("longest time without progress: %s", standstill.Round(100*time.Millisecond))
}

// killPods removes pods of an Event and of the install, and three times the leader, at even distances.
func (a *area) killPods(random *rand.Rand, e *mrev1alpha1.Event) {
	a.Helper()
	a.Eventually(func() ([]corev1.Pod, error) {
		return a.pods(e)
	}, 2*time.Minute, 200*time.Millisecond).ShouldNot(BeEmpty(), "pods of the Event")
	made := map[string]int{}
	for done := 0; done < podKills; {
		time.Sleep(time.Duration(random.ExpFloat64() * float64(podKillPause)))
		if state, err := a.condition(e, mrev1alpha1.ConditionComplete)(); err == nil && strings.HasPrefix(state, "true") {
			a.Fatalf("the Event was complete after %d of %d kills: raise podKillSource", done, podKills)
		}
		if done == (made["manager"]+1)*podKills/(leaderKills+1) && made["manager"] < leaderKills {
			a.removePod(a.leader())
			made["manager"]++
		}
		pods, err := a.pods(e)
		a.Expect(err).NotTo(HaveOccurred())
		if len(pods) == 0 {
			continue // all of them wait to be replaced
		}
		pod := &pods[random.IntN(len(pods))]
		part := partOfPod(pod)
		if random.IntN(2) == 0 {
			a.removePod(pod)
		} else {
			pids, err := kill(part)
			a.Expect(err).NotTo(HaveOccurred())
			if len(pids) == 0 {
				continue // it has not started yet
			}
			a.Logf("killed %s: %v", part, pids)
		}
		made[part]++
		done++
	}
	a.Logf("removed or killed: %v", made)
}

// pods of the Event and of the data plane that run.
func (a *area) pods(e *mrev1alpha1.Event) ([]corev1.Pod, error) {
	var running []corev1.Pod
	for _, where := range [][]client.ListOption{
		{client.InNamespace(a.namespace), client.MatchingLabels{mrev1alpha1.LabelEventUID: string(e.UID)}},
		{client.InNamespace(installNamespace), client.MatchingLabels{"app.kubernetes.io/component": "dataplane"}},
	} {
		var list corev1.PodList
		if err := cluster.List(a.ctx, &list, where...); err != nil {
			return nil, fmt.Errorf("list the pods to kill: %w", err)
		}
		for _, pod := range list.Items {
			if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp.IsZero() {
				running = append(running, pod)
			}
		}
	}
	return running, nil
}

// partOfPod is the subcommand of mre that a pod runs.
func partOfPod(pod *corev1.Pod) string {
	if role := pod.Labels[mrev1alpha1.LabelRole]; role != "" {
		return role
	}
	return pod.Labels["app.kubernetes.io/component"]
}

// leader is the pod of the manager that holds the Lease.
func (a *area) leader() *corev1.Pod {
	a.Helper()
	pod := &corev1.Pod{}
	a.Eventually(func() error {
		var lease coordinationv1.Lease
		if err := cluster.Get(a.ctx, client.ObjectKey{Namespace: installNamespace, Name: leaderLease}, &lease); err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil {
			return fmt.Errorf("nobody holds Lease %s", leaderLease)
		}
		// The identity is the host's name, which is the pod's, and a random part.
		name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
		return cluster.Get(a.ctx, client.ObjectKey{Namespace: installNamespace, Name: name}, pod)
	}, 2*time.Minute, time.Second).Should(Succeed(), "the manager that leads")
	return pod
}

// removePod takes a pod away without grace, as the loss of its node does.
func (a *area) removePod(pod *corev1.Pod) {
	a.Helper()
	err := cluster.Delete(a.ctx, pod, client.GracePeriodSeconds(0))
	a.Expect(client.IgnoreNotFound(err)).NotTo(HaveOccurred())
	a.Logf("removed pod %s", pod.Name)
}

// watchProgress looks at the counters of an Event. The function that it returns ends that and gives the longest time
// between two changes of them, from the first to the end.
func (a *area) watchProgress(e *mrev1alpha1.Event) (longest func() time.Duration) {
	ctx, cancel := context.WithCancel(a.ctx)
	result := make(chan time.Duration, 1)
	go func() {
		var found time.Duration
		var last api.Progress
		since := time.Time{}
		for complete := false; ctx.Err() == nil && !complete; time.Sleep(250 * time.Millisecond) {
			state, err := dataPlane.Event(ctx, string(e.UID))
			if err != nil || state.Progress == last {
				continue
			}
			if !since.IsZero() {
				found = max(found, time.Since(since))
			}
			last, since = state.Progress, time.Now()
			complete = state.State == api.EventStateStateComplete
		}
		result <- found
	}()
	return func() time.Duration {
		cancel()
		return <-result
	}
}
