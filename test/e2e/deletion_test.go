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
	gomegatypes "github.com/onsi/gomega/types"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// TestDeletion deletes finished Events of each policy and one that runs, and looks for what they leave.
func TestDeletion(t *testing.T) {
	a := newArea(t)
	location := a.upload(a.theMatch(60).Path)
	keep := map[mrev1alpha1.DeletionPolicy]gomegatypes.GomegaMatcher{
		mrev1alpha1.DeletionDelete: BeEmpty(),
		mrev1alpha1.DeletionRetainOutputs: And(HaveLen(4), HaveKey("clips"), HaveKey("reels"), HaveKey("exports"),
			HaveKey("retained.json")),
		mrev1alpha1.DeletionRetain: And(HaveLen(5), HaveKey("units"), HaveKey("clips"), HaveKey("reels"),
			HaveKey("exports"), HaveKey("retained.json")),
	}
	for policy, left := range keep {
		name := strings.ToLower(string(policy))
		e := a.event(name, location, policy)
		r := a.replay(name+"-reel", name)
		a.finished(e, r, 6*time.Minute)
		before := a.readRun(e, r)
		a.checkBucket(before)
		a.remove(e, r)
		a.checkGone(before.uid, string(r.UID))
		a.Eventually(func() (map[string]int, error) { return a.leftovers(before.uid) }, 2*time.Minute, 2*time.Second).
			Should(left, "objects that %s leaves", policy)
		a.checkRetained(before.uid, policy)
	}

	running := a.event("running", location, mrev1alpha1.DeletionDelete)
	a.Eventually(a.condition(running, mrev1alpha1.ConditionSourceReady),
		2*time.Minute, time.Second).Should(HavePrefix("true"))
	a.remove(running, nil)
	a.checkGone(string(running.UID), "")
	a.Eventually(func() (map[string]int, error) {
		return a.leftovers(string(running.UID))
	}, sweepAge+2*time.Minute, 2*time.Second).
		Should(BeEmpty(), "objects that an Event leaves that was deleted while it ran")
}

// remove deletes an Event, then its Replay, as somebody would who deletes a folder of manifests.
func (a *area) remove(e *mrev1alpha1.Event, r *mrev1alpha1.Replay) {
	a.Helper()
	a.Expect(cluster.Delete(a.ctx, e)).To(Succeed())
	if r != nil {
		a.Expect(cluster.Delete(a.ctx, r)).To(Succeed())
	}
	a.Eventually(a.objects, 2*time.Minute, time.Second).Should(BeEmpty())
}

// checkGone wants no pod, Job, Secret or row of an Event, and that the data plane says it is gone.
func (a *area) checkGone(uid, replayUID string) {
	a.Helper()
	a.Eventually(func() ([]string, error) { return a.clusterObjects(uid) }, 2*time.Minute, time.Second).
		Should(BeEmpty(), "objects of the Event in the cluster")
	_, err := dataPlane.Event(a.ctx, uid)
	a.Expect(dpclient.Is(err, api.ProblemCodeGone)).To(BeTrue(), "the data plane says: %v", err)
	a.Eventually(func() (map[string]int, error) { return rowsWith(a.ctx, uid, replayUID) }, time.Minute, 2*time.Second).
		Should(BeEmpty(), "rows that name the Event or its Replay")
}

// clusterObjects are the Jobs and pods of an Event, and Secrets of its namespace.
func (a *area) clusterObjects(uid string) ([]string, error) {
	var names []string
	mine := client.MatchingLabels{mrev1alpha1.LabelEventUID: uid}
	var jobs batchv1.JobList
	if err := cluster.List(a.ctx, &jobs, client.InNamespace(a.namespace), mine); err != nil {
		return nil, err
	}
	for i := range jobs.Items {
		names = append(names, "Job "+jobs.Items[i].Name)
	}
	var pods corev1.PodList
	if err := cluster.List(a.ctx, &pods, client.InNamespace(a.namespace), mine); err != nil {
		return nil, err
	}
	for i := range pods.Items {
		names = append(names, "Pod "+pods.Items[i].Name)
	}
	var secrets corev1.SecretList
	if err := cluster.List(a.ctx, &secrets, client.InNamespace(a.namespace)); err != nil {
		return nil, err
	}
	for i := range secrets.Items {
		names = append(names, "Secret "+secrets.Items[i].Name)
	}
	return names, nil
}

// checkRetained wants retained.json to list exactly what is beside it.
func (a *area) checkRetained(uid string, policy mrev1alpha1.DeletionPolicy) {
	a.Helper()
	if policy == mrev1alpha1.DeletionDelete {
		return
	}
	prefix := a.namespace + "/" + uid + "/"
	text, err := bucket.Read(a.ctx, prefix+"retained.json")
	a.Expect(err).NotTo(HaveOccurred())
	a.Expect(json.Valid(text)).To(BeTrue(), "retained.json: %s", text)
	keys, err := bucket.Keys(a.ctx, prefix)
	a.Expect(err).NotTo(HaveOccurred())
	for _, key := range keys {
		if !strings.HasSuffix(key, "/retained.json") {
			a.Expect(string(text)).To(ContainSubstring(fmt.Sprintf("%s\"", key)), "retained.json lists what is kept")
		}
	}
}
