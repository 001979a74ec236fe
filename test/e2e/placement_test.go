// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	// gpu is an extended resource, as device plugins advertise them.
	gpu = corev1.ResourceName("mre.example.com/gpu")
	// gpuNode is the label, and the taint, of nodes that have one.
	gpuNode = "mre.example.com/gpu-node"
)

// TestPlacement runs a plugin in a pool whose pods need what the pods of GPU plugins need: a device, a labelled and
// tainted node, a priority, a runtime class, a pull secret, a Secret as environment, shared memory and a volume of
// weights. While no node has the device, the pod waits and says so; then the Event completes.
func TestPlacement(t *testing.T) {
	a := newArea(t)
	m := a.theMatch(30)
	a.Expect(cluster.Create(a.ctx,
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: a.namespace}, Value: 1000})).To(Succeed())
	a.Expect(cluster.Create(a.ctx, &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: a.namespace},
		Handler: "runc"})).To(Succeed())
	a.Expect(cluster.Create(a.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys", Namespace: a.namespace},
		StringData: map[string]string{"key": "open sesame"}})).To(Succeed())
	a.Expect(cluster.Create(a.ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "registry", Namespace: a.namespace},
		Type:       corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{}}`}})).To(Succeed())
	a.weights("base", "the weights of a model")
	a.afterwards(func() {
		a.Expect(client.IgnoreNotFound(cluster.Delete(a.ctx,
			&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: a.namespace}}))).To(Succeed())
		a.Expect(client.IgnoreNotFound(cluster.Delete(a.ctx,
			&nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: a.namespace}}))).To(Succeed())
	})

	placed := a.python("placed.py")
	placed.Pool = "gpu"
	placed.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{gpu: resource.MustParse("1")}}
	placed.Env = []corev1.EnvVar{{Name: "PLACED_KEY",
		ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "keys"}, Key: "key"}}}}
	placed.SharedMemory = new(resource.MustParse("200Mi"))
	placed.Weights = []mrev1alpha1.WeightsVolume{{Name: "base", MountPath: "/weights/base",
		PersistentVolumeClaim: &mrev1alpha1.LocalReference{Name: "base"}}}
	a.container("placed", placed, mrev1alpha1.PluginPolicy{TimeoutSeconds: 60, MaxAttempts: 2})
	a.profileWith("placed", "placed")
	var profile mrev1alpha1.Profile
	a.Expect(cluster.Get(a.ctx, client.ObjectKey{Namespace: a.namespace, Name: "placed"}, &profile)).To(Succeed())
	template := mrev1alpha1.PodTemplate{
		NodeSelector: map[string]string{gpuNode: "yes"},
		Tolerations: []corev1.Toleration{{Key: gpuNode,
			Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
		PriorityClassName: a.namespace, RuntimeClassName: a.namespace,
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
	}
	profile.Spec.Processing.Pools = []mrev1alpha1.WorkerPool{{Name: "gpu", MinWorkers: 1, PodTemplate: &template}}
	// There is one node, so the other Jobs must bear its taint, too.
	profile.Spec.Processing.PodTemplate = &mrev1alpha1.PodTemplate{Tolerations: template.Tolerations}
	a.Expect(cluster.Update(a.ctx, &profile)).To(Succeed())

	a.changeNode(func(n *corev1.Node) {
		n.Labels[gpuNode] = "yes"
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: gpuNode, Value: "yes", Effect: corev1.TaintEffectNoSchedule})
	})
	a.afterwards(func() {
		a.changeNode(func(n *corev1.Node) {
			delete(n.Labels, gpuNode)
			n.Spec.Taints = nil
		})
		a.advertise(resource.MustParse("0"))
	})
	e := a.eventOf("placed", "placed", a.upload(m.Path))
	a.Eventually(func() (string, error) {
		pod, err := a.poolPod(e)
		if pod == nil || err != nil {
			return "", err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
				return c.Message, nil
			}
		}
		return "", nil
	}, time.Minute, time.Second).Should(ContainSubstring("Insufficient " + string(gpu)))

	a.advertise(resource.MustParse("1"))
	var seen corev1.Pod
	a.Eventually(func() (corev1.PodPhase, error) {
		pod, err := a.poolPod(e)
		if pod == nil || err != nil {
			return "", err
		}
		seen = *pod
		return pod.Status.Phase, nil
	}, time.Minute, time.Second).Should(Equal(corev1.PodRunning))
	a.Expect(*seen.Spec.Priority).To(Equal(int32(1000)))
	a.Expect(*seen.Spec.RuntimeClassName).To(Equal(a.namespace))
	a.Expect(seen.Spec.ImagePullSecrets).To(ContainElement(corev1.LocalObjectReference{Name: "registry"}))
	a.finished(e, nil, 5*time.Minute)
	got := a.readRun(e, nil)
	sum := sha256.Sum256([]byte("open sesame"))
	found := 0
	for _, r := range got.results {
		if r.Plugin != "placed" {
			continue
		}
		found++
		a.Expect(r.Result.Attributes).To(Equal(map[string]any{
			"SecretDigest": hex.EncodeToString(sum[:]), "SharedMemory": float64(200 << 20),
			"Weights": "the weights of a model", "WeightsWritable": false}))
	}
	a.Expect(found).To(Equal(int(got.state.Progress.ChunksProcessed)))
	a.checkMoments(got.segments, m.Truth)
}

// afterwards does what is to be done when the test is over, and its context with it.
func (a *area) afterwards(do func()) {
	a.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		a.ctx = ctx
		do()
	})
}

// weights makes a volume that holds model.bin, and its claim.
func (a *area) weights(name, content string) {
	a.Helper()
	dir := a.TempDir()
	// The plugin's user is not the one of this test.
	a.Expect(os.Chmod(dir, 0o755)).To(Succeed())
	a.Expect(os.Chmod(filepath.Dir(dir), 0o755)).To(Succeed())
	a.Expect(os.WriteFile(filepath.Join(dir, "model.bin"), []byte(content), 0o644)).To(Succeed())
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: a.namespace + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: modes, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}},
		}}
	a.Expect(cluster.Create(a.ctx, volume)).To(Succeed())
	a.afterwards(func() { a.Expect(client.IgnoreNotFound(cluster.Delete(a.ctx, volume))).To(Succeed()) })
	a.Expect(cluster.Create(a.ctx, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name,
		Namespace: a.namespace}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: modes, StorageClassName: new(""), VolumeName: volume.Name,
		Resources: corev1.VolumeResourceRequirements{Requests: size},
	}})).To(Succeed())
}

// poolPod is the pod of an Event's pool, or nil.
func (a *area) poolPod(e *mrev1alpha1.Event) (*corev1.Pod, error) {
	var pods corev1.PodList
	if err := cluster.List(a.ctx, &pods, client.InNamespace(a.namespace),
		client.MatchingLabels{mrev1alpha1.LabelPool: "gpu", mrev1alpha1.LabelEvent: e.Name}); err != nil {
		return nil, err
	}
	if len(pods.Items) == 0 {
		return nil, nil
	}
	return &pods.Items[0], nil
}

// changeNode changes the cluster's node.
func (a *area) changeNode(change func(*corev1.Node)) {
	a.Helper()
	node := a.node()
	before := node.DeepCopy()
	change(node)
	a.Expect(cluster.Patch(a.ctx, node, client.MergeFrom(before))).To(Succeed())
}

// advertise says how many of the device the node has, as its device plugin would.
func (a *area) advertise(n resource.Quantity) {
	a.Helper()
	node := a.node()
	before := node.DeepCopy()
	node.Status.Capacity[gpu] = n
	a.Expect(cluster.Status().Patch(a.ctx, node, client.MergeFrom(before))).To(Succeed())
}

func (a *area) node() *corev1.Node {
	a.Helper()
	var nodes corev1.NodeList
	a.Expect(cluster.List(a.ctx, &nodes)).To(Succeed())
	a.Expect(nodes.Items).To(HaveLen(1))
	return &nodes.Items[0]
}
